"""What messages about unknown names add: the name that was probably meant, and how many others there are."""

from __future__ import annotations

from collections.abc import Iterable

_OTHER_NAMES = {
    "lr": ("learning_rate", "learningrate", "alpha", "eta", "step_size", "rate", "base_lr"),
    "betas": ("beta", "beta1", "beta2", "beta_1", "beta_2", "b1", "b2"),
    "eps": ("epsilon",),
    "alpha": ("rho", "decay", "smoothing", "smoothing_constant"),
    "weight_decay": ("decay", "wd", "l2", "weight_decay_rate"),
    "clip_norm": ("clipnorm", "global_clipnorm", "grad_clip", "max_norm", "max_grad_norm", "clip_grad_norm"),
    "clip_value": ("clipvalue", "clip_grad_value"),
    "nonfinite": ("check_finite", "error_if_nonfinite"),
    "params": ("weights", "parameters", "arrays"),
    "param_names": ("names",),
}
"""The names that other libraries and papers use for these arguments."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return "; did you mean ...?", or "" if none of `known` is similar to `name`."""
    if not isinstance(name, str):
        return ""
    names = list(known)
    lowered = name.lower()
    for own, others in _OTHER_NAMES.items():
        if own in names and lowered in others:
            return f"; did you mean {own!r}?"
    import difflib  # noqa: PLC0415  (needed only for errors)

    by_lower = {known.lower(): known for known in names}
    close = difflib.get_close_matches(lowered, by_lower, n=1, cutoff=0.7)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def is_like_one_of(name: str, known: Iterable[str]) -> bool:
    """Whether `name` is one of `known`, or similar to one."""
    names = list(known)
    return name in names or bool(did_you_mean(name, names))


def and_more(names: list[str]) -> str:
    """Return how many names there are besides the first one, or "" if there are no others."""
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
