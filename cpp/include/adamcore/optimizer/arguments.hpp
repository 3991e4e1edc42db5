#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/dtype.hpp"
#include "adamcore/tensor.hpp"

/// What users pass to an optimizer: parameters with their shapes, and gradients.
namespace adamcore {

/// The lengths of a dense array's axes, in C order: `n`, or `{rows, columns}`, or `{matrices, rows, columns}`.
class ArrayShape {
public:
    template <class... Lengths,
              class = std::enable_if_t<(sizeof...(Lengths) > 0) && (std::is_integral_v<Lengths> && ...)>>
    ArrayShape(Lengths... lengths) {  // an integer alone is a shape
        for (const std::int64_t length : {static_cast<std::int64_t>(lengths)...}) {
            is_valid_ = is_valid_ && length >= 0 && (length == 0 || size_ <= most / length);
            size_ = is_valid_ ? size_ * length : 0;
            rows_ = columns_;
            columns_ = length;
        }
        if (sizeof...(Lengths) < 2) columns_ = 0;
    }

    /// False if a length is negative, or if the elements are too many to be counted.
    bool is_valid() const { return is_valid_; }
    std::int64_t size() const { return size_; }
    /// The length of the last axis and of the last but one, or 0 if there are fewer than two.
    std::int64_t columns() const { return columns_; }
    std::int64_t rows() const { return rows_; }

private:
    static constexpr std::int64_t most = std::int64_t{1} << 59;

    std::int64_t size_ = 1, rows_ = 0, columns_ = 0;
    bool is_valid_ = true;
};

/// Describes a dense parameter to an optimizer. Half-precision weights have a float32 master, as in Python. Other members
/// of the tensor may be set before it is added, such as `group`, `weights`, `state_dtype`, `state_rounding`, and, for
/// rounding at random, `number`, which otherwise is the tensor's place among those that have been added.
template <class T>
Tensor parameter(T* data, const ArrayShape& shape) {
    Tensor tensor;
    tensor.param = data;
    tensor.size = shape.is_valid() ? shape.size() : -1;
    tensor.rows = shape.rows();
    tensor.columns = shape.columns();
    tensor.dtype = tensor.grad_dtype = dtype_of<T>;
    tensor.state_dtype = compute_dtype(tensor.dtype);
    if (is_half(tensor.dtype)) tensor.weights = WeightPolicy::master;
    return tensor;
}

/// A gradient: a pointer, or a contiguous container such as std::vector, of any of the element types. A null pointer means
/// that the parameter has no gradient in this step, which leaves it alone.
struct Grad {
    const void* data = nullptr;
    Dtype dtype = Dtype::float32;
    std::int64_t size = unknown;

    static constexpr std::int64_t unknown = -1;

    Grad(std::nullptr_t) {}
    template <class T, class = decltype(DtypeOf<T>::value)>
    Grad(const T* pointer) : data(pointer), dtype(dtype_of<T>) {}
    template <class Container,
              class T = std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<const Container&>().data())>>,
              class = decltype(DtypeOf<T>::value), class = decltype(std::declval<const Container&>().size())>
    Grad(const Container& container)
        : data(container.data()), dtype(dtype_of<T>), size(static_cast<std::int64_t>(container.size())) {}
};

}  // namespace adamcore
