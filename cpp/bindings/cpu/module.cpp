#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/rule_registry.hpp"
#include "adamcore/statistics/columns.hpp"
#include "adamcore/version.hpp"
#include "calls/define.hpp"
#include "cpu/calls.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "cpu/update_function.hpp"
#include "gate/foreign.hpp"
#include "guards/spike_history.hpp"
#include "optimizer/define.hpp"
#include "runtime/interpreter.hpp"
#include "runtime/paired.hpp"
#include "runtime/text.hpp"
#include "schedules/evaluator.hpp"
#include "trends/slopes.hpp"

namespace py = pybind11;

namespace adamcore::python {
namespace {

py::dict description_of(const rule::Slot& slot) {
    constexpr const char* shapes[] = {"elements", "rows", "columns", "number"};
    py::dict description;
    description["degree"] = static_cast<int>(slot.degree);
    description["shape"] = shapes[static_cast<std::size_t>(slot.shape)];
    description["start"] = slot.start == rule::Start::param ? "param" : "value";
    description["is_full"] = slot.is_full;
    return description;
}

py::dict description_of(const FieldInfo& field) {
    constexpr const char* kinds[] = {"number", "flag", "word"};
    py::dict description;
    description["kind"] = kinds[static_cast<std::size_t>(field.kind)];
    description["may_be_none"] = field.may_be_none;
    description["tuple"] = field.tuple ? py::object(py::str(field.tuple)) : py::none();
    description["place"] = field.place;
    return description;
}

py::dict description_of(const RuleInfo& info) {
    py::dict fields, hyper, state;
    py::list slots, nonnegative, numbers;
    HyperValues presets{};
    for (std::size_t i = 0; i < info.field_count; ++i) {
        presets[i] = info.fields[i].preset;
        fields[info.fields[i].name] = value_of(info.fields[i], info.fields[i].preset);
        hyper[info.fields[i].name] = description_of(info.fields[i]);
    }
    for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
        slots.append(info.slots[slot].name);
        py::dict described = description_of(info.slots[slot]);
        described["initial"] = info.initial(presets, slot);
        state[info.slots[slot].name] = described;
        if (info.slots[slot].is_nonnegative()) nonnegative.append(info.slots[slot].name);
    }
    for (std::size_t k = 0; k < info.number_count; ++k) numbers.append(info.numbers[k]);
    py::dict rule;
    rule["slots"] = slots;
    rule["nonnegative"] = nonnegative;
    rule["state"] = state;
    rule["fields"] = fields;
    rule["hyper"] = hyper;
    rule["numbers"] = numbers;
    rule["passes"] = info.pass_count;
    rule["for_vectors"] = std::string(all_rules()[info.for_vectors].name);
    return rule;
}

/// The description of every rule: its slots, those that are never negative, and what each is; its fields with their
/// presets, and what each may be; the numbers of the optimizer; the number of passes; and the rule for vectors.
py::dict rules() {
    py::dict found;
    for (const RuleInfo& info : cpu::all_rules()) found[py::str(std::string(info.name))] = description_of(info);
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
    py::tuple columns(statistics::column_count);
    for (std::size_t i = 0; i < statistics::column_count; ++i) columns[i] = statistics::column_names[i];
    m.attr("step_columns") = columns;
    m.def("rules", &rules, "The descriptions of all rules, by name.");

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
    define_paired(m);
    define_schedules(m);
    define_guards(m);
    define_trends(m);
    define_calls<HostCalls>(m);
    define_update_function(m);

    m.def(
        "check_hyper",
        [](const std::string& rule, const std::string& owner, const py::dict& hyper, std::int64_t completed,
           int group) {
            HyperValues values;
            Timetable timetable;
            timetable.begin(completed);
            HyperReader(find_rule(rule), owner).read_at(hyper, group, timetable, values);
        },
        py::arg("rule"), py::arg("owner"), py::arg("hyper"), py::arg("completed"), py::arg("group"),
        "Raise an error unless all hyper-parameters of a rule exist and are in range.", Computes());
    m.def("numbers_at", &numbers_at, py::arg("owner"), py::arg("hyper"), py::arg("completed"), py::arg("group"),
          "Return hyper-parameters with what their schedules give.", Computes());
    m.def("gather", &gather, py::arg("block"), py::arg("arrays"),
          "Copy contiguous arrays into a block of bytes, one behind the other.");
    m.def("product", &product, py::arg("a"), py::arg("b"), "a * b, rounded to nearest.", Computes());
    m.def("is_less", &is_less, py::arg("a"), py::arg("b"), "a < b, also for subnormal numbers.", Computes());

    auto optimizer = define_optimizer<HostOptimizer>(m, "HostOptimizer");
    optimizer.def(py::init([](std::string owner, const py::dict& options) {
                      return std::make_unique<HostOptimizer>(std::move(owner), read_options(options));
                  }),
                  py::arg("owner"), py::arg("options"));
    optimizer.def("accumulate", &HostOptimizer::accumulate, py::arg("grads"), py::arg("param_groups"),
                  py::arg("weight"), Computes());
    add_step(optimizer);
}

}  // namespace adamcore::python
