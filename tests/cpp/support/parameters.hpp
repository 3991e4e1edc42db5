#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "support/rules.hpp"

namespace adamcore::test {

/// Fills with values of magnitudes 2^-10 to 2^2, none of them zero, of both signs if `is_signed`.
template <class T>
void fill_randomly(T* values, std::size_t count, bool is_signed, std::mt19937_64& random) {
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint64_t bits = random();
        const double magnitude =
            std::ldexp(1.0 + static_cast<double>(bits >> 12) * 0x1p-52, static_cast<int>(bits % 12) - 10);
        values[i] = static_cast<T>(is_signed && (bits >> 8) % 2 ? -magnitude : magnitude);
    }
}

/// A parameter with its gradient and state, random, `offset` elements into their memory.
///
/// State is positive, which suits averages of squares and of gradients alike. Each array lies in margins that belong
/// to what is compared, so a write outside the array shows.
template <class Rule, class T>
class Parameter {
public:
    Parameter(std::int64_t size, std::int64_t step, std::size_t offset, std::mt19937_64& random)
        : size_(size), step_(step), begin_(margin + offset) {
        for (std::size_t k = 0; k < arrays_.size(); ++k) {
            arrays_[k].resize(begin_ + static_cast<std::size_t>(size) + margin);
            fill_randomly(arrays_[k].data(), arrays_[k].size(), k < 2, random);
        }
    }

    std::int64_t size() const { return size_; }

    Pointers<Rule, T> pointers() {
        Pointers<Rule, T> at;
        for (std::size_t k = 0; k < at.size(); ++k) at[k] = arrays_[k].data() + begin_;
        return at;
    }

    Tensor view() { return tensor_at<Rule, T>(pointers(), size_, step_); }

    void update_plainly(const typename Rule::Hyper& hyper, double grad_scale) {
        test::update_plainly<Rule, T>(pointers(), size_, step_, hyper, grad_scale);
    }

    /// Whether every bit of every array is the same, margins included.
    bool same_bits(const Parameter& other) const {
        for (std::size_t k = 0; k < arrays_.size(); ++k) {
            if (arrays_[k].size() != other.arrays_[k].size()) return false;
            if (std::memcmp(arrays_[k].data(), other.arrays_[k].data(), arrays_[k].size() * sizeof(T)) != 0)
                return false;
        }
        return true;
    }

private:
    static constexpr std::size_t margin = 32;

    std::int64_t size_, step_;
    std::size_t begin_;
    std::array<std::vector<T>, array_count<Rule>> arrays_;
};

/// A model of tensors of awkward sizes, empty ones at its ends, large enough for several parts, with eleven counts of
/// steps, some of which share a place in the engine's cache of constants (their keys differ by a multiple of 8).
template <class Rule, class T>
class Model {
public:
    explicit Model(std::size_t offset = 0) {
        std::mt19937_64 random(offset + 1);
        const std::int64_t sizes[] = {0, 1, 3, 15, 16, 17, 35, 4097, 100003, 31, 70, 65573, 0};
        const std::int64_t steps[] = {1, 2, 10, 18, 1000, 2, 123456789, 9, 17, 2147483648, 1, 25, 3};
        for (std::size_t i = 0; i < std::size(sizes); ++i) parameters_.emplace_back(sizes[i], steps[i], offset, random);
    }

    std::vector<Tensor> tensors() {
        std::vector<Tensor> views;
        for (auto& parameter : parameters_) views.push_back(parameter.view());
        return views;
    }

    std::vector<Parameter<Rule, T>>& parameters() { return parameters_; }

    void update_plainly(const typename Rule::Hyper& hyper, double grad_scale) {
        for (auto& parameter : parameters_) parameter.update_plainly(hyper, grad_scale);
    }

    bool same_bits(const Model& other) const {
        for (std::size_t i = 0; i < parameters_.size(); ++i) {
            if (!parameters_[i].same_bits(other.parameters_[i])) return false;
        }
        return true;
    }

private:
    std::vector<Parameter<Rule, T>> parameters_;
};

}  // namespace adamcore::test
