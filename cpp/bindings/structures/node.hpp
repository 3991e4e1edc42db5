#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include <pybind11/pybind11.h>

#include "runtime/dict_version.hpp"
#include "runtime/prefetch.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// A node of the structure in which a user passes arrays: an array, or a container and the nodes in it.
///
/// Arrays are numbered in the order in which they are met, so the numbers of those under one node are consecutive.
struct Node {
    enum class Kind : std::uint8_t {
        array,
        sequence,
        pairs,   ///< a sequence of tuples (key, value)
        mapping  ///< from keys to values
    };

    Kind kind = Kind::array;
    std::size_t first = 0;           ///< the number of the first array under this node
    std::size_t count = 1;           ///< how many arrays are under it
    std::vector<py::object> keys{};  ///< of a mapping or of pairs
    std::vector<Node> children{};    ///< empty if all of them are arrays
    std::size_t number = 0;          ///< of the container among those of the structure
    mutable DictVersion version{};   ///< of the user's dict when Containers last looked through it

    bool is_flat() const { return children.empty(); }
    std::size_t size() const { return is_flat() ? count : children.size(); }
};

/// A whole structure.
struct Tree {
    Node root;
    std::size_t containers = 0;  ///< how many containers it has
};

/// Reads Python's description of a structure: an int stands for an array, a list for a sequence, a dict for a mapping,
/// and a tuple for pairs. The arrays in it are numbered from `first`.
Tree read_tree(py::handle tree, std::size_t first);
/// The description from which a structure was read.
py::object write_tree(const Node& node);

/// A loop over the containers in a sequence prefetches their headers this many items ahead, because they are scattered
/// in memory.
inline constexpr std::size_t containers_ahead = 8;

inline void prefetch_item(PyObject* const* items, std::size_t position, std::size_t count) {
    if (position + containers_ahead < count) prefetch_line(items[position + containers_ahead]);
}

/// Writes the arrays of `object` to `found`, borrowed, at their numbers. Returns false unless the object has the
/// structure of `node`, in lists, tuples and dicts that can be read without running foreign code.
bool collect(const Node& node, PyObject* object, PyObject** found);

/// Finds values in a dict that stays as it is, without running foreign code.
class DictItems {
public:
    explicit DictItems(PyObject* dict);

    /// The value of a key, borrowed, or null. If comparing keys might run foreign code, only the very object is found.
    PyObject* find(PyObject* key) const;

private:
    PyObject* dict_;
    bool has_plain_keys_;
    std::unordered_map<PyObject*, PyObject*> by_identity_;  ///< all items, if keys are not plain
};

/// Whether all keys of a dict are of types that are compared without running foreign code.
bool has_plain_keys(PyObject* dict);

}  // namespace adamcore::python
