#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"
#include "optimizer/names.hpp"

/// What is saved of an optimizer and what is loaded into one: the same for the CPU and for CUDA, whose memory alone
/// differs.
namespace adamcore::python {

namespace py = pybind11;

/// An array of a parameter's state. It is dense.
struct StateArray {
    py::str name;
    py::dtype dtype;
    std::vector<Py_ssize_t> shape, strides;
    void* data = nullptr;
    std::size_t bytes = 0;
    bool nonnegative = false;  ///< whether no element can be below 0
};

/// The arrays of a tensor's state, whose elements are counted in `order`.
std::vector<StateArray> arrays_of(const Tensor& tensor, const RuleInfo& rule, const ShapeAndStrides& shape,
                                  const Order& order);

/// All arrays of all parameters, in order.
using StateArrays = std::vector<std::vector<StateArray>>;

/// Bytes to be copied from one place to another.
struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
};

using Copies = std::vector<Copy>;

/// {name: {"step": n, slot: a new NumPy array, ...}} with the copies that fill it. Raises MemoryError that names the
/// array.
std::pair<py::dict, Copies> make_snapshot(const StateArrays& arrays, const std::vector<std::int64_t>& steps,
                                          const Names& names);

/// What load_state_dict() has been given, checked.
struct Checkpoint {
    std::vector<std::int64_t> steps;  ///< by parameter
    std::vector<py::object> sources;  ///< NumPy arrays in the layout of the state's, parameter after parameter
};

/// Whether some bytes are among those that will be written.
using IsOwn = std::function<bool(const void* begin, const void* end)>;

/// Checks the dict that make_snapshot() makes. `to_numpy(array)` makes other libraries' arrays NumPy's. Raises TypeError
/// or ValueError that names the array: for names, dtypes, shapes and counts that do not fit, for masked arrays, NaN, and
/// numbers below 0 where there can be none.
Checkpoint read_checkpoint(const py::object& state, const StateArrays& arrays, const Names& names, const IsOwn& is_own,
                           const py::function& to_numpy);

/// What brings a checkpoint's arrays to the state's.
Copies copies_of(const Checkpoint& checkpoint, const StateArrays& arrays);

/// New values for keys that dicts have already. Made first, applied last: apply() cannot fail, and runs no code, since
/// the old values are kept until this goes.
class DictUpdates {
public:
    /// `groups` are the dicts, `values` a list of as many dicts.
    DictUpdates(const std::vector<py::dict>& groups, const py::list& values);
    void apply() noexcept;

private:
    struct Update {
        py::dict dict;
        py::object key, value, old;
    };
    std::vector<Update> updates_;
};

}  // namespace adamcore::python
