#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/clip.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/scale.hpp"
#include "adamcore/tensor.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"

/// Arrays that come without an optimizer, looked at before anything is done of them. What an array is, the modules of the
/// CPU and of CUDA say.
namespace adamcore::python {

/// An array that has been let in.
struct Taken {
    ArrayView view;
    const void* owner = nullptr;  ///< as owner_of() says
    py::object keepalive;         ///< of the memory
    std::shared_ptr<const std::vector<Py_ssize_t>>
        axes{};  ///< what `view` points into, where that is not the array's own
};

/// How arrays are let in. Either raises TypeError or ValueError that begins with the label.
struct Gate {
    /// Makes an object one that can be looked at without running anyone's code; for all objects before any is looked at.
    std::function<py::object(const py::object& array, Access access, const std::string& label)> prepare;
    std::function<Taken(const py::object& prepared, Access access, const std::string& label)> look;
};

/// One update of bare arrays: `state[slot][i]` belongs to `params[i]`, whose update has number `t[i]`.
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

/// The same, held against each other.
struct CheckedUpdate {
    Group group;
    std::vector<Tensor> tensors;
    std::vector<std::unique_ptr<OwnedLayout>> layouts;
    std::vector<py::object> keepalive;
};

/// The norm of arrays, and what they are to be multiplied with.
struct Measurement {
    double norm;
    Scale factor;
};

/// Raises before anything has changed.
CheckedUpdate check(const BareUpdate& update, const Gate& gate);

/// Says that parameters and state have been written to.
void note_written(const BareUpdate& update);

/// Lets arrays in that are only read.
std::vector<Taken> take_all(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate);

/// Lets arrays in that are written, each apart from the others.
std::vector<Taken> take_written(const py::list& arrays, const std::vector<std::string>& labels, const Gate& gate);

}  // namespace adamcore::python
