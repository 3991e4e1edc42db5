#include "cpu/functional.hpp"

#include "adamcore/cpu/engine.hpp"
#include "cpu/dispatch.hpp"
#include "gate/arrays.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

Gate numpy_gate() {
    return {as_numpy, [](const py::object& array, Access access, const std::string& label) -> Taken {
                return {view_of(array, access, label), owner_of(array.ptr()), array};
            }};
}

void update(const BareUpdate& bare) {
    const CheckedUpdate checked = check(bare, numpy_gate());
    const std::vector<Tensor>& tensors = checked.tensors;
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, threads.size(), cuts);
    {
        const GilRelease release;
        cpu::step(kernels(), &checked.group, tensors.data(), cuts, parts, threads);
    }
    note_written(bare);
}

}  // namespace adamcore::python
