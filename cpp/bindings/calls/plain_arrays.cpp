#include "calls/plain_arrays.hpp"

#include <algorithm>

#include "gate/plain.hpp"
#include "runtime/prefetch.hpp"

namespace adamcore::python {
namespace {

enum Kind : std::size_t { param_kind, grad_kind, first_slot };

/// Headers of arrays are prefetched this many arrays ahead.
constexpr std::size_t headers_ahead = 8;

bool have_same_shape(const ArrayView& a, const ArrayView& b) {
    return a.is_complex == b.is_complex && a.ndim == b.ndim && std::equal(a.shape, a.shape + a.ndim, b.shape);
}

/// Whether a state array can belong to this parameter, and to the slots before this one.
bool fits(const ArrayView& state, const Tensor& tensor, std::size_t slot) {
    if (slot > 0) return state.dtype == tensor.state_dtype;
    return (state.dtype == Dtype::float64) == (tensor.dtype == Dtype::float64);
}

}  // namespace

HeldItems::HeldItems(PyObject* list)
    : tuple_(PyTuple_CheckExact(list) ? py::reinterpret_borrow<py::object>(list)
                                      : py::reinterpret_steal<py::object>(PyList_AsTuple(list))) {
    if (!tuple_) throw py::error_already_set();
}

bool PlainArrays::hold(PyObject* const* given, std::size_t kinds) {
    kinds_ = kinds;
    const bool indexed = is_list(given[param_kind]);
    for (std::size_t kind = 0; kind < kinds; ++kind) {
        if (is_list(given[kind]) != indexed) return false;
        single_[kind] = given[kind];
        of_[kind] = &single_[kind];
    }
    if (!indexed) return true;
    held_.reserve(kinds);
    for (std::size_t kind = 0; kind < kinds; ++kind) {
        held_.emplace_back(given[kind]);
        of_[kind] = held_.back().data();
        if (held_.back().size() != held_.front().size()) return false;
    }
    size_ = held_.front().size();
    if (size_ > 1) many_.resize(size_ * kinds);
    return true;
}

bool PlainArrays::take(std::size_t at, Tensor& tensor) {
    ArrayView param, other;
    unsigned orders = ~0u;  // those in which all arrays are dense
    for (std::size_t kind = 0; kind < kinds_; ++kind) {
        if (at + headers_ahead < size_) prefetch_header(of_[kind][at + headers_ahead]);
        PyObject* const array = of_[kind][at];
        const bool is_written = kind != grad_kind;
        ArrayView& view = kind == param_kind ? param : other;
        orders &= look_plainly(array, is_written ? Access::write : Access::read, view);
        if (!orders || !have_same_shape(view, param)) return false;
        if (kind == param_kind) {
            tensor.param = view.data;
            tensor.dtype = view.dtype;
            tensor.state_dtype = compute_dtype(view.dtype);
            tensor.size = view.size;
        } else if (kind == grad_kind) {
            tensor.grad = view.data;
            tensor.grad_dtype = view.dtype;
        } else {
            if (!fits(view, tensor, kind - first_slot)) return false;
            tensor.state[kind - first_slot] = view.data;
            tensor.state_dtype = view.dtype;
        }
        if (view.size == 0) continue;
        const auto begin = reinterpret_cast<std::uintptr_t>(view.data);
        (many_.empty() ? few_.data() : many_.data())[extent_count_++] = {
            begin, begin + static_cast<std::uintptr_t>(view.size * view.item_size()), owner_of(array), is_written};
    }
    return true;
}

}  // namespace adamcore::python
