#include "cpu/host_optimizer.hpp"

#include <algorithm>
#include <cstring>

#include "cpu/dispatch.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// The number of bytes that a thread copies at a time.
constexpr std::size_t piece = std::size_t{1} << 18;

}  // namespace

void HostOptimizer::run(const Copies& copies) noexcept {
    std::size_t bytes = 0;
    for (const Copy& copy : copies) bytes += copy.bytes;
    const std::size_t parts = std::clamp<std::size_t>(bytes / piece, 1, 256);
    // Part k copies bytes [k, k + 1) * bytes / parts of all copies, laid end to end.
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

HostOptimizer::HostOptimizer(std::string owner, const Options& options)
    : BoundOptimizer(std::move(owner), options), cuts_(cpu::max_parts + 1) {
    if (options_.state == Dtype::bfloat16) numpy_dtype({options_.state});  // raises here if ml_dtypes is missing
}

py::dict HostOptimizer::state(std::size_t tensor) const {
    use_.require_idle(owner());
    py::dict state;
    for (const StateArray& array : state_arrays(tensor)) {
        state[array.name] =
            py::array(array.dtype, array.shape, array.strides, array.data, block_of(tensor, array.data).keeper);
    }
    return state;
}

std::int64_t HostOptimizer::steps(std::size_t tensor) const {
    use_.require_readable(owner());
    return tensors_.at(tensor).step;
}

std::int64_t HostOptimizer::completed() const {
    use_.require_readable(owner());
    return completed_;
}

BoundOptimizer::Counts HostOptimizer::counts() {
    Counts counts{{}, completed_, numbers_};
    for (const Tensor& tensor : tensors_) counts.tensors.push_back({tensor.step, tensor.has_begun()});
    return counts;
}

void HostOptimizer::save(const Copies& copies) {
    const GilRelease release;
    run(copies);
}

void HostOptimizer::load(const Copies& copies, const Counts& counts) {
    save(copies);
    for (std::size_t i = 0; i < size(); ++i) {
        tensors_[i].step = counts.tensors[i].step;
        tensors_[i].first = counts.tensors[i].has_begun ? 0 : Tensor::never;
    }
    completed_ = counts.completed;
    numbers_ = counts.numbers;  // of the same size
}

int HostOptimizer::traverse(visitproc visit, void* arg) const {
    for (const Bound& bound : bound_) Py_VISIT(bound.param.ptr());
    return traverse_shared(visit, arg);
}

void HostOptimizer::clear() noexcept {
    planned_threads_ = 0;
    std::vector<Tensor>().swap(tensors_);
    const auto bound = std::move(bound_);
    const auto pins = std::move(pins_);
    const auto blocks = std::move(blocks_);
    window_.clear();
    sum_forms_.clear();
    clear_shared();
}

}  // namespace adamcore::python
