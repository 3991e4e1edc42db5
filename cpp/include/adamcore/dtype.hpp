#pragma once

#include <cstddef>
#include <cstdint>

namespace adamcore {

/// The element types that arrays may have.
enum class Dtype : std::uint8_t { float32, float64 };

inline constexpr std::size_t dtype_count = 2;

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

template <class T>
inline constexpr Dtype dtype_of = DtypeOf<T>::value;

/// Calls `f(T{})` with a value of the type that `dtype` names: the only switch on a dtype.
template <class F>
constexpr decltype(auto) visit(Dtype dtype, F&& f) {
    switch (dtype) {
        case Dtype::float64: return f(double{});
        case Dtype::float32: break;
    }
    return f(float{});
}

/// Bytes per element.
constexpr std::size_t size_of(Dtype dtype) {
    return visit(dtype, [](auto x) { return sizeof x; });
}

constexpr const char* name_of(Dtype dtype) { return dtype == Dtype::float64 ? "float64" : "float32"; }

}  // namespace adamcore
