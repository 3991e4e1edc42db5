#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "gate/view.hpp"

namespace adamcore::cuda {

/// The device that owns this memory, or -1 if none does. The runtime defines it, because __cuda_array_interface__ does
/// not tell the device.
int device_of(const void* memory);

}  // namespace adamcore::cuda

/// The only place that accepts arrays in CUDA memory. An array is used in place, or an error gives the reason. It
/// depends on neither the CUDA runtime nor any library's headers.
namespace adamcore::python {

enum class Library : std::uint8_t { cupy, torch, other };

/// One bit for each library, for sets of libraries.
constexpr unsigned bit_of(Library library) { return 1u << static_cast<unsigned>(library); }

/// The memory of a CUDA array as the kernels use it. Moved but never copied, because `view` points into `axes`.
struct DeviceArray {
    ArrayView view;
    std::vector<Py_ssize_t> axes;  ///< the shape, then the strides in bytes
    int device = 0;                ///< may be 0 for an array without elements, which is on no device
    bool read_only = false;
    Library library = Library::other;
    /// The stream on which work on the array may still be queued, as a cudaStream_t handle (1: legacy, 2: per-thread).
    /// Empty if there is nothing to wait for, because the consuming stream already waits or because the library says
    /// so.
    std::optional<std::uintptr_t> stream;
    py::object owner;  ///< keeps the memory

    DeviceArray() = default;
    DeviceArray(DeviceArray&&) = default;
    DeviceArray& operator=(DeviceArray&&) = default;
};

/// Adds a stream to `streams` unless it is there.
inline void add_unique(std::uintptr_t stream, std::vector<std::uintptr_t>& streams) {
    if (std::find(streams.begin(), streams.end(), stream) == streams.end()) streams.push_back(stream);
}

/// Whether the object is an array in CUDA memory. Never raises an error.
bool is_device_array(py::handle object);

/// An array of CuPy, PyTorch or any library that supports DLPack or __cuda_array_interface__. `stream` is the stream
/// that will use it. Raises TypeError or ValueError that starts with `label` if it is not in CUDA memory or cannot be
/// used in place, as view_of() does for NumPy arrays.
DeviceArray device_array(py::handle object, Access access, const std::string& label, std::uintptr_t stream);

/// Raises ValueError, which starts with `label`, if an array is on another device than `others`. If `device` is -1, the
/// first array with elements sets it.
void require_device(const DeviceArray& array, int& device, const char* others, const std::string& label);

/// The library's current stream on that device. Empty if the library has no current stream or has not been imported.
std::optional<std::uintptr_t> current_stream(Library library, int device);

}  // namespace adamcore::python
