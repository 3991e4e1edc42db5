#pragma once

#include <vector>

#include <pybind11/pybind11.h>

#include "checkpoint/checkpoint.hpp"

/// Parameters in checkpoints. Unlike state, they need not be dense.
namespace adamcore::python {

namespace py = pybind11;

/// Whether the elements lie in memory without gaps, in the order of the strides.
struct WeightArray {
    StateArray array;
    bool is_dense = true;
};

/// New contents of parameters, which have been checked.
class NewWeights {
public:
    /// `contents` maps each of the `names` to an array. Raises TypeError or ValueError that names the array, as
    /// read_checkpoint() does.
    static NewWeights read(const py::object& contents, std::vector<WeightArray> arrays, const Names& names,
                           const Regions& written, const py::function& to_numpy);

    /// The copies that bring what is dense.
    Copies dense() const;
    /// Brings the rest, in the CPU's memory.
    void overlay() const noexcept;

    /// What dense() leaves, on a device: the bytes from the first to the last element of a parameter, or of several
    /// whose bytes overlap. They are to be copied to the CPU with `out`, and with the new elements back with `back`,
    /// before dense(), because dense parameters may lie in the gaps.
    struct Spans {
        std::vector<std::vector<char>> blocks;
        Copies out, back;
    };
    /// Call overlay_on() between `out` and `back`.
    Spans spans() const;
    void overlay_on(const Spans& spans) const noexcept;

private:
    struct Rest {
        StateArray array;
        const char* from;
        std::vector<Py_ssize_t> from_strides;

        /// Copies the elements to memory whose first one is `to`, with the strides of the parameter.
        void copy_to(char* to) const noexcept;
    };

    std::vector<py::object> sources_;
    Copies dense_;
    std::vector<Rest> rest_;
};

/// A copy of a parameter on a device as a NumPy array, in a block of its own. Adds the copy that fills it to `copies`.
py::array copy_with_gaps(const StateArray& array, Copies& copies);

}  // namespace adamcore::python
