#include "interface.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "adamcore/storage/layout.hpp"
#include "gate/foreign.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

constexpr const char* remedy_for_order = " is not in this machine's byte order";

[[noreturn]] void refuse_field(const char* name, py::handle value, const std::string& label) {
    throw py::value_error(label + ": its __cuda_array_interface__ has the " + name + " " + repr_of(value) +
                          ", which is invalid");
}

/// "bfloat16" of "bfloat16", "torch.bfloat16" and the like.
std::string last_word(py::handle dtype) {
    const auto text = py::str(dtype).cast<std::string>();
    return text.substr(text.rfind('.') + 1);
}

/// "<V2" may be any type of two bytes, so the object's own dtype must tell.
Element element_of_typestr(py::handle object, const std::string& typestr, const std::string& label) {
    if (typestr == "<f4") return {Dtype::float32};
    if (typestr == "<f8") return {Dtype::float64};
    if (typestr == "<f2") return {Dtype::float16};
    if (typestr == "<c8") return {Dtype::float32, true};
    if (typestr == "<c16") return {Dtype::float64, true};
    if (typestr.size() == 3 && typestr.compare(1, 2, "V2") == 0) {
        const py::object dtype = find_attr(object, interned("dtype"));
        if (dtype && last_word(dtype) == "bfloat16") return {Dtype::bfloat16};
    }
    if (typestr == ">f2" || typestr == ">f4" || typestr == ">f8" || typestr == ">c8" || typestr == ">c16")
        throw py::type_error(label + ": dtype " + typestr + remedy_for_order);
    refuse_dtype(typestr, label);
}

/// Reads the fields of the dict, or raises an error that gives the reason.
class Fields {
public:
    Fields(py::handle fields, const std::string& label) : label_(label) {
        if (!PyDict_Check(fields.ptr())) refuse_field("value", fields, label);
        fields_ = py::reinterpret_borrow<py::dict>(fields);
    }

    /// None where there is none.
    py::object optional(const char* name) const {
        return fields_.contains(name) ? py::object(fields_[name]) : py::none();
    }

    template <class T>
    T get(const char* name) const {
        const py::object value = optional(name);
        try {
            return value.cast<T>();
        } catch (const py::cast_error&) {
            refuse_field(name, value, label_);
        }
    }

    /// Returns the number of elements.
    int append_axes(const char* name, std::vector<Py_ssize_t>& axes) const {
        const py::object value = optional(name);
        const std::size_t before = axes.size();
        try {
            if (!PyTuple_Check(value.ptr())) refuse_field(name, value, label_);
            append_integers(value, axes);
        } catch (const py::cast_error&) {
            refuse_field(name, value, label_);
        }
        if (axes.size() - before > static_cast<std::size_t>(max_axes)) refuse_field(name, value, label_);
        return static_cast<int>(axes.size() - before);
    }

private:
    py::dict fields_;
    const std::string& label_;
};

/// None, 1 (legacy), 2 (per thread) or a handle. 0 is ambiguous between the two default streams, so it is not allowed.
std::optional<std::uintptr_t> stream_of(const Fields& fields, const std::string& label) {
    const py::object stream = fields.optional("stream");
    if (stream.is_none()) return std::nullopt;
    const auto handle = fields.get<std::uintptr_t>("stream");
    if (handle == 0) refuse_field("stream", stream, label);
    return handle;
}

}  // namespace

Interface read_interface(py::handle object, py::handle dict, const std::string& label) {
    const Fields fields(dict, label);
    if (fields.get<int>("version") < 2) refuse_field("version", fields.optional("version"), label);
    if (!fields.optional("mask").is_none()) throw py::type_error(label + ": masked arrays are not supported");
    Interface read;
    read.element = element_of_typestr(object, fields.get<std::string>("typestr"), label);
    std::tie(read.data, read.read_only) = fields.get<std::pair<std::uintptr_t, bool>>("data");
    read.ndim = fields.append_axes("shape", read.axes);
    const bool empty = std::find(read.axes.begin(), read.axes.end(), 0) != read.axes.end();
    if (read.data == 0 && !empty) refuse_field("data", fields.optional("data"), label);
    const py::object strides = fields.optional("strides");
    if (!strides.is_none() && fields.append_axes("strides", read.axes) != read.ndim)
        refuse_field("strides", strides, label);
    read.stream = stream_of(fields, label);
    return read;
}

Element element_of_object(py::handle dtype, const std::string& label) {
    static const py::handle char_name = interned("char"), native_name = interned("isnative");
    const auto code = dtype.attr(char_name).cast<std::string>();
    if (!dtype.attr(native_name).cast<bool>())
        throw py::type_error(label + ": dtype " + py::str(dtype).cast<std::string>() + remedy_for_order);
    if (code == "f") return {Dtype::float32};
    if (code == "d") return {Dtype::float64};
    if (code == "e") return {Dtype::float16};
    if (code == "F") return {Dtype::float32, true};
    if (code == "D") return {Dtype::float64, true};
    const auto name = last_word(dtype);
    if (name == "bfloat16") return {Dtype::bfloat16};
    refuse_dtype(name, label);
}

void append_integers(py::handle sequence, std::vector<Py_ssize_t>& values) {
    for (const py::handle value : py::tuple(py::reinterpret_borrow<py::object>(sequence)))
        values.push_back(value.cast<Py_ssize_t>());
}

}  // namespace adamcore::python
