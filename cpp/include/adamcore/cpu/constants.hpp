#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/bias.hpp"
#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/rule_registry.hpp"
#include "adamcore/tensor.hpp"

/// The constants of updates.
namespace adamcore::cpu {

namespace detail {

/// What is known of a tensor when the constants of its update are computed, without numbers.
inline rule::Context context_of(const Tensor& tensor) noexcept {
    rule::Context context;
    context.t = tensor.step;
    context.begins = tensor.begins();
    context.size = tensor.size;
    context.rows = tensor.rows;
    context.columns = tensor.columns;
    return context;
}

}  // namespace detail

/// The constants of a group's latest update, and the powers from which those of the next one follow. The caller of many
/// steps keeps one for each group, so that beta^t need not be computed anew.
class LatestConstants {
public:
    /// Computes the constants of an update for tensors like this one, unless they differ from tensor to tensor. They have
    /// the bits that they would have without what is kept.
    void prepare(const Group& group, const Tensor& tensor) noexcept {
        const FloatEnvironment environment;
        rule_ = rule_of(group, tensor);
        step_ = 0;
        const RuleInfo& info = all_rules()[rule_];
        if (info.has_own_constants) return;
        compute_ = compute_dtype(tensor.dtype);
        step_ = tensor.step;
        begins_ = tensor.begins();
        info.prepare_next(group.hyper, detail::context_of(tensor), compute_, powers_, constants_.bytes);
    }

    /// The constants, or null if they are of another update, another rule or another type.
    const void* find(const Tensor& tensor, std::size_t rule) const noexcept {
        const bool is_same = step_ == tensor.step && rule_ == rule && begins_ == tensor.begins() &&
                             compute_ == compute_dtype(tensor.dtype);
        return is_same ? constants_.bytes : nullptr;
    }

    /// What is known of powers, for constants that differ from tensor to tensor.
    bias::Powers* powers() noexcept { return powers_; }

private:
    std::size_t rule_ = 0;
    std::int64_t step_ = 0;
    bool begins_ = false;
    Dtype compute_ = Dtype::float32;
    StepStorage constants_{};
    bias::Powers powers_[rule::max_decays];
};

namespace detail {

/// The numbers of a tensor's slots of that shape, side by side, while they are needed.
class TensorNumbers {
public:
    TensorNumbers(const RuleInfo& info, const Tensor& tensor) {
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            if (info.slots[slot].shape != rule::Shape::number) continue;
            from_[count_] = static_cast<double*>(tensor.state[slot]);
            numbers_[count_] = *from_[count_];
            ++count_;
        }
    }
    double* data() { return numbers_; }
    std::size_t count() const { return count_; }
    void store() const {
        for (std::size_t k = 0; k < count_; ++k) *from_[k] = numbers_[k];
    }

private:
    double* from_[max_numbers];
    double numbers_[max_numbers];
    std::size_t count_ = 0;
};

/// Computes the Step<T> that a tensor needs, and keeps the latest few in Storage, so that groups and step counts may
/// alternate. It needs no table and does not allocate.
template <class Storage>
class StepCache {
public:
    StepCache() noexcept {}  // leaves the constants, which are a kilobyte and a half, as they are

    /// Returns the constants for `tensor`. Calls `prepare(tensor, storage)` if they have not been kept.
    template <class Prepare>
    const void* get(const Tensor& tensor, std::size_t rule, Prepare&& prepare) {
        const auto key = static_cast<std::uint64_t>(tensor.step) + 3 * static_cast<std::uint64_t>(tensor.group);
        Entry& entry = entries_[key % size];
        const Dtype dtype = compute_dtype(tensor.dtype);
        if (entry.step != tensor.step || entry.group != tensor.group || entry.dtype != dtype || entry.rule != rule ||
            entry.begins != tensor.begins()) {
            prepare(tensor, entry.constants.bytes);
            entry.step = tensor.step;
            entry.group = tensor.group;
            entry.dtype = dtype;
            entry.rule = rule;
            entry.begins = tensor.begins();
        }
        return entry.constants.bytes;
    }

private:
    static constexpr std::size_t size = 8;
    struct Entry {
        std::int64_t step = -1;
        std::int32_t group = -1;
        std::size_t rule = 0;
        Dtype dtype = Dtype::float32;
        bool begins = false;
        Storage constants;
    };
    Entry entries_[size];
};

}  // namespace detail

}  // namespace adamcore::cpu
