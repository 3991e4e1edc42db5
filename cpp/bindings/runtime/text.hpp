#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <string>

#include <pybind11/pybind11.h>

/// Texts of Python objects in error messages.
namespace adamcore::python {

namespace text {

namespace py = pybind11;

inline constexpr std::size_t longest = 80;
inline constexpr Py_ssize_t most_elements = 8;

/// The shape of an array with axes, or null. Errors while reading it are ignored, because the message is about
/// something else.
inline py::object shape_of(py::handle object) {
    if (PyType_Check(object.ptr())) return {};
    try {
        const py::object shape = py::getattr(object, "shape", py::none());
        if (shape.is_none()) return {};
        py::tuple axes(shape);
        return axes.empty() ? py::object() : axes;
    } catch (py::error_already_set&) {
        return {};
    }
}

inline bool is_container(py::handle object) {
    return PyList_Check(object.ptr()) || PyTuple_Check(object.ptr()) || PyDict_Check(object.ptr()) ||
           PyAnySet_Check(object.ptr());
}

/// Whether a container has only a few items without parts of their own, so that its repr is short.
inline bool is_brief(py::handle container) {
    if (PyObject_Size(container.ptr()) > most_elements || PyDict_Check(container.ptr())) return false;
    for (const py::handle element : container) {
        if (is_container(element) || shape_of(element)) return false;
    }
    return true;
}

}  // namespace text

inline std::string type_name(pybind11::handle object) { return Py_TYPE(object.ptr())->tp_name; }

/// Describes an object briefly: by its repr if that is short, and never by the elements of an array. If its repr raises an
/// error, describes it by its type; an interrupt is no error, and goes on.
inline std::string repr_of(pybind11::handle object) {
    namespace py = pybind11;
    try {
        if (const py::object shape = text::shape_of(object))
            return "an array of shape " + py::repr(shape).cast<std::string>();
        if (text::is_container(object) && !text::is_brief(object))
            return "a " + type_name(object) + " of " + std::to_string(PyObject_Size(object.ptr()));
        auto said = py::repr(object).cast<std::string>();
        const std::size_t line = said.find('\n');
        if (line == std::string::npos && said.size() <= text::longest) return said;
        // UTF-8 must not be cut within a character.
        std::size_t end = std::min(line, text::longest);
        while (end > 0 && (static_cast<unsigned char>(said[end]) & 0xC0) == 0x80) --end;
        return said.substr(0, end) + "...";
    } catch (const py::error_already_set& error) {
        if (!error.matches(PyExc_Exception)) throw;
        return "an object of type " + type_name(object);
    } catch (const py::cast_error&) {
        return "an object of type " + type_name(object);
    }
}

/// Formats a number of bytes, such as "2.5 GiB".
inline std::string size_text(std::size_t bytes) {
    constexpr std::array<const char*, 5> units{"bytes", "KiB", "MiB", "GiB", "TiB"};
    double size = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; size >= 1024 && unit + 1 < units.size(); ++unit) size /= 1024;
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", size, units[unit]);
    return text.data();
}

}  // namespace adamcore::python
