"""signSGD, under a name that no real rule has, as CONTRIBUTING says that a rule is added: in four places."""

from __future__ import annotations

import re
from pathlib import Path

HEADER = """\
#pragma once

#include <cstdint>

#include "adamcore/rule.hpp"

namespace adamcore {

/// signSGD (Bernstein et al. 2018): steps of one size, along the gradient's signs.
struct SignDescent {
    static constexpr auto name = "signdescent";
    static constexpr auto slots = rule::slots();

    struct Hyper {
        double lr = 1e-3, weight_decay = 0.0;
    };
    static constexpr auto fields = rule::fields<Hyper>(rule::nonnegative("lr", &Hyper::lr),
                                                       rule::nonnegative("weight_decay", &Hyper::weight_decay));

    template <class T>
    struct Step {
        T lr;
        double l2;
    };

    template <class T>
    ADAMCORE_FN static Step<T> prepare(const Hyper& h, std::int64_t) {
        return {T(h.lr), h.weight_decay};
    }

    template <class T, class G>
    ADAMCORE_FN static void update(const Step<T>& s, G g, T& p) {
        const T zero(0);
        p = p - s.lr * math::select(T(g) > zero, T(1), math::select(T(g) < zero, T(-1), T(g)));
    }
};

}  // namespace adamcore
"""

CLASS = '''

@declare
class SignDescent(Optimizer):
    r"""Steps of one size, along the signs of the gradient.

    .. math::
        \\theta_t = \\theta_{t-1} - \\eta \\operatorname{sign}(g_t)

    References
    ----------
    Bernstein, Wang, Azizzadenesheli & Anandkumar, "signSGD", ICML 2018.

    Examples
    --------
    >>> import adamcore as ac, numpy as np
    >>> w = np.zeros(3)
    >>> info = ac.SignDescent(w, lr=0.5).step(np.array([3.0, -0.1, 0.0]))
    >>> w
    array([-0.5,  0.5,  0. ])
    """

    def __init__(
        self,
        params: Any,
        lr: Number = 1e-3,
        weight_decay: Number = 0.0,
        *,
        maximize: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(params, dict(lr=lr, weight_decay=weight_decay, maximize=maximize), options)

    @staticmethod
    def _rule(group: Group) -> str:
        return "signdescent"


_update_signdescent = update_function(
    "signdescent", SignDescent._rule, SignDescent._variant_keys, ("lr", "weight_decay", "maximize"), ()
)


def signdescent(
    p: Arrays,
    g: Arrays,
    *state: Arrays,
    t: Counts,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> None:
    """Do one update of `SignDescent` on bare arrays, in place.

    State: none.
    See the module for what the arguments are.
    """
    _update_signdescent(p, g, state, t, lr, weight_decay, maximize)
'''

REFERENCE = """def signdescent(p: Array, g: Array, s: State, t: int, h: dict[str, Any]) -> Array:
    return p - h["lr"] * np.sign(g)


"""

CASE = """CASES = [
    Case(
        "signdescent",
        "SignDescent",
        signdescent,
        (),
        dict(lr=1e-3, weight_decay=0.0),
        dict(lr=0.1, weight_decay=0.01),
        tuning=Tuning(dict(lr=0.005), dict(lr=1e-3), dict(lr=0.005)),
    ),
"""


def add_rule(tree: Path) -> set[str]:
    """Add the rule to a copy of the repository, and return the files that this takes."""
    rules = "cpp/include/adamcore/rules"
    family, reference = "python/adamcore/optimizers/_sgd.py", "tests/reference/sgd.py"
    header = f"{rules}/sign_descent.hpp"
    (tree / header).write_text(HEADER)
    change(tree / rules / "all.hpp", (r"\n\nnamespace", '\n#include "adamcore/rules/sign_descent.hpp"\n\nnamespace'))
    change(tree / rules / "all.hpp", (r">;", ", SignDescent>;"))
    change(tree / family, (r"^__all__ = \[(.*)\]", r'__all__ = [\1, "SignDescent", "signdescent"]'), (r"\Z", CLASS))
    change(
        tree / reference,
        (r"^from reference", "import numpy as np\n\nfrom reference"),
        (r"^def sgd", REFERENCE + "def sgd"),
        (r"^CASES = \[\n", CASE),
    )
    return {header, f"{rules}/all.hpp", family, reference}


def change(path: Path, *changes: tuple[str, str]) -> None:
    """Replace the first match of each pattern; what follows it may name its groups."""
    text = path.read_text()
    for pattern, replacement in changes:
        match = re.search(pattern, text, re.MULTILINE)
        assert match, f"{path} has nothing like {pattern}"
        inserted = replacement.replace(r"\1", match[1]) if match.re.groups else replacement
        text = text[: match.start()] + inserted + text[match.end() :]
    path.write_text(text)
