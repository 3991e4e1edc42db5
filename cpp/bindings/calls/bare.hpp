#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/optimizer/clip.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/tensor.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"

/// Updates and norms of arrays without an optimizer. All arrays are checked before any is written. The modules for the
/// CPU and for CUDA define what counts as an array.
namespace adamcore::python {

/// An array that the gate has accepted.
struct Taken {
    ArrayView view;
    const void* owner = nullptr;  ///< as owner_of() says
    py::object keepalive;         ///< of the memory
    std::shared_ptr<const std::vector<Py_ssize_t>>
        axes{};  ///< what `view` points into, where that is not the array's own
};

/// How arrays are accepted. Both functions raise TypeError or ValueError that starts with the label.
struct Gate {
    /// Converts an object to one that can be examined without running foreign code. Call it for all objects before you
    /// call look() for any.
    std::function<py::object(const py::object& array, Access access, const std::string& label)> prepare;
    std::function<Taken(const py::object& prepared, Access access, const std::string& label)> look;
};

/// One update of plain arrays. `state[slot][i]` belongs to `params[i]`, and `t[i]` is the number of its update.
struct BareUpdate {
    std::string rule;
    std::string owner;  ///< begins messages about hyper-parameters
    py::dict hyper;
    bool maximize = false;
    py::list params, grads;
    std::vector<py::list> state;
    std::vector<std::int64_t> t;
    std::vector<std::string> names;              ///< the arguments', for messages: parameters, gradients, each slot
    bool indexed = false;                        ///< whether the user passed lists
    std::map<std::string, std::string> renamed;  ///< what hyper-parameters are called
};

/// The same update after all checks.
struct CheckedUpdate {
    Group group;
    std::vector<Tensor> tensors;
    std::vector<std::unique_ptr<OwnedLayout>> layouts;
    std::vector<py::object> keepalive;
};

/// The norm of arrays, and the factor by which they are to be multiplied.
struct Measurement {
    double norm;
    Scale factor;
};

/// Raises an error before anything has changed.
CheckedUpdate check(const BareUpdate& update, const Gate& gate);

/// Notifies libraries that parameters and state have been written.
void note_written(const BareUpdate& update);

/// Accepts arrays that are only read.
std::vector<Taken> take_all(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate);

/// Accepts arrays that are written, and raises an error if two of them share memory.
std::vector<Taken> take_written(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate);

}  // namespace adamcore::python
