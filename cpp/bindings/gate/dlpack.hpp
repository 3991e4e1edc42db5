#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "gate/view.hpp"

/// Arrays that other libraries lend by DLPack (dmlc.github.io/dlpack, data-apis.org/array-api), used in place.
namespace adamcore::python::dlpack {

/// As in the ABI: what kind of memory, and the number of the device.
struct Device {
    std::int32_t type = 0;
    std::int32_t id = 0;

    bool is_host() const { return type == 1 || type == 3; }   ///< the CPU's own, or pinned for CUDA
    bool is_cuda() const { return type == 2 || type == 13; }  ///< a device's own, or managed
};

/// An array and what lends it. Moved, never copied: `view` points into `axes`.
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

/// Whether the object speaks DLPack.
bool is_producer(py::handle object);

/// Where the object says that its memory is. Raises ValueError if it raises.
Device device_of(py::handle object, const std::string& label);

/// What is told to __dlpack__ of streams. CPU memory has none.
struct Stream {
    std::optional<std::int64_t> number;
    bool was_told = false;  ///< set by borrow: whether the producer took it
};

/// Borrows the memory. Raises TypeError or ValueError that begins with `label`: for dtypes that the kernels do not know,
/// capsules that are none, and for Access::write where the producer makes a copy or does not say whether memory may
/// be written (before version 1 of DLPack, as JAX, whose arrays are immutable). Whether it says no, how the memory is
/// aligned and whether elements overlap is left to require_usable.
Loan borrow(py::handle object, Access access, Stream& stream, const std::string& label);

}  // namespace adamcore::python::dlpack
