#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"
#include "regions/regions.hpp"
#include "state/layout.hpp"
#include "structures/names.hpp"

/// Saving and loading an optimizer's state. It is the same for the CPU and for CUDA, which differ only in the memory.
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

/// The state arrays of a tensor, which has `arrays` for `slots`, and whose elements are counted in `order`.
std::vector<StateArray> arrays_of(const Tensor& tensor, const RuleSlots& slots, const SlotArrays& arrays,
                                  const ShapeAndStrides& shape, const Order& order);

/// All arrays of all parameters, in order.
using StateArrays = std::vector<std::vector<StateArray>>;

/// Bytes to be copied from one place to another.
struct Copy {
    void* to;
    const void* from;
    std::size_t bytes;
};

using Copies = std::vector<Copy>;

/// Contents of arrays in a block of CPU memory, from where they can be put back.
class Aside {
public:
    /// One array more. Called before out().
    void add(void* array, std::size_t bytes) {
        if (bytes > 0) back_.push_back({array, nullptr, bytes});
    }
    /// Allocates memory, and returns the copies that fill it.
    Copies out() {
        std::size_t room = 0;
        for (const Copy& copy : back_) room += copy.bytes;
        memory_ = std::make_unique<std::byte[]>(room);
        Copies copies;
        std::byte* at = memory_.get();
        for (Copy& copy : back_) {
            copy.from = at;
            copies.push_back({at, copy.to, copy.bytes});
            at += copy.bytes;
        }
        return copies;
    }
    /// The copies that put everything back.
    const Copies& back() const { return back_; }

private:
    std::unique_ptr<std::byte[]> memory_;
    Copies back_;
};

/// Returns a new NumPy array like a state array, and adds the copy that fills it to `copies`. Raises a MemoryError that
/// says `where()`.
py::array copy_of(const StateArray& array, const std::function<std::string()>& where, Copies& copies);

/// A state array as a NumPy array that is a view of its memory, which must stay there. It must be in the CPU's memory.
py::array view_of(const StateArray& array);

/// How a state array becomes a NumPy array. The text is called for what errors call it.
using ToNumpy = std::function<py::array(const StateArray&, const std::function<std::string()>&)>;

/// Returns {name: {"step": n, slot: a NumPy array, ...}}. Where it matters (`begins`, by parameter) that state has not
/// begun although there have been steps, "begun" is 0.
py::dict make_snapshot(const StateArrays& arrays, const std::vector<Progress>& progress,
                       const std::vector<bool>& begins, const Names& names, const ToNumpy& to_numpy);

/// The slots that a checkpoint has for `members`, the parameters of a cohort: those of the `rule` that hyper-parameters
/// select, and of other rules of the `family` as far as there are arrays. Slots of that rule may be absent if "begun" is
/// 0: hyper-parameters had selected it since the last step, so there was no such state yet.
RuleSlots saved_slots(const py::object& state, const Names& names, const std::vector<std::size_t>& members,
                      std::size_t rule, const std::vector<std::size_t>& family);

/// The checked argument of load_state_dict().
struct Checkpoint {
    std::vector<Progress> progress;   ///< by parameter
    std::vector<py::object> sources;  ///< NumPy arrays in the layout of the state's, parameter after parameter
};

/// Checks a dict from make_snapshot(). `to_numpy(array)` converts arrays of other libraries to NumPy. Raises TypeError
/// or ValueError that names the array if names, dtypes, shapes or counts do not match, and for masked arrays; if `checked`, also
/// for NaN, and for negative numbers where they are impossible. Arrays that share memory with `written` are copied.
Checkpoint read_checkpoint(const py::object& state, const StateArrays& arrays, const Names& names,
                           const Regions& written, const py::function& to_numpy, bool checked);

/// An array of a checkpoint as a NumPy array that can be examined without running foreign code. `where` starts messages.
py::object plain_array(const py::object& given, const py::function& to_numpy, const std::string& where);
/// The same in the layout of a state array. Raises an error unless dtype and shape match. An array that shares memory with
/// `written` is copied.
py::object read_array(const py::object& array, const StateArray& like, const std::string& where,
                      const Regions& written);

/// The same for an array that need not be dense. If it is not, the result is dense and in C order, and else it has the
/// strides of `like`.
py::object read_strided(const py::object& array, const StateArray& like, bool is_dense, const std::string& where,
                        const Regions& written);

/// The copies that bring the arrays of a checkpoint into the state.
Copies copies_of(const Checkpoint& checkpoint, const StateArrays& arrays);

/// A dict of numbers by name.
py::dict saved_numbers(const std::vector<const char*>& names, const std::vector<double>& numbers);

/// Reads what saved_numbers() returned. Raises TypeError or ValueError, which names the number, if one is missing,
/// surplus or no real number, and if `checked`, also if it is not finite.
std::vector<double> loaded_numbers(const py::object& given, const std::vector<const char*>& names, bool checked);

}  // namespace adamcore::python
