#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "gate/view.hpp"

namespace adamcore::cuda {

/// The device that this memory is on, or -1 if it is on none. Defined by the runtime; __cuda_array_interface__ does
/// not tell.
int device_of(const void* memory);

}  // namespace adamcore::cuda

/// The one gate for arrays in CUDA memory: what comes in is used in place, or refused with the reason. It knows neither
/// the CUDA runtime nor any library's headers.
namespace adamcore::python {

enum class Library : std::uint8_t { cupy, torch, other };

/// For sets of libraries.
constexpr unsigned bit_of(Library library) { return 1u << static_cast<unsigned>(library); }

/// A CUDA array's memory as the kernels use it. Moved, never copied: `view` points into `axes`.
struct DeviceArray {
    ArrayView view;
    std::vector<Py_ssize_t> axes;  ///< the shape, then the strides in bytes
    int device = 0;                ///< of an array without elements, whose memory is nowhere, perhaps 0
    bool read_only = false;
    Library library = Library::other;
    /// Where work on it may still be queued, to be waited for: a cudaStream_t handle (1 legacy, 2 per-thread). None if
    /// there is nothing to wait for, because the stream that will use it was made to wait, or the library says so.
    std::optional<std::uintptr_t> stream;
    py::object owner;  ///< keeps the memory

    DeviceArray() = default;
    DeviceArray(DeviceArray&&) = default;
    DeviceArray& operator=(DeviceArray&&) = default;
};

/// Adds a stream that is not among them yet.
inline void add_unique(std::uintptr_t stream, std::vector<std::uintptr_t>& streams) {
    if (std::find(streams.begin(), streams.end(), stream) == streams.end()) streams.push_back(stream);
}

/// Whether this is something in CUDA memory. Raises nothing.
bool is_device_array(py::handle object);

/// An array of CuPy, PyTorch or any library that speaks DLPack or __cuda_array_interface__. `stream` is the one that will
/// use it. Raises TypeError or ValueError that begins with `label` for what is not in CUDA memory, or not fit to be used
/// in place: as view_of does for NumPy's.
DeviceArray device_array(py::handle object, Access access, const std::string& label, std::uintptr_t stream);

/// Holds arrays to one device, for which the first with elements decides while `device` is -1. Raises ValueError, which
/// begins with `label`, for one on another device than `others`.
void require_device(const DeviceArray& array, int& device, const char* others, const std::string& label);

/// The library's current stream on that device; none for those that have no such notion, or that no one has imported.
std::optional<std::uintptr_t> current_stream(Library library, int device);

}  // namespace adamcore::python
