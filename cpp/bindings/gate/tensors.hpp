#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include <pybind11/pybind11.h>

#include "gate/dlpack_abi.hpp"
#include "gate/foreign.hpp"
#include "gate/view.hpp"
#include "runtime/prefetch.hpp"

/// PyTorch's tensors, seen through C functions instead of Python code.
namespace adamcore::python {

/// A type whose tensors tell their address, dtype, shape, strides and device: torch.Tensor, torch.nn.Parameter, and
/// types derived from them that have an interface of their own. Others may have no memory (FakeTensor), or other
/// numbers than those in memory, and go through `__dlpack__`.
///
/// Since version 2.10, PyTorch has DLPack's exchange interface for this. Before, torch._C._to_dlpack tells it, which
/// takes less time than data_ptr(), dtype, shape, stride() and device do together.
class TensorType {
public:
    /// The type of an object, or null if it is none of these. May run code of the object's metaclass.
    static const TensorType* of(py::handle object) {
        PyTypeObject* const type = Py_TYPE(object.ptr());
        const TensorType* known = find(type);
        return known ? known : discover(type);
    }

    /// The same, but only for types that of() has found. Runs no code.
    static const TensorType* if_known(py::handle object) noexcept { return find(Py_TYPE(object.ptr())); }

    /// What a tensor says of itself. It points at what belongs to the tensor or to `lent`, and is valid as long as no
    /// other code runs.
    struct Description {
        dlpack::abi::Tensor tensor{};
        py::object lent{};  ///< a capsule, if there is no exchange interface
    };

    /// Describes a tensor. Returns false if it has no memory that can be described. Runs no Python code and keeps the
    /// GIL.
    bool describe(py::handle tensor, Description& out) const noexcept {
        if (!exchange_) return lend(tensor, out);
        if (exchange_->describe(tensor.ptr(), &out.tensor) == 0) return true;
        PyErr_Clear();
        return false;
    }

    /// Prefetches what describe() reads. PyTorch's object has the address of its tensor behind the header; where it has
    /// something else there, this does nothing useful, and no harm.
    static void prefetch(PyObject* tensor) noexcept {
        if (Py_TYPE(tensor)->tp_basicsize < static_cast<Py_ssize_t>(sizeof(PyObject) + sizeof(void*))) return;
        const char* implementation = nullptr;
        std::memcpy(&implementation, tensor + 1, sizeof implementation);
        for (int line = 0; line < 4; ++line) prefetch_line(implementation + 64 * line);
    }

    /// Raises ValueError, which starts with `label()`, for a lazy negative view, whose memory contains the negated
    /// elements, and, if the tensor must be complex, for a lazy conjugate: no interface conveys this. PyTorch lets go of
    /// the GIL here, so that other threads may run.
    template <class Label>
    void require_resolved(py::handle tensor, bool is_complex, Label&& label) const {
        try {
            if (says(is_neg_, tensor)) refuse_negative(label());
            if (is_complex && says(is_conj_, tensor)) refuse_conjugate(label());
        } catch (py::error_already_set& error) {
            refuse_because(error, label(), "the tensor cannot be used");
        }
    }

    /// PyTorch's current stream on a CUDA device, as a cudaStream_t handle. Empty if it does not say.
    std::optional<std::uintptr_t> current_stream(int device) const noexcept;

private:
    static const TensorType* find(PyTypeObject* type) noexcept {
        for (const TensorType* known = known_; known != known_ + count_; ++known) {
            if (known->type_ == type) return known;
        }
        return nullptr;
    }
    static const TensorType* discover(PyTypeObject* type);
    bool lend(py::handle tensor, Description& out) const noexcept;
    /// A method without arguments that returns True or False, or none: PyTorch did not always have these. A function in
    /// C is called without the method around it, which takes as long as the function itself.
    struct Method {
        PyObject* object = nullptr;
        PyCFunction function = nullptr;
    };
    static Method find_method(const py::object& type, py::handle name);
    static bool says(const Method& method, py::handle tensor);
    PyTypeObject* type_ = nullptr;
    Method is_neg_, is_conj_;
    PyObject* to_dlpack_ = nullptr;  ///< the C function, if there is no exchange interface
    const dlpack::abi::Exchange* exchange_ = nullptr;

    // What has been found stays for the life of the process: these types do, too.
    static constexpr std::size_t most_ = 8;
    static TensorType known_[most_];
    static std::size_t count_;
};

/// Whether a tensor has elements of this type, this shape and, in bytes, these strides. Strides that are never used do not
/// count.
bool is_like(const dlpack::abi::Tensor& tensor, Element element, int ndim, const Py_ssize_t* shape,
             const Py_ssize_t* strides) noexcept;

/// The address of a tensor's memory.
inline const char* address_of(const dlpack::abi::Tensor& tensor) {
    return tensor.data ? static_cast<const char*>(tensor.data) + tensor.byte_offset : &no_elements;
}

}  // namespace adamcore::python
