#include "cpu/host_optimizer.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/dispatch.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// What a thread copies at a time.
constexpr std::size_t piece = std::size_t{1} << 18;

/// Copies within the CPU's memory, by all threads. Needs no GIL, and cannot fail.
void run(const Copies& copies) noexcept {
    std::size_t bytes = 0;
    for (const Copy& copy : copies) bytes += copy.bytes;
    const std::size_t parts = std::clamp<std::size_t>(bytes / piece, 1, 4096);
    // Part k copies bytes [k, k + 1) * bytes / parts of all that there is, laid end to end.
    pool().run(static_cast<int>(parts), [&](int part) noexcept {
        const auto k = static_cast<std::size_t>(part);
        const std::size_t begin = bytes / parts * k, end = k + 1 == parts ? bytes : bytes / parts * (k + 1);
        std::size_t at = 0;
        for (const Copy& copy : copies) {
            const std::size_t from = std::max(begin, at), to = std::min(end, at + copy.bytes);
            if (from < to)
                std::memcpy(static_cast<char*>(copy.to) + (from - at),
                            static_cast<const char*>(copy.from) + (from - at), to - from);
            at += copy.bytes;
            if (at >= end) break;
        }
    });
}

/// The memory of state, by address.
class OwnMemory {
public:
    template <class Memory>
    explicit OwnMemory(const std::vector<Memory>& memory) {
        for (const Memory& each : memory) {
            if (each.state) blocks_.emplace_back(each.state->data(), each.state->data() + each.state->size());
        }
        std::sort(blocks_.begin(), blocks_.end());
    }

    bool meets(const void* begin, const void* end) const {
        const auto after =
            std::lower_bound(blocks_.begin(), blocks_.end(), end,
                             [](const auto& block, const void* address) { return block.first < address; });
        return after != blocks_.begin() && (after - 1)->second > begin;
    }

private:
    std::vector<std::pair<const void*, const void*>> blocks_;  // apart from each other
};

}  // namespace

Optimizer::Optimizer(std::string owner, const py::dict& options)
    : groups_(std::move(owner)), options_(read_options(options)), cuts_(cpu::max_parts + 1) {
    if (options_.state == Dtype::bfloat16) numpy_dtype(options_.state);  // so that its absence shows now
}

std::vector<StateArray> Optimizer::state_arrays(std::size_t tensor) const {
    const Tensor& t = tensors_.at(tensor);
    const Form& form = forms_[tensor];
    const RuleInfo& info = all_rules()[groups_[static_cast<std::size_t>(t.group)].rule];
    return arrays_of(t, info, form.shape, form.order);
}

StateArrays Optimizer::state_arrays() const {
    StateArrays arrays;
    for (std::size_t i = 0; i < size(); ++i) arrays.push_back(state_arrays(i));
    return arrays;
}

py::dict Optimizer::state(std::size_t tensor) const {
    use_.require_idle(groups_.owner());
    py::dict state;
    for (const StateArray& array : state_arrays(tensor)) {
        const GroupMemory& memory = memory_[static_cast<std::size_t>(tensors_[tensor].group)];
        auto owner = std::make_unique<std::shared_ptr<Slab>>(memory.state);
        const py::capsule base(owner.get(), [](void* p) { delete static_cast<std::shared_ptr<Slab>*>(p); });
        (void)owner.release();
        state[array.name] = py::array(array.dtype, array.shape, array.strides, array.data, base);
    }
    return state;
}

std::int64_t Optimizer::steps(std::size_t tensor) const {
    use_.require_readable(groups_.owner());
    return tensors_.at(tensor).step;
}

std::int64_t Optimizer::completed() const {
    use_.require_readable(groups_.owner());
    return completed_;
}

py::tuple Optimizer::snapshot() {
    const Exclusive exclusive(use_, groups_.owner());
    std::vector<std::int64_t> steps;
    for (const Tensor& tensor : tensors_) steps.push_back(tensor.step);
    const auto [state, copies] = make_snapshot(state_arrays(), steps, names_);
    {
        const GilRelease release;
        run(copies);
    }
    return py::make_tuple(state, completed_);
}

void Optimizer::restore(const py::list& values, const py::object& state, std::int64_t completed,
                        const py::function& to_numpy) {
    const Exclusive exclusive(use_, groups_.owner());
    const StateArrays arrays = state_arrays();
    const OwnMemory own(memory_);
    const auto is_own = [&](const void* begin, const void* end) { return own.meets(begin, end); };
    const Checkpoint checkpoint = read_checkpoint(state, arrays, names_, is_own, to_numpy);
    DictUpdates updates(containers_.dicts(), values);
    const Copies copies = copies_of(checkpoint, arrays);
    {
        const GilRelease release;
        run(copies);
    }
    for (std::size_t i = 0; i < size(); ++i) tensors_[i].step = checkpoint.steps[i];
    completed_ = completed;
    updates.apply();
}

int Optimizer::traverse(visitproc visit, void* arg) const {
    for (const Bound& bound : bound_) Py_VISIT(bound.param.ptr());
    for (const Lender& lender : lenders_) Py_VISIT(lender.array.ptr());
    if (const int stop = groups_.traverse(visit, arg)) return stop;
    return containers_.traverse(visit, arg);
}

void Optimizer::clear() {
    planned_threads_ = 0;
    std::vector<Tensor>().swap(tensors_);
    std::vector<Form>().swap(forms_);
    regions_ = {};
    names_.clear();
    // What goes last may run anyone's code.
    auto bound = std::move(bound_);
    auto lenders = std::move(lenders_);
    auto memory = std::move(memory_);
    auto groups = std::exchange(groups_, Groups(groups_.owner()));
    auto containers = std::exchange(containers_, {});
}

}  // namespace adamcore::python
