#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "adamcore/bias.hpp"
#include "adamcore/dtype.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// The maximum number of hyper-parameters of a rule, and of numbers that it keeps for a tensor or for the optimizer.
inline constexpr std::size_t max_fields = 16, max_numbers = 4;

/// A rule's hyper-parameters without its type: the values, in the order of `fields`.
using HyperValues = std::array<double, max_fields>;

struct FieldInfo {
    const char* name;
    rule::Range range;
    double preset;
    rule::Kind kind;
    bool may_be_none;
    const char* tuple;
    int place;
    const char* const* words;
};

/// What the elements of a state slot are at first.
struct Initial {
    rule::Slot slot;
    double value;
};

/// A pass at run time. Functions compute in the compute type of `dtype`, and `step` points to its Step.
struct PassInfo {
    std::size_t sum_count;
    rule::Over sums[rule::max_sums];
    unsigned reads, writes;
    bool is_tabular;

    /// For passes over tensors. `decide` is null unless the pass sums over all tensors.
    void (*conclude)(const HyperValues& hyper, Dtype dtype, const rule::Context& context, const double* sums,
                     void* step) noexcept;
    bool (*decide)(const HyperValues& hyper, const double* sums, double* numbers) noexcept;

    /// For passes over rows and columns: `arrays` are the slots of that shape and then the temporaries, `at` is the row's
    /// or the column's index in all of them.
    double (*row)(Dtype dtype, const void* step, const rule::Context& context, const double* sums, void* const* arrays,
                  std::int64_t at) noexcept;
    void (*spread)(Dtype dtype, const void* step, const rule::Context& context, double total, void* const* arrays,
                   std::int64_t at) noexcept;
    void (*column)(Dtype dtype, const void* step, const rule::Context& context, const double* sums, void* const* arrays,
                   std::int64_t at) noexcept;
};

/// The description of a rule at run time, for programs that choose rules by name.
struct RuleInfo {
    std::string_view name;
    const rule::Slot* slots;
    std::size_t slot_count;
    const rule::Slot* temporaries;
    std::size_t temporary_count;
    std::array<FieldInfo, max_fields> fields;
    std::size_t field_count;
    std::array<PassInfo, rule::max_passes> passes;
    std::size_t pass_count;
    /// The numbers of the whole optimizer, and a bit for each field that all groups share because of them.
    const char* const* numbers;
    std::size_t number_count;
    unsigned common_fields;
    /// The same for fields that a group may also set to 0.
    unsigned common_or_zero_fields;

    /// Whether state begins with a gradient (rule::begins).
    bool begins;
    /// Whether the constants of a step differ from tensor to tensor (rule::has_own_constants).
    bool has_own_constants;
    /// The index, among the rules of a list, of the rule for tensors with fewer than two axes.
    std::size_t for_vectors;

    /// Writes the Step<T> for an update, where T is the compute type of `dtype`. Corrections of bias need not be given.
    void (*prepare)(const HyperValues& hyper, const rule::Context& context, Dtype dtype, void* step) noexcept;
    /// The same bits as prepare() writes, but faster if `known`, which has rule::max_decays elements, is from the step
    /// before.
    void (*prepare_next)(const HyperValues& hyper, const rule::Context& context, Dtype dtype, bias::Powers* known,
                         void* step) noexcept;
    /// The initial value of state slot `slot`, and of number `index` of the optimizer.
    double (*initial)(const HyperValues& hyper, std::size_t slot) noexcept;
    double (*first_number)(const HyperValues& hyper, std::size_t index) noexcept;
    /// The slots of the moments that statistics read, or -1, and what they know of the second one.
    int first_moment, second_moment;
    rule::SecondMoment (*describe_second)(const HyperValues& hyper, Dtype dtype, const rule::Context& context) noexcept;
    /// Whether gradients of a group with these hyper-parameters are part of the sums over all tensors.
    bool (*takes_part)(const HyperValues& hyper) noexcept;
};

/// A rule that was chosen at run time, and the values that all tensors of a group share.
struct Group {
    std::size_t rule = 0;  ///< index into all_rules()
    HyperValues hyper{};
    double grad_scale = 1.0;
};

/// The index of the rule that a tensor follows where `rule` has been selected: itself, or the one that it names for vectors.
inline std::size_t rule_of(const RuleInfo* infos, std::size_t rule, const Tensor& tensor) noexcept {
    return tensor.columns == 0 ? infos[rule].for_vectors : rule;
}

/// The number of state arrays that a tensor has.
constexpr std::size_t state_count(const Tensor& tensor) {
    std::size_t count = 0;
    while (count < max_slots && tensor.state[count]) ++count;
    return count;
}

/// The number of a pass's sums over what `over` says.
constexpr int count_over(const PassInfo& pass, rule::Over over) {
    int count = 0;
    for (std::size_t k = 0; k < pass.sum_count; ++k) count += pass.sums[k] == over;
    return count;
}

/// The number of elements of a tensor's slot, and their type.
constexpr std::int64_t slot_size(const Tensor& tensor, const rule::Slot& slot) {
    switch (slot.shape) {
        case rule::Shape::rows: return tensor.columns == 0 ? 0 : tensor.size / tensor.columns;
        case rule::Shape::columns: return tensor.rows == 0 ? 0 : tensor.size / tensor.rows;
        case rule::Shape::number: return 1;
        case rule::Shape::elements: break;
    }
    return tensor.size;
}
constexpr Dtype slot_dtype(const Tensor& tensor, const rule::Slot& slot) {
    if (slot.shape == rule::Shape::number) return Dtype::float64;
    return slot.is_full ? compute_dtype(tensor.dtype) : tensor.state_dtype;
}

namespace detail {

/// Storage for the Step<T> of each rule of a list.
template <class... Rules>
struct StepRoom;
template <class... Rules>
struct StepRoom<rule::List<Rules...>> {
    static constexpr std::size_t most(std::initializer_list<std::size_t> sizes) {
        std::size_t found = 0;
        for (const std::size_t each : sizes) found = each > found ? each : found;
        return found;
    }
    static constexpr std::size_t largest =
        most({sizeof(typename Rules::template Step<double>)..., sizeof(typename Rules::template Step<float>)...});

    alignas(16) std::byte bytes[(largest + 15) / 16 * 16];
};

}  // namespace detail

}  // namespace adamcore
