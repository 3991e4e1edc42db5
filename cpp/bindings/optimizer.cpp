#include "optimizer.hpp"

#include <string_view>

#include "kept.hpp"

namespace adamcore::python {
Optimizer::Optimizer(std::string owner, const py::dict& options)
    : groups_(std::move(owner)), options_(read_options(options)), cuts_(cpu::max_parts + 1) {
    if (options_.state == Dtype::bfloat16) numpy_dtype(options_.state);  // so that its absence shows now
}

std::vector<std::string> Optimizer::slots(std::size_t tensor) const {
    const Tensor& t = tensors_.at(tensor);
    std::vector<std::string> names = slot_names(groups_[static_cast<std::size_t>(t.group)].rule);
    for (const Kept& kept : kept_of(t)) names.emplace_back(kept.name);
    return names;
}

py::array Optimizer::state(std::size_t tensor, std::size_t slot) const {
    const Tensor& t = tensors_.at(tensor);
    const Form& form = forms_[tensor];
    const GroupMemory& memory = memory_[static_cast<std::size_t>(t.group)];
    const std::size_t slot_count = cpu::all_rules()[groups_[static_cast<std::size_t>(t.group)].rule].slot_count;
    const auto extras = kept_of(t);
    if (slot >= slot_count + extras.size()) throw py::index_error("no such slot");
    auto* owner = new std::shared_ptr<Slab>(memory.state);
    const py::capsule base(owner, [](void* p) { delete static_cast<std::shared_ptr<Slab>*>(p); });
    const bool is_extra = slot >= slot_count;
    const std::size_t extra = slot - slot_count;
    const py::dtype dtype = is_extra && extras[extra].dtype != std::string_view("bfloat16")
                                ? py::dtype(extras[extra].dtype)
                                : numpy_dtype(is_extra ? t.dtype : t.state_dtype);
    const void* data = is_extra ? t.extra[extra] : t.state[slot];
    if (is_extra && extra == 1) return py::array(dtype, {(t.size + 7) / 8}, {1}, data, base);  // bits, not elements
    const auto& shape = form.shape;
    return py::array(dtype, std::vector<Py_ssize_t>(shape.shape(), shape.shape() + shape.ndim),
                     dense_strides(shape.ndim, shape.shape(), form.order, dtype.itemsize()), data, base);
}

namespace {
void require_count(std::int64_t steps) {
    if (steps < 0) throw py::value_error("a number of steps must be >= 0, got " + std::to_string(steps));
}
}  // namespace

void Optimizer::set_steps(std::size_t tensor, std::int64_t steps) {
    require_count(steps);
    tensors_.at(tensor).step = steps;
}

void Optimizer::set_completed(std::int64_t steps) {
    require_count(steps);
    completed_ = steps;
}

}  // namespace adamcore::python
