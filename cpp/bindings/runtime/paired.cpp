#include "runtime/paired.hpp"

#include <exception>

namespace adamcore::python {

py::list Paired::enter() {
    py::list results;
    try {
        for (const py::handle pair : pairs_) {
            results.append(pair[py::int_(0)]());
            ++entered_;
        }
    } catch (...) {
        leave();
        throw;
    }
    return results;
}

void Paired::leave() {
    std::exception_ptr first;
    while (entered_ > 0) {
        --entered_;
        try {
            pairs_[entered_][py::int_(1)]();
        } catch (...) {
            if (!first) first = std::current_exception();
        }
    }
    if (first) std::rethrow_exception(first);
}

Paired::~Paired() {
    const py::error_scope pending;
    try {
        leave();
    } catch (py::error_already_set& error) {
        error.discard_as_unraisable("adamcore: the end of a block");
    }
}

void call_all(const py::list& functions) {
    for (const py::handle function : functions) function();
}

void define_paired(py::module_& m) {
    py::class_<Paired>(m, "Paired", "Calls functions, and their counterparts at the end.")
        .def(py::init<py::list>(), py::arg("pairs"))
        .def("__enter__", &Paired::enter)
        .def("__exit__", [](Paired& self, const py::args&) { self.leave(); });
    m.def("call_all", &call_all, py::arg("functions"), "Call functions, with no instruction of Python in between.");
}

}  // namespace adamcore::python
