#include "schedules/make.hpp"

#include <limits>
#include <string_view>

#include "adamcore/schedule.hpp"
#include "schedules/arguments.hpp"
#include "schedules/nodes.hpp"

namespace adamcore::python {
namespace {

using Made = std::unique_ptr<Evaluator>;
using Maker = Made (*)(Arguments&);

constexpr std::array afters{"hold", "mirror"};
constexpr std::array paths{"linear", "cosine"};
constexpr std::array modes{"triangular", "triangular2", "exp_range"};
constexpr std::array anneals{"linear", "cos"};
constexpr std::array shapes{"sqrt", "linear", "cosine", "square"};

template <class Formula>
Made node(Arguments& a, const Formula& formula) {
    return std::make_unique<FormulaNode<Formula>>(formula, a.name(), a.take());
}

schedules::Shape shape_of(const Arguments& a) { return a.choice<schedules::Shape>("shape", shapes); }

Made constant(Arguments& a) { return node(a, schedules::Constant{a.number("value")}); }

Made step_decay(Arguments& a) {
    return node(a, schedules::StepDecay{a.number("value"), a.number("every"), a.number("gamma")});
}

Made multi_step(Arguments& a) {
    const Arguments::List milestones = a.list("milestones");
    return node(a, schedules::MultiStep{a.number("value"), milestones.data, milestones.size, a.number("gamma")});
}

Made exponential(Arguments& a) {
    return node(a, schedules::Exponential{a.number("value"), a.number("gamma"), a.number("every"), a.flag("staircase"),
                                          a.number("begin"), a.has("end"), a.number("end", 0)});
}

Made inverse_sqrt(Arguments& a) { return node(a, schedules::InverseSqrt{a.number("value"), a.number("timescale")}); }

Made inverse_time(Arguments& a) {
    return node(a, schedules::InverseTime{a.number("value"), a.number("rate"), a.number("every"), a.flag("staircase")});
}

Made piecewise(Arguments& a) {
    const Arguments::List values = a.list("values"), boundaries = a.list("boundaries");
    return node(a, schedules::Piecewise{values.data, boundaries.data, boundaries.size});
}

Made linear(Arguments& a) {
    return node(a, schedules::Linear{a.number("start"), a.number("end"), a.number("steps"), a.number("begin")});
}

Made polynomial(Arguments& a) {
    return node(a, schedules::Polynomial{a.number("start"), a.number("end"), a.number("steps"), a.number("power"),
                                         a.number("begin")});
}

Made cosine(Arguments& a) {
    return node(a, schedules::Cosine{a.number("start"), a.number("end"), a.number("steps"), a.number("power"),
                                     a.choice<schedules::After>("after", afters)});
}

Made interpolate(Arguments& a) {
    const Arguments::List times = a.column("points", 0), values = a.column("points", 1);
    const auto shape = a.choice<schedules::Path>("shape", paths);
    return node(a, schedules::Interpolate{times.data, values.data, times.size, shape});
}

Made cosine_restarts(Arguments& a) {
    return node(a, schedules::CosineRestarts{a.number("start"), a.number("end"), a.number("period"), a.number("mult"),
                                             a.number("decay")});
}

Made cyclic(Arguments& a) {
    const double up = a.number("up");
    return node(a, schedules::Cyclic{a.number("low"), a.number("high"), up, a.number("down", up),
                                     a.choice<schedules::Mode>("mode", modes), a.number("gamma")});
}

Made one_cycle(Arguments& a) {
    schedules::OneCycle formula{a.number("peak"), a.number("steps")};
    formula.start = a.number("start", formula.start);
    formula.end = a.number("end", formula.start / 1e4);
    formula.pct_start = a.number("pct_start");
    formula.anneal = a.choice<schedules::Path>("anneal", anneals);
    formula.three_phase = a.flag("three_phase");
    return node(a, formula);
}

Made warmup(Arguments& a) {
    return node(a, schedules::Warmup<Part>{a.part("schedule"), a.number("steps"), a.has("start"), a.number("start", 0),
                                           shape_of(a)});
}

Made cooldown(Arguments& a) {
    return node(a, schedules::Cooldown<Part>{a.part("schedule"), a.number("at"), a.number("steps"), a.number("end"),
                                             shape_of(a)});
}

Made wsd(Arguments& a) {
    return node(a, schedules::WSD{a.number("peak"), a.number("steps"), a.number("warmup"), a.number("decay"),
                                  a.number("end"), shape_of(a)});
}

Made join(Arguments& a) {
    const Part* const parts = a.parts("schedules");
    const Arguments::List boundaries = a.list("boundaries");
    return node(a, schedules::Join<Part>{parts, boundaries.data, boundaries.size});
}

Made product(Arguments& a) { return node(a, schedules::Product<Part, Part>{a.part("a"), a.part("b")}); }

Made sum(Arguments& a) { return node(a, schedules::Sum<Part, Part>{a.part("a"), a.part("b")}); }

Made clip(Arguments& a) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return node(a, schedules::Clip<Part>{a.part("schedule"), a.number("low", -infinity), a.number("high", infinity)});
}

Made shift(Arguments& a) { return node(a, schedules::Shift<Part>{a.part("schedule"), a.number("n")}); }

Made stretch(Arguments& a) { return node(a, schedules::Stretch<Part>{a.part("schedule"), a.number("k")}); }

Made every(Arguments& a) { return node(a, schedules::Every<Part>{a.part("schedule"), a.number("n")}); }

Made reduced(Arguments& a) {
    const Part part = a.part("schedule");
    const auto memory = a.object("memory").cast<py::dict>();
    return std::make_unique<ReducedNode>(a.name(), part, a.number("min_value"), memory, a.take());
}

/// Calling, saving and copying schedules recurses, and Python stops at a thousand calls, of which copying needs most.
constexpr int most_nested = 100;

struct Row {
    std::string_view name;
    Maker make;
};

constexpr std::array rows{
    Row{"Constant", constant},
    Row{"StepDecay", step_decay},
    Row{"MultiStep", multi_step},
    Row{"Exponential", exponential},
    Row{"Linear", linear},
    Row{"Polynomial", polynomial},
    Row{"Cosine", cosine},
    Row{"CosineRestarts", cosine_restarts},
    Row{"Cyclic", cyclic},
    Row{"OneCycle", one_cycle},
    Row{"InverseSqrt", inverse_sqrt},
    Row{"InverseTime", inverse_time},
    Row{"Piecewise", piecewise},
    Row{"Interpolate", interpolate},
    Row{"Warmup", warmup},
    Row{"WSD", wsd},
    Row{"Cooldown", cooldown},
    Row{"Join", join},
    Row{"Product", product},
    Row{"Sum", sum},
    Row{"Clip", clip},
    Row{"Shift", shift},
    Row{"Stretch", stretch},
    Row{"Every", every},
    Row{"ReduceOnPlateau", reduced},
};

}  // namespace

std::unique_ptr<Evaluator> make_evaluator(std::string name, py::dict arguments) {
    for (const Row& row : rows) {
        if (row.name != name) continue;
        Arguments given(std::move(name), std::move(arguments));
        Made made = row.make(given);
        if (given.depth() > most_nested)
            throw py::value_error(given.name() + ": more than " + std::to_string(most_nested) +
                                  " schedules are nested in each other; Join([...], boundaries) takes a list of " +
                                  "schedules, which does not nest them");
        made->set_depth(given.depth());
        return made;
    }
    throw py::value_error("there is no built-in schedule named '" + name + "'");
}

}  // namespace adamcore::python
