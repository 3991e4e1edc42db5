#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "support/plain_step.hpp"

/// Tensors of any element types, chosen at run time.
namespace adamcore::test {

/// How a tensor's numbers are stored.
struct Storage {
    Dtype param = Dtype::float32, grad = Dtype::float32, state = Dtype::float32;
    WeightPolicy weights = WeightPolicy::plain;
    StateRounding state_rounding = StateRounding::nearest;
};

inline std::string text_of(const Storage& storage) {
    constexpr const char* kept[] = {"plain", "master", "remainder", "compensated", "stochastic"};
    return std::string("param ") + name_of(storage.param) + ", grad " + name_of(storage.grad) + ", state " +
           name_of(storage.state) + ", " + kept[static_cast<std::size_t>(storage.weights)] +
           (storage.state_rounding == StateRounding::stochastic ? ", at random" : "");
}

/// All that an engine takes.
inline std::vector<Storage> every_storage() {
    constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16};
    constexpr WeightPolicy kinds[] = {WeightPolicy::plain, WeightPolicy::master, WeightPolicy::remainder,
                                      WeightPolicy::compensated, WeightPolicy::stochastic};
    std::vector<Storage> all;
    for (const Dtype param : dtypes) {
        for (const Dtype grad : dtypes) {
            for (const Dtype state : dtypes) {
                if ((param == Dtype::float64) != (state == Dtype::float64)) continue;
                for (const WeightPolicy weights : kinds) {
                    if (weights != WeightPolicy::plain && !is_half(param)) continue;
                    if (weights == WeightPolicy::remainder && param != Dtype::bfloat16) continue;
                    all.push_back({param, grad, state, weights});
                    if (is_half(state)) all.push_back({param, grad, state, weights, StateRounding::stochastic});
                }
            }
        }
    }
    return all;
}

/// Every fifth storage, so that five rules have all of them. For what does not depend on both together.
inline std::vector<Storage> some_storages(std::size_t rule) {
    const std::vector<Storage> all = every_storage();
    std::vector<Storage> some;
    for (std::size_t i = rule % 5; i < all.size(); i += 5) some.push_back(all[i]);
    return some;
}

/// An array with margins that belong to what is compared, so that a write outside it shows.
class Stored {
public:
    Stored(Dtype dtype, std::int64_t size) : Stored(dtype, size, size * static_cast<std::int64_t>(size_of(dtype))) {}
    Stored(Dtype dtype, std::int64_t size, std::int64_t bytes)
        : dtype_(dtype), size_(size), bytes_(static_cast<std::size_t>(bytes) + 2 * margin, std::byte{0x55}) {
        std::memset(data(), 0, byte_count());
    }

    void* data() { return bytes_.data() + margin; }
    const void* data() const { return bytes_.data() + margin; }
    std::int64_t size() const { return size_; }
    std::size_t byte_count() const { return bytes_.size() - 2 * margin; }
    Dtype dtype() const { return dtype_; }

    double operator[](std::int64_t i) const { return number_at<double>(data(), dtype_, i); }
    void set(std::int64_t i, double number) {
        if (dtype_ == Dtype::float64) return set_number(data(), dtype_, i, number);
        set_number(data(), dtype_, i, static_cast<float>(number));
    }

    bool operator==(const Stored& other) const { return bytes_ == other.bytes_; }

    /// The same bits, or both NaN: which operand's sign and payload survive is no part of IEEE 754.
    bool same_numbers(const Stored& other) const {
        for (std::int64_t i = 0; i < size_; ++i) {
            const double mine = (*this)[i], others = other[i];
            if (std::memcmp(&mine, &others, sizeof mine) != 0 && (mine == mine || others == others)) return false;
        }
        return true;
    }

private:
    static constexpr std::size_t margin = 64;

    Dtype dtype_;
    std::int64_t size_;
    std::vector<std::byte> bytes_;
};

/// A tensor with a gradient for each of its first steps, and all that is kept beside it.
class StoredTensor {
public:
    static constexpr std::int64_t steps = 3;

    /// Random numbers of magnitudes 2^-10 to 2^2. State is positive, which suits averages of squares and others alike.
    StoredTensor(const Storage& storage, const RuleInfo& info, std::int64_t size, std::uint64_t seed)
        : StoredTensor(storage, info, 1, 0, size, seed) {}

    /// A tensor of `matrices` matrices, or a vector if `rows` is 0, with the state of a rule.
    StoredTensor(const Storage& storage, const RuleInfo& info, std::int64_t matrices, std::int64_t rows,
                 std::int64_t columns, std::uint64_t seed)
        : StoredTensor(storage, matrices * (rows == 0 ? 1 : rows) * columns, seed) {
        rows_ = rows;
        columns_ = rows == 0 ? 0 : columns;
        std::mt19937_64 random(seed + 1);
        const Tensor t = view(1);
        for (std::size_t k = 0; k < info.slot_count; ++k) {
            state_.emplace_back(slot_dtype(t, info.slots[k]), slot_size(t, info.slots[k]));
            fill(state_.back(), false, random);
        }
    }

