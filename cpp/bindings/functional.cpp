#include "functional.hpp"

#include "adamcore/cpu/engine.hpp"
#include "arrays.hpp"
#include "settings.hpp"

namespace adamcore::python {

Taken take_numpy(const py::object& object, Access access, const std::string& label) {
    const py::object array = as_numpy(object, access, label);
    return {view_of(array, access, label), array, owner_of(array.ptr()), array};
}

void update(const BareUpdate& bare) {
    const CheckedUpdate checked = check(bare, take_numpy);
    const std::vector<Tensor>& tensors = checked.tensors;
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, threads.size(), cuts);
    const py::gil_scoped_release release;
    cpu::step(kernels(), &checked.group, tensors.data(), cuts, parts, threads);
}

}  // namespace adamcore::python
