#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "gate/view.hpp"

/// Arrays that other libraries lend through DLPack (dmlc.github.io/dlpack, data-apis.org/array-api), used in place.
namespace adamcore::python::dlpack {

namespace abi {
struct Tensor;
}

/// As in the ABI: the kind of memory, and the index of the device.
struct Device {
    std::int32_t type = 0;
    std::int32_t id = 0;

    bool is_host() const { return type == 1 || type == 3; }   ///< the CPU's own, or pinned for CUDA
    bool is_cuda() const { return type == 2 || type == 13; }  ///< a device's own, or managed
};

/// An array and the object that lends its memory. Moved but never copied, because `view` points into `axes`.
struct Loan {
    ArrayView view;
    std::vector<Py_ssize_t> axes;  ///< the shape, then the strides in bytes
    Device device;
    bool read_only = true;
    py::object owner;  ///< gives the memory back when it goes

    Loan() = default;
    Loan(Loan&&) = default;
    Loan& operator=(Loan&&) = default;
};

/// Whether the object supports DLPack.
bool is_producer(py::handle object);

/// The device on which the object says its memory is. Raises ValueError if the object raises an error.
Device device_of(py::handle object, const std::string& label);

/// The stream that is passed to __dlpack__. CPU memory has none.
struct Stream {
    std::optional<std::int64_t> number;
    bool was_told = false;  ///< set by borrow: whether the producer took it
};

/// Sets what a tensor of the ABI says about its memory, which is all but the owner and whether it is read-only. Raises
/// TypeError or ValueError that starts with `label` if the kernels do not support its dtype, or if there can be no such
/// array.
void look_at(const abi::Tensor& tensor, Loan& loan, const std::string& label);

/// Borrows the memory. Raises TypeError or ValueError that starts with `label` if the kernels do not support the dtype,
/// or if the capsule is invalid. With Access::write, also if the producer makes a copy or does not say whether the
/// memory is writable (before version 1 of DLPack, as with JAX, whose arrays are immutable). require_usable() checks
/// the rest: whether it is read-only, aligned and free of overlapping elements.
Loan borrow(py::handle object, Access access, Stream& stream, const std::string& label);

}  // namespace adamcore::python::dlpack
