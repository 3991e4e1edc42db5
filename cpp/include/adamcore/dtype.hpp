#pragma once

#include <cstddef>
#include <cstdint>

namespace adamcore {

/// IEEE binary16 as bits. It is a storage type without arithmetic.
struct float16 {
    std::uint16_t bits;
};

/// The upper half of a float32, as bits. It is a storage type without arithmetic.
struct bfloat16 {
    std::uint16_t bits;
};

/// The element types that arrays may have.
enum class Dtype : std::uint8_t { float32, float64, float16, bfloat16 };

inline constexpr std::size_t dtype_count = 4;

template <class T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
    static constexpr Dtype value = Dtype::float32;
};
template <>
struct DtypeOf<double> {
    static constexpr Dtype value = Dtype::float64;
};
template <>
struct DtypeOf<float16> {
    static constexpr Dtype value = Dtype::float16;
};
template <>
struct DtypeOf<bfloat16> {
    static constexpr Dtype value = Dtype::bfloat16;
};

template <class T>
inline constexpr Dtype dtype_of = DtypeOf<T>::value;

/// Calls `f(T{})` with a value of the type of `dtype`. This is the only switch on a dtype.
template <class F>
constexpr decltype(auto) visit(Dtype dtype, F&& f) {
    switch (dtype) {
        case Dtype::float64: return f(double{});
        case Dtype::float16: return f(float16{});
        case Dtype::bfloat16: return f(bfloat16{});
        case Dtype::float32: break;
    }
    return f(float{});
}

/// Bytes per element.
constexpr std::size_t size_of(Dtype dtype) {
    return visit(dtype, [](auto x) { return sizeof x; });
}

constexpr const char* name_of(Dtype dtype) {
    constexpr const char* names[] = {"float32", "float64", "float16", "bfloat16"};
    return names[static_cast<std::size_t>(dtype)];
}

constexpr bool is_half(Dtype dtype) { return dtype == Dtype::float16 || dtype == Dtype::bfloat16; }

/// The compute type of updates of parameters of `dtype`: float64 for float64, otherwise float32.
constexpr Dtype compute_dtype(Dtype dtype) { return dtype == Dtype::float64 ? dtype : Dtype::float32; }

inline constexpr std::size_t compute_type_count = 2;

/// Calls `f(T{})` with a value of the compute type of `dtype`, float or double.
template <class F>
constexpr decltype(auto) visit_compute(Dtype dtype, F&& f) {
    return dtype == Dtype::float64 ? f(double{}) : f(float{});
}

}  // namespace adamcore
