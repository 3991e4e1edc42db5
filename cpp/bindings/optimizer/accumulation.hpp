#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "adamcore/passes/leaves.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/tensor.hpp"
#include "checkpoint/checkpoint.hpp"
#include "gate/view.hpp"
#include "state/change.hpp"

/// Gradients that are added up over several calls before a step uses their mean.
namespace adamcore::python {

namespace py = pybind11;

/// The sum of one parameter's gradients: a dense array whose elements are counted as those of its state.
struct Sum {
    void* data = nullptr;  ///< of the compute type; null until a window needs it
    void* wide = nullptr;  ///< of float64, for a single gradient that `data` would round; null until a window needs it
    bool is_open = false;  ///< whether the window has a gradient of this parameter
    bool is_wide = false;  ///< whether it is in `wide`, because it is of the window's only leaf

    const void* grad() const { return !is_open ? nullptr : is_wide ? wide : data; }
};

/// A pass over sums that is part of the addition of a leaf: tensors whose parameter is the sum.
struct LeafPass {
    leaf::Pass pass;
    leaf::Weights weights{};
    std::vector<Tensor> tensors{};
    std::vector<std::size_t> places{};  ///< of their parameters in the optimizer
};

/// A leaf that is going to be added.
struct Leaf {
    std::vector<LeafPass> passes;
    std::vector<Layout> layouts;  ///< of the tensors whose gradients are not dense
    /// The window after it.
    std::int64_t leaves;
    double weight;
    std::vector<Sum> sums;
};

class BoundOptimizer;

/// An optimizer's window of accumulation: the leaves since the latest step, the sum of their weights, and the sums of their
/// gradients.
///
/// A window's first leaf is stored as it is. The second leaf gives it its weight, so a single leaf is never multiplied.
class Accumulation {
public:
    explicit Accumulation(BoundOptimizer& of) : optimizer_(of) {}

    std::int64_t leaves() const { return leaves_; }
    bool is_open() const { return leaves_ > 0; }
    const std::vector<Sum>& sums() const { return sums_; }
    /// The memory of the sums, which later windows use again.
    const std::vector<StateBlock>& blocks() const { return blocks_; }
    /// By what the sums are divided.
    Scale divisor() const { return leaves_ > 1 ? Scale(weight_) : Scale(1); }

    /// Raises an error unless this is a weight that can be added.
    double checked_weight(py::handle value) const;
    /// Raises RuntimeError, which names the `call`, if the window is open.
    void require_closed(const char* call) const;
    /// Raises ValueError unless the window is open.
    void require_leaf() const;
    /// Prepares the addition of a leaf: the gradients that the optimizer's tensors have. Raises MemoryError.
    Leaf prepare(double weight);
    /// Makes a leaf that has been added part of the window.
    void use(Leaf&& leaf) noexcept;
    void close() noexcept;
    /// Exchanges the windows of two optimizers.
    void swap(Accumulation& other) noexcept;
    void clear() noexcept;

    /// A parameter's sum as a gradient. `strides` is what the view points at.
    ArrayView view_of(std::size_t i, const Sum& sum, std::vector<Py_ssize_t>& strides) const;

    /// None, or the open window as a dict, {"leaves": n, "weight": the sum of their weights, "sums": {name: array}}.
    /// Its arrays are those that `to_numpy` returns.
    py::object saved(const ToNumpy& to_numpy) const;
    /// The window of a checkpoint, with the copies that bring its sums.
    struct Loaded {
        std::int64_t leaves = 0;
        double weight = 0;
        std::vector<Sum> sums{};
        std::vector<std::size_t> places{};
        std::vector<py::object> sources{};
        Copies copies{};
    };
    /// Checks what saved() returned. Raises an error before anything has changed. `to_numpy` is as for read_checkpoint().
    Loaded loaded(const py::object& given, const py::function& to_numpy);
    void use(Loaded&& loaded) noexcept;

private:
    /// A sum that needs memory: of float64 if it is wide.
    struct Needed {
        std::size_t place;
        bool is_wide;
    };

    std::vector<Needed> needed_for_leaf() const;
    void allocate(const std::vector<Needed>& needed);
    StateArray array_of(std::size_t i, const Sum& sum) const;

    BoundOptimizer& optimizer_;
    std::int64_t leaves_ = 0;
    double weight_ = 0;
    std::vector<Sum> sums_;  ///< by parameter; fewer until a window needs them
    std::vector<StateBlock> blocks_;
};

}  // namespace adamcore::python