    const Storage& storage() const { return storage_; }
    std::int64_t size() const { return param_.size(); }
    Stored& param() { return param_; }
    Stored& grad(std::int64_t step) { return grads_[static_cast<std::size_t>(step - 1)]; }
    std::vector<Stored>& state() { return state_; }
    std::vector<Stored>& extras() { return extras_; }

    /// The tensor at update `step`, one of the first ones.
    Tensor view(std::int64_t step) {
        Tensor t;
        t.param = param_.data();
        t.grad = grad(step).data();
        t.size = size();
        t.step = step;
        t.rows = rows_;
        t.columns = columns_;
        t.dtype = storage_.param;
        t.grad_dtype = storage_.grad;
        t.state_dtype = storage_.state;
        t.weights = storage_.weights;
        t.state_rounding = storage_.state_rounding;
        t.number = number_;
        for (std::size_t slot = 0; slot < state_.size(); ++slot) t.state[slot] = state_[slot].data();
        for (std::size_t i = 0; i < extras_.size(); ++i) t.extra[i] = extras_[i].data();
        return t;
    }

    /// The float32 weight of element `i`, as its parameter and extras tell it.
    float weight(std::int64_t i) {
        const Tensor t = view(1);
        return t.dtype == Dtype::bfloat16 ? detail::weight_of<bfloat16>(t, i) : detail::weight_of<float16>(t, i);
    }

    /// Makes `weight` the weight of element `i`, rounded to nearest and with what that loses.
    void start(std::int64_t i, double weight) {
        if (!is_half(storage_.param)) return param_.set(i, weight);
        Tensor t = view(1);
        if (t.weights == WeightPolicy::stochastic) t.weights = WeightPolicy::plain;
        const auto keep = t.dtype == Dtype::bfloat16 ? detail::keep_weight<bfloat16> : detail::keep_weight<float16>;
        keep(t, i, 0, static_cast<float>(weight));
    }

    bool operator==(const StoredTensor& other) const {
        return param_ == other.param_ && grads_ == other.grads_ && state_ == other.state_ && extras_ == other.extras_;
    }

    bool same_numbers(const StoredTensor& other) const {
        bool same = param_.same_numbers(other.param_);
        for (std::size_t k = 0; k < state_.size(); ++k) same &= state_[k].same_numbers(other.state_[k]);
        for (std::size_t k = 0; k < extras_.size(); ++k) same &= extras_[k].same_numbers(other.extras_[k]);
        return same;
    }

private:
    /// Without state.
    StoredTensor(const Storage& storage, std::int64_t size, std::uint64_t seed)
        : storage_(storage), param_(storage.param, size), extras_(extras(storage, size)) {
        std::mt19937_64 random(seed);
        grads_.resize(steps, {storage.grad, size});
        for (Stored& grad : grads_) fill(grad, true, random);
        for (std::int64_t i = 0; i < size; ++i) start(i, random_number(true, random));
        number_ = static_cast<std::uint32_t>(random());
    }

    /// Remainders, of which NaN has none that counts, and the bits of ties pass for arrays without numbers.
    static std::vector<Stored> extras(const Storage& storage, std::int64_t size) {
        switch (storage.weights) {
            case WeightPolicy::master: return {{Dtype::float32, size}};
            case WeightPolicy::compensated: return {{storage.param, size}};
            case WeightPolicy::remainder: return {{Dtype::bfloat16, 0, 2 * size}, {Dtype::bfloat16, 0, (size + 7) / 8}};
            case WeightPolicy::plain:
            case WeightPolicy::stochastic: break;
        }
        return {};
    }

    static double random_number(bool is_signed, std::mt19937_64& random) {
        const std::uint64_t bits = random();
        const double magnitude =
            std::ldexp(1.0 + static_cast<double>(bits >> 12) * 0x1p-52, static_cast<int>(bits % 12) - 10);
        return is_signed && (bits >> 8) % 2 ? -magnitude : magnitude;
    }

    static void fill(Stored& array, bool is_signed, std::mt19937_64& random) {
        for (std::int64_t i = 0; i < array.size(); ++i) array.set(i, random_number(is_signed, random));
    }

    Storage storage_;
    Stored param_;
    std::vector<Stored> grads_, state_, extras_;
    std::uint32_t number_ = 0;
    std::int64_t rows_ = 0, columns_ = 0;
};

/// A group of the rule at `rule` in all_rules(), each hyper-parameter at a value of its own inside every range; weight
/// decay at none unless it `decays`.
inline cpu::Group distinct_group(std::size_t rule, bool decays, double grad_scale) {
    const RuleInfo& info = cpu::all_rules()[rule];
    cpu::Group group{rule, {}, grad_scale};
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const bool is_off = !decays && std::strcmp(info.fields[i].name, "weight_decay") == 0;
        group.hyper[i] = is_off ? 0 : 0.05 + 0.055 * static_cast<double>(i);
    }
    return group;
}

}  // namespace adamcore::test
