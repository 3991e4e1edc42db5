#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/norms.hpp"
#include "gate/walk.hpp"

namespace adamcore::python {

/// How the units of adaptive clipping are walked. It is kept from step to step, and allocates only if something has
/// changed.
///
/// A unit is what one index of the first axis selects, or a whole array with fewer than two axes.
class Units {
public:
    static std::int64_t count_of(const ArrayView& view) { return view.own_ndim() < 2 ? 1 : view.shape[0]; }

    /// Adds the units of a tensor's parameter, and then those of its gradient, to the arrays to be measured.
    void add(std::size_t tensor, const ArrayView& param, const ArrayView& grad, Norms& norms);

    /// Makes room for the sums of whole tensors.
    std::vector<norm::Squares> totals;

private:
    struct Known {
        Dtype dtype = Dtype::float32;
        std::vector<Py_ssize_t> strides;
        Walk walk;
        bool is_walked = false;

        /// The walk of one unit. The array may move, and its strides and dtype may change, but not its shape.
        const Walk& unit_of(const ArrayView& view);
    };
    struct Pair {
        Known param, grad;
    };

    std::vector<Pair> known_;  ///< by tensor
};

}  // namespace adamcore::python
