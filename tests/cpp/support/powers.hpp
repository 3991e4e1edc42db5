#pragma once

#include <cstdint>
#include <cstring>

#include "adamcore/power.hpp"
#include "hashes.hpp"

namespace adamcore::test {

/// Hashes of the bits of pow, exp2, log2 and cospi for 20,000 arguments each.
struct PowerHashes {
    std::uint64_t of[4];
};

/// What they are on every processor, with every compiler and at every level of optimisation.
inline constexpr PowerHashes power_hashes_everywhere{
    {0xa053b3a144bed346u, 0x68c04fb1553f7895u, 0x76cb5494354b64b4u, 0xf174aa567a5bf568u}};

/// Arguments by integer arithmetic alone.
class PowerArguments {
public:
    double any() {
        const std::uint64_t bits = next();
        double x;
        std::memcpy(&x, &bits, sizeof x);
        return x;
    }

    /// Between -2^power and 2^power.
    double below(int power) {
        const double fraction = static_cast<double>(static_cast<std::int64_t>(next()) >> 11) * 0x1p-52;
        return fraction * scale::power_of_two(power);
    }

private:
    std::uint64_t next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return (state_ >> 32) ^ (state_ << 32);
    }

    std::uint64_t state_ = 20150507;
};

inline PowerHashes power_hashes() {
    PowerHashes hashes{{hash_start, hash_start, hash_start, hash_start}};
    PowerArguments arguments;
    const auto add = [&](int function, double result) {
        hashes.of[function] = hash_of(&result, sizeof result, hashes.of[function]);
    };
    for (int i = 0; i < 20000; ++i) {
        const bool is_wide = i % 8 == 0;
        const double base = is_wide ? arguments.any() : 1 + arguments.below(-(i % 50));
        const double exponent = i % 3 == 0 ? static_cast<double>(i % 100 - 50) : arguments.below(i % 50 + 1);
        add(0, power::pow(base, exponent));
        add(1, power::exp2(is_wide ? arguments.any() : arguments.below(11 - i % 12)));
        add(2, power::log2(base));
        add(3, power::cospi(is_wide ? arguments.any() : arguments.below(i % 60)));
    }
    return hashes;
}

}  // namespace adamcore::test
