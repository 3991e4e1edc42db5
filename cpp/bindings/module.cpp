#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "adamcore/version.hpp"
#include "define.hpp"
#include "functional.hpp"
#include "norms.hpp"
#include "optimizer.hpp"
#include "settings.hpp"

namespace py = pybind11;

namespace adamcore::python {
namespace {

/// Names, slots and fields with presets of every rule: what Python's classes are held against.
py::dict rules() {
    py::dict found;
    for (const RuleInfo& info : cpu::all_rules()) {
        py::dict fields;
        for (std::size_t i = 0; i < info.field_count; ++i) fields[info.fields[i].name] = info.fields[i].preset;
        const std::vector<std::string> slots(info.slots, info.slots + info.slot_count);
        py::dict rule;
        rule["slots"] = slots;
        rule["fields"] = fields;
        found[py::str(std::string(info.name))] = rule;
    }
    return found;
}

std::vector<std::string> built_isas() {
    std::vector<std::string> names;
    for (const cpu::Isa isa : cpu::all_isas) {
        if (cpu::kernels_for(isa)) names.emplace_back(cpu::name_of(isa));
    }
    return names;
}

}  // namespace

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "adamcore's native part: arrays in, kernels run. Use the adamcore package instead.";
    m.attr("__version__") = ADAMCORE_VERSION;
    m.def("rules", &rules, "Name -> slots, and fields with their presets, of every rule.");

    m.def(
        "isa", [] { return std::string(cpu::name_of(kernels().isa)); }, "The instruction set in use.");
    m.def("isas", &built_isas, "The instruction sets that this build has and this processor runs.");
    m.def("set_isa", &set_isa, py::arg("name"), "Use another of isas(), for tests.");
    m.def(
        "get_num_threads", [] { return pool().threads; }, "The number of threads that a step may use.");
    m.def("set_num_threads", &set_num_threads, py::arg("n"), "Set the number of threads that a step may use.");
    kernels();  // so that a bad ADAMCORE_ISA fails on import, not in the middle of training

    define_update(m, &update);

    m.def(
        "check_hyper",
        [](const std::string& rule, const std::string& owner, const py::dict& hyper, std::int64_t completed,
           int group) {
            HyperValues values;
            HyperReader(rule_index(rule), owner).read(hyper, completed, group, values);
        },
        py::arg("rule"), py::arg("owner"), py::arg("hyper"), py::arg("completed"), py::arg("group"),
        "Raise unless a rule's hyper-parameters are all there and in range.");

    define_norms(m, &global_norm, &clip_norm, &clip_value);

    py::class_<Optimizer>(m, "Optimizer", "What an optimizer keeps natively.")
        .def(py::init<std::string, const py::dict&>(), py::arg("owner"), py::arg("options"))
        .def("add_group", &Optimizer::add_group, py::arg("hyper"), py::arg("params"), py::arg("names"),
             py::arg("labels"), py::arg("keys"), py::arg("variant_keys"), py::arg("variant"))
        .def("step", &Optimizer::step, py::arg("grads"), py::arg("param_groups"), py::arg("loss_scale"),
             py::arg("check"))
        .def("state", &Optimizer::state, py::arg("tensor"), py::arg("slot"))
        .def("slots", &Optimizer::slots, py::arg("tensor"))
        .def("steps", &Optimizer::steps, py::arg("tensor"))
        .def("set_steps", &Optimizer::set_steps, py::arg("tensor"), py::arg("steps"))
        .def_property("completed", &Optimizer::completed, &Optimizer::set_completed)
        .def("__len__", &Optimizer::size);
}

}  // namespace adamcore::python
