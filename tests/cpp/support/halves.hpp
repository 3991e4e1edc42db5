#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "adamcore/dtype.hpp"

/// The 16-bit formats by their definition: sign, exponent, mantissa. Knows nothing of adamcore/storage/formats.hpp.
namespace adamcore::test {

template <class Half>
struct Format;
template <>
struct Format<bfloat16> {
    static constexpr int mantissa_bits = 7, bias = 127;
};
template <>
struct Format<float16> {
    static constexpr int mantissa_bits = 10, bias = 15;
};

inline constexpr int half_patterns = 1 << 16;
inline constexpr std::uint16_t half_sign = 0x8000;

template <class Half>
inline constexpr std::uint16_t infinity_bits = 0x7fff >> Format<Half>::mantissa_bits << Format<Half>::mantissa_bits;

template <class Half>
constexpr bool is_nan(std::uint16_t bits) {
    return (bits & 0x7fff) > infinity_bits<Half>;
}

/// The number that a finite pattern stands for. Of infinity, the power of two that it would be with one exponent more.
template <class Half>
double value_of(std::uint16_t bits) {
    constexpr int width = Format<Half>::mantissa_bits;
    const int exponent = (bits & 0x7fff) >> width;
    const int mantissa = bits & ((1 << width) - 1);
    const int significand = exponent == 0 ? mantissa : mantissa + (1 << width);
    const double magnitude = std::ldexp(significand, std::max(exponent, 1) - Format<Half>::bias - width);
    return bits & half_sign ? -magnitude : magnitude;
}

/// The float32 pattern of `x`, a float32 number.
inline std::uint32_t float_pattern(double x) {
    const float narrow = static_cast<float>(x);
    std::uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof bits);
    return bits;
}

/// Rounding to nearest, ties to even, as the pieces of a step function from float32 patterns to patterns of Half.
///
/// Between neighbours a < b lies a midpoint, itself a float32 number. Below it everything rounds to a, above it to b,
/// and it to the one of them whose last bit is 0.
template <class Half>
class Rounding {
public:
    /// `half` is what patterns from `first` to the next piece's round to, signs left out.
    struct Piece {
        std::uint32_t first;
        std::uint16_t half;
    };

    Rounding() {
        pieces_.push_back({0, 0});
        for (std::uint16_t half = 1; half <= infinity_bits<Half>; ++half) {
            const auto below = static_cast<std::uint16_t>(half - 1);
            const std::uint32_t midpoint = float_pattern((value_of<Half>(below) + value_of<Half>(half)) / 2);
            pieces_.push_back({below % 2 == 0 ? midpoint + 1 : midpoint, half});
        }
        add_nans(Half{});
    }

    const std::vector<Piece>& pieces() const { return pieces_; }

    std::uint16_t operator()(std::uint32_t pattern) const {
        return signed_like(pattern, piece_of(pattern & 0x7fffffffu)->half);
    }

    /// What `out.size()` patterns from `first` on, of one sign, round to.
    void fill(std::uint32_t first, std::vector<std::uint16_t>& out) const {
        const std::uint32_t magnitude = first & 0x7fffffffu;
        auto piece = piece_of(magnitude);
        for (std::size_t at = 0; at < out.size(); ++piece) {
            const bool last = piece + 1 == pieces_.end();
            const std::size_t end = last ? out.size() : std::min<std::size_t>(out.size(), piece[1].first - magnitude);
            std::fill(out.begin() + static_cast<std::ptrdiff_t>(at), out.begin() + static_cast<std::ptrdiff_t>(end),
                      signed_like(first, piece->half));
            at = end;
        }
    }

private:
    static std::uint16_t signed_like(std::uint32_t pattern, std::uint16_t half) {
        return static_cast<std::uint16_t>(half | (pattern >> 16 & half_sign));
    }

    auto piece_of(std::uint32_t magnitude) const {
        const auto starts_after = [](std::uint32_t pattern, const Piece& piece) { return pattern < piece.first; };
        return std::upper_bound(pieces_.begin(), pieces_.end(), magnitude, starts_after) - 1;
    }

    void add_nans(bfloat16) { pieces_.push_back({0x7f800001u, 0x7fc0}); }

    /// Quiet, and with what fits of the payload.
    void add_nans(float16) {
        for (std::uint32_t payload = 0; payload < 1u << 10; ++payload)
            pieces_.push_back(
                {0x7f800000u + std::max(payload << 13, 1u), static_cast<std::uint16_t>(0x7e00 | payload)});
    }

    std::vector<Piece> pieces_;
};

}  // namespace adamcore::test
