#pragma once

#include <algorithm>
#include <cstdint>

#include <pybind11/pybind11.h>

#include "runtime/prefetch.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// Recognises an object that was passed before and is still alive, without keeping it alive.
///
/// A new object may be where the last one was. So an object is known for certain only by a weak reference, which takes
/// as long to make as some arrays take to examine. It is made when an object is seen a second time at one address, and
/// less and less often if it turns out that there are new objects each time.
class Recognition {
public:
    /// Whether it is the object that saw() got last.
    bool is(PyObject* object) const noexcept { return object == object_ && reference_ && referent() == object; }

    /// Prefetches what is() will read.
    void prefetch() const noexcept { prefetch_line(reference_.ptr()); }

    /// Remembers an object that is() did not recognise. Runs no code but the allocator's.
    void saw(PyObject* object) noexcept {
        if (reference_) {
            reference_ = {};
            wait_ = std::min(2 * wait_, longest_wait);
            seen_ = 0;
        }
        seen_ = object == object_ ? seen_ + 1 : 0;
        object_ = object;
        if (seen_ < wait_) return;
        seen_ = 0;
        reference_ = py::reinterpret_steal<py::object>(PyWeakref_NewRef(object, nullptr));
        if (!reference_) PyErr_Clear();
    }

    /// Recognises nothing until the next call of saw().
    void forget() noexcept { reference_ = {}; }

private:
    static constexpr int longest_wait = 64;

    /// Borrowed, or null. The GIL keeps it alive while it is compared.
    PyObject* referent() const noexcept {
#if PY_VERSION_HEX >= 0x030D0000
        PyObject* found = nullptr;
        if (PyWeakref_GetRef(reference_.ptr(), &found) < 0) PyErr_Clear();
        Py_XDECREF(found);
        return found;
#else
        PyObject* const found = PyWeakref_GET_OBJECT(reference_.ptr());
        return found == Py_None ? nullptr : found;
#endif
    }

    PyObject* object_ = nullptr;  ///< never dereferenced
    py::object reference_;        ///< weak
    int seen_ = 0, wait_ = 1;     ///< how often at this address, and how often before a reference is made
};

}  // namespace adamcore::python
