#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/version.hpp"
#include "calls/define.hpp"
#include "cpu/calls.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "cpu/update_function.hpp"
#include "gate/foreign.hpp"
#include "optimizer/define.hpp"
#include "runtime/interpreter.hpp"
#include "runtime/text.hpp"
#include "schedules/evaluator.hpp"

namespace py = pybind11;

namespace adamcore::python {
namespace {

/// Names, slots, nonnegative slots, and fields with their defaults, for every rule. Tests compare Python's classes with
/// them.
py::dict rules() {
    py::dict found;
    for (const RuleInfo& info : cpu::all_rules()) {
        py::dict fields;
        py::list slots, nonnegative;
        for (std::size_t i = 0; i < info.field_count; ++i) fields[info.fields[i].name] = info.fields[i].preset;
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            slots.append(info.slots[slot].name);
            if (info.slots[slot].is_nonnegative()) nonnegative.append(info.slots[slot].name);
        }
        py::dict rule;
        rule["slots"] = slots;
        rule["nonnegative"] = nonnegative;
        rule["fields"] = fields;
        found[py::str(std::string(info.name))] = rule;
    }
    return found;
}

// Volatile, because compilers do not know that arithmetic depends on the environment, and would move it out of its
// scope.
double product(double a, double b) {
    const volatile double x = a, y = b;
    const volatile double result = x * y;
    return result;
}
bool is_less(double a, double b) {
    const volatile double x = a, y = b;
    const volatile bool result = x < y;
    return result;
}

std::vector<std::string> built_isas() {
    std::vector<std::string> names;
    for (const cpu::Isa isa : cpu::all_isas) {
        if (cpu::kernels_for(isa)) names.emplace_back(cpu::name_of(isa));
    }
    return names;
}

}  // namespace

ADAMCORE_MODULE(_core, m) {
    m.doc() = "adamcore's native module. Use the adamcore package instead.";
    m.attr("__version__") = ADAMCORE_VERSION;
    m.def("rules", &rules, "The slots, nonnegative slots, and fields with defaults of every rule, by name.");

    m.def(
        "isa", [] { return std::string(cpu::name_of(kernels().isa)); }, "The instruction set in use.");
    m.def("isas", &built_isas, "The instruction sets that this build contains and this processor supports.");
    m.def("set_isa", &set_isa, py::arg("name"), "Select one of isas(), for tests.");
    m.def(
        "get_num_threads", [] { return pool().threads; }, "The number of threads that a step may use.");
    m.def("set_num_threads", &set_num_threads, py::arg("n"), "Set the number of threads that a step may use.");
    kernels();  // so that a bad ADAMCORE_ISA fails on import, not in the middle of training

    m.def("short_repr", &repr_of, py::arg("value"), "Describe a value briefly, for a message.");
    m.def("holds_numbers", &holds_numbers, py::arg("value"),
          "Whether a value is some kind of array, and not a structure.");

    define_errors();
    define_schedules(m);
    define_calls<HostCalls>(m);
    define_update_function(m);

    m.def(
        "check_hyper",
        [](const std::string& rule, const std::string& owner, const py::dict& hyper, std::int64_t completed,
           int group) {
            HyperValues values;
            Timetable timetable;
            timetable.begin(completed);
            HyperReader(rule_index(rule), owner).read_at(hyper, group, timetable, values);
        },
        py::arg("rule"), py::arg("owner"), py::arg("hyper"), py::arg("completed"), py::arg("group"),
        "Raise an error unless all hyper-parameters of a rule exist and are in range.", Computes());
    m.def("numbers_at", &numbers_at, py::arg("owner"), py::arg("hyper"), py::arg("completed"), py::arg("group"),
          "Return hyper-parameters with what their schedules give.", Computes());
    m.def("product", &product, py::arg("a"), py::arg("b"), "a * b, rounded to nearest.", Computes());
    m.def("is_less", &is_less, py::arg("a"), py::arg("b"), "a < b, also for subnormal numbers.", Computes());

    auto optimizer = define_optimizer<HostOptimizer>(m, "HostOptimizer");
    optimizer.def(py::init([](std::string owner, const py::dict& options) {
                      return std::make_unique<HostOptimizer>(std::move(owner), read_options(options));
                  }),
                  py::arg("owner"), py::arg("options"));
    add_step(optimizer);
}

}  // namespace adamcore::python
