#include "cpu/calls.hpp"

#include "adamcore/cpu/engine.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/host_optimizer.hpp"
#include "cpu/norms.hpp"
#include "cpu/scratch.hpp"
#include "gate/arrays.hpp"
#include "gate/walk.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// For norms, which do not depend on the memory layout of arrays.
Order order_of_numbers(const ArrayView& view) { return c_order(view.ndim); }

}  // namespace

/// Arrays that are walked in the order `order_of(view)`.
struct HostCalls::Readings {
    Readings(const std::vector<Taken>& arrays, Order (*order_of)(const ArrayView&)) {
        walks.reserve(arrays.size());
        for (const Taken& taken : arrays) {
            const ArrayView& view = taken.view;
            walks.emplace_back(view, order_of(view));
            all.push_back({view.data, view.size, view.dtype, walks.back().axes()});
        }
    }
    Readings(const Readings&) = delete;
    Readings& operator=(const Readings&) = delete;

    std::vector<Walk> walks;
    std::vector<norm::Reading> all;
};

HostCalls::HostCalls() = default;
HostCalls::~HostCalls() = default;

Gate HostCalls::gate() {
    return {as_numpy, [](const py::object& array, Access access, const std::string& label) -> Taken {
                return {view_of(array, access, label), owner_of(array.ptr()), array};
            }};
}

void HostCalls::update(const CheckedUpdate& checked) {
    const std::vector<Tensor>& tensors = checked.tensors;
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    const auto count = static_cast<std::int64_t>(tensors.size());
    const int parts = cpu::plan_step(tensors.data(), count, threads.size(), cuts);
    Scratch scratch;
    const cpu::Workspace workspace = scratch.for_step(&checked.group, 1, tensors.data(), tensors.size());
    const GilRelease release;
    cpu::step(kernels(), &checked.group, tensors.data(), cuts, parts, threads, {}, false, nullptr, workspace);
}

Measurement HostCalls::measure(const std::vector<Taken>& arrays, Clip clip, double limit) {
    // Both are done before the GIL is released, because a view borrows its shape from the array.
    const Readings to_measure(arrays, order_of_numbers);
    if (clip != Clip::none) to_rescale_ = std::make_unique<Readings>(arrays, memory_order);
    Norms norms;
    for (const norm::Reading& reading : to_measure.all) {
        if (reading.size > 0) norms.add(reading);
    }
    const GilRelease release;
    norms.measure();
    const norm::Squares squares = norms.sum();
    return {norm::root(squares), clip == Clip::none ? 1 : norm::clip_factor(squares, 1, limit)};
}

void HostCalls::rescale(const std::vector<Taken>& arrays, Scale factor, double limit) {
    if (!to_rescale_) to_rescale_ = std::make_unique<Readings>(arrays, memory_order);
    const std::vector<norm::Reading>& readings = to_rescale_->all;
    const cpu::Threads threads = pool();
    plan::Cut cuts[cpu::max_parts + 1];
    std::vector<std::int64_t> first_leaf(readings.size() + 1);
    const auto count = static_cast<std::int64_t>(readings.size());
    const GilRelease release;
    const int parts = cpu::plan_norm(readings.data(), count, threads.size(), cuts, first_leaf.data());
    cpu::rescale(kernels(), readings.data(), cuts, parts, threads, factor, limit);
}

void gather(const py::array& block, const py::list& arrays) {
    Copies copies;
    auto* at = static_cast<char*>(py::array(block).mutable_data());
    const char* const end = at + block.nbytes();
    for (const py::handle each : arrays) {
        const auto array = py::reinterpret_borrow<py::array>(each);
        const auto bytes = static_cast<std::size_t>(array.nbytes());
        if (bytes > static_cast<std::size_t>(end - at)) throw py::value_error("gather: the block is too small");
        if (bytes > 0) copies.push_back({at, array.data(), bytes});
        at += bytes;
    }
    const GilRelease release;
    HostOptimizer::run(copies);
}

}  // namespace adamcore::python
