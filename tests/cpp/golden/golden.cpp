// Prints a hash of every rule's results for each ISA that runs here. Built for two processors and run on both (under
// emulation, say), the outputs must be equal but for the ISAs' names: the same bits everywhere.

#include <adamcore/adamcore.hpp>

#include <cinttypes>
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <vector>

#include "../support/hashes.hpp"
#include "../support/observed.hpp"
#include "../support/powers.hpp"
#include "../support/schedules.hpp"

namespace {

using namespace adamcore;
using test::hash_of;
using test::hash_start;

/// Numbers of both signs and many magnitudes, subnormal ones too, by integer arithmetic alone.
class Numbers {
public:
    template <class T>
    T next() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        const auto mantissa = static_cast<std::int32_t>(state_ >> 40) - (1 << 23);
        T scale = 1;
        for (int i = static_cast<int>(state_ >> 33 & 31); i > 0; --i) scale *= T(0.0625);
        return static_cast<T>(mantissa) * scale;
    }

private:
    std::uint64_t state_ = 20150507;
};

/// A rule with its presets but for the weight decay, and for the coefficient by which Prodigy's steps are so small that
/// none becomes NaN, whose sign is the processor's own.
cpu::Group group_of(std::size_t rule, double weight_decay) {
    const RuleInfo& info = cpu::all_rules()[rule];
    cpu::Group group{rule, {}, 1.0};
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const std::string_view name = info.fields[i].name;
        group.hyper[i] = name == "weight_decay" ? weight_decay : name == "d_coef" ? 0x1p-30 : info.fields[i].preset;
    }
    return group;
}

constexpr std::int64_t size = 1003;

/// The state of a tensor, the numbers of its optimizer, and the memory for steps.
class State {
public:
    State(const cpu::Group& group, Tensor& tensor) : group_(group), tensor_(tensor) {
        const RuleInfo& info = cpu::all_rules()[group.rule];
        tensor.rows = 17;
        tensor.columns = size / tensor.rows;
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            slots_.emplace_back(size);
            tensor.state[slot] = slots_.back().data();
        }
        for (std::size_t k = 0; k < info.number_count; ++k) numbers_.push_back(info.first_number(group.hyper, k));
        workspace_.resize(cpu::workspace_size(&group, &tensor, 1) / sizeof(std::max_align_t) + 1);
    }

    void step(const cpu::Kernels& kernels, const Treatment& treatment = {}) {
        plan::Cut cuts[cpu::max_parts + 1];
        const int parts = cpu::plan_step(&tensor_, 1, 1, cuts);
        const bool is_needed = cpu::workspace_size(&group_, &tensor_, 1) > 0;
        cpu::step(kernels, &group_, &tensor_, cuts, parts, cpu::Serial{}, treatment, false, nullptr,
                  {is_needed ? workspace_.data() : nullptr}, numbers_.data());
    }

    std::uint64_t hash(std::uint64_t hash) const {
        const RuleInfo& info = cpu::all_rules()[group_.rule];
        for (std::size_t slot = 0; slot < info.slot_count; ++slot) {
            const auto count = static_cast<std::size_t>(slot_size(tensor_, info.slots[slot]));
            hash = hash_of(tensor_.state[slot], count * size_of(slot_dtype(tensor_, info.slots[slot])), hash);
        }
        return hash_of(numbers_.data(), numbers_.size() * sizeof(double), hash);
    }

private:
    const cpu::Group& group_;
    const Tensor& tensor_;
    std::vector<std::vector<double>> slots_;
    std::vector<double> numbers_;
    std::vector<std::max_align_t> workspace_;
};

template <class T>
std::uint64_t hash_of_steps(const cpu::Kernels& kernels, std::size_t rule, double weight_decay) {
    const cpu::Group group = group_of(rule, weight_decay);
    Numbers numbers;
    std::vector<std::vector<T>> arrays(2, std::vector<T>(size));
    Tensor tensor = adamcore::tensor(arrays[0].data(), arrays[1].data(), size, 1);
    State state(group, tensor);
    for (T& x : arrays[0]) x = numbers.next<T>();

    for (tensor.step = 1; tensor.step <= 20; ++tensor.step) {
        for (T& x : arrays[1]) x = numbers.next<T>();
        state.step(kernels);
    }
    std::uint64_t hash = hash_start;
    for (const auto& array : arrays) hash = hash_of(array.data(), array.size() * sizeof(T), hash);
    return state.hash(hash);
}

/// Half-precision parameters, gradients and state, with what `weights` says beside them. Numbers are small enough that
/// none becomes NaN, whose sign is the processor's own.
template <class Half>
std::uint64_t hash_of_half_steps(const cpu::Kernels& kernels, std::size_t rule, WeightPolicy weights,
                                 StateRounding state_rounding = StateRounding::stochastic) {
    const cpu::Group group = group_of(rule, 0.01);
    Numbers numbers;
    const auto fill = [&](std::vector<Half>& array) {
        for (Half& x : array) x = storage::encode<Half>(numbers.next<float>() * 0x1p-22f);
    };
    std::vector<std::vector<Half>> arrays(2, std::vector<Half>(size));
    // Room for any type's: masters, remainders, what rounding lost, or ties.
    std::vector<std::uint8_t> extras[2] = {std::vector<std::uint8_t>(4 * size), std::vector<std::uint8_t>(4 * size)};
    Tensor tensor = adamcore::tensor(arrays[0].data(), arrays[1].data(), size, 1);
    tensor.state_dtype = dtype_of<Half>;
    tensor.weights = weights;
    tensor.state_rounding = state_rounding;
    for (std::size_t i = 0; i < 2; ++i) tensor.extra[i] = extras[i].data();
    State state(group, tensor);
    fill(arrays[0]);

    Treatment treatment;
    treatment.scale = 0.7;
    treatment.limit = 0.9;
    treatment.seed = 20150507;
    for (tensor.step = 1; tensor.step <= 20; ++tensor.step) {
        fill(arrays[1]);
        state.step(kernels, treatment);
    }
    std::uint64_t hash = hash_start;
    for (const auto& array : arrays) hash = hash_of(array.data(), array.size() * sizeof(Half), hash);
    hash = state.hash(hash);
    for (const auto& extra : extras) hash = hash_of(extra.data(), extra.size(), hash);
    return hash;
}

/// The norm of two arrays, several leaves long, `spread` by which their halves differ.
template <class Stored>
double norm_of(const cpu::Kernels& kernels, double spread) {
    using T = decltype(storage::decode(Stored{}));
    Numbers numbers;
    std::vector<Stored> values(20011);
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double x = static_cast<double>(numbers.next<float>()) * 0x1p-20;
        values[i] = storage::encode<Stored>(static_cast<T>(i < values.size() / 2 ? x : x * spread));
    }
    const norm::Reading arrays[] = {{values.data(), 12345, dtype_of<Stored>, {}},
                                    {values.data() + 12345, 20011 - 12345, dtype_of<Stored>, {}}};
    plan::Cut cuts[cpu::max_parts + 1];
    std::int64_t first_leaf[3];
    const int parts = cpu::plan_norm(arrays, 2, 1, cuts, first_leaf);
    std::vector<norm::Squares> leaves(static_cast<std::size_t>(first_leaf[2]));
    cpu::measure(kernels, arrays, cuts, parts, cpu::Serial{}, first_leaf, leaves.data());
    cpu::add_leaves(2, first_leaf, leaves.data(), leaves.data());
    return norm::root(sums::sum_pairs(leaves.data(), 2));
}

void print_steps(const cpu::Kernels& kernels, std::size_t rule) {
    const char* name = cpu::all_rules()[rule].name.data();
    for (const double decay : {0.0, 0.01}) {
        std::printf("%s %016" PRIx64 " %016" PRIx64 "\n", name, hash_of_steps<float>(kernels, rule, decay),
                    hash_of_steps<double>(kernels, rule, decay));
    }
    for (const WeightPolicy weights : {WeightPolicy::master, WeightPolicy::compensated, WeightPolicy::stochastic}) {
        std::printf("%s half %d %016" PRIx64 " %016" PRIx64 "\n", name, static_cast<int>(weights),
                    hash_of_half_steps<bfloat16>(kernels, rule, weights),
                    hash_of_half_steps<float16>(kernels, rule, weights));
    }
    std::printf("%s nearest %016" PRIx64 " %016" PRIx64 "\n", name,
                hash_of_half_steps<bfloat16>(kernels, rule, WeightPolicy::plain, StateRounding::nearest),
                hash_of_half_steps<float16>(kernels, rule, WeightPolicy::plain, StateRounding::nearest));
    std::printf("%s remainder %016" PRIx64 "\n", name,
                hash_of_half_steps<bfloat16>(kernels, rule, WeightPolicy::remainder));
}

void print_norms(const cpu::Kernels& kernels) {
    std::printf("norms %a %a %a %a\n", norm_of<float>(kernels, 8), norm_of<double>(kernels, 8),
                norm_of<float16>(kernels, 8), norm_of<bfloat16>(kernels, 8));
    for (const double spread : {0x1p-1000, 0x1p1000})
        std::printf("norm of float64 %a\n", norm_of<double>(kernels, spread));
}

/// The sums of an observed step. AdamW's sweep is fused if all arrays are float32.
template <class P, class G>
std::uint64_t hash_of_statistics(const cpu::Kernels& kernels, const char* rule) {
    constexpr std::int64_t count = 9001;
    const cpu::Group group = named_group(rule);
    Numbers numbers;
    const auto draw = [&](auto& values) {
        using Stored = std::decay_t<decltype(values[0])>;
        using T = decltype(storage::decode(Stored{}));
        for (auto& x : values) x = storage::encode<Stored>(static_cast<T>(numbers.next<float>() * 0x1p-22f));
    };
    std::vector<P> param(count);
    std::vector<G> grad(count);
    using T = decltype(storage::decode(P{}));
    std::vector<T> state[2] = {std::vector<T>(count), std::vector<T>(count)};
    draw(param);
    Tensor tensor = adamcore::tensor(param.data(), grad.data(), count, 1, state[0].data(), state[1].data());
    std::uint64_t hash = hash_start;
    for (tensor.step = 1; tensor.step <= 3; ++tensor.step) {
        draw(grad);
        const statistics::Sums sums = test::observed_step(kernels, group, tensor, statistics::all_parts, true);
        for (const double sum : {sums.grads.sum, sums.weights, sums.updates, sums.products, sums.firsts, sums.seconds,
                                 sums.largest, static_cast<double>(sums.zeros), static_cast<double>(sums.lost)})
            hash = hash_of(&sum, sizeof sum, hash);
    }
    return hash;
}

void print_statistics(const cpu::Kernels& kernels) {
    for (const char* rule : {"adamw", "rmsprop_momentum"})
        std::printf("statistics %s %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "\n", rule,
                    hash_of_statistics<float, float>(kernels, rule), hash_of_statistics<double, float>(kernels, rule),
                    hash_of_statistics<bfloat16, float16>(kernels, rule));
}

void print_schedules() {
    test::for_each_schedule([](const char* name, const auto& schedule) {
        std::printf("schedule %s %016" PRIx64 "\n", name, test::hash_of_schedule(schedule));
    });
}

void print_powers() {
    const test::PowerHashes hashes = test::power_hashes();
    std::printf("powers");
    for (const std::uint64_t hash : hashes.of) std::printf(" %016" PRIx64, hash);
    std::printf("\n");
}

}  // namespace

int main() {
    for (const cpu::Isa isa : cpu::all_isas) {
        const cpu::Kernels* kernels = cpu::kernels_for(isa);
        if (!kernels) continue;
        std::printf("isa %s\n", cpu::name_of(isa));
        for (std::size_t rule = 0; rule < rules::All::size; ++rule) print_steps(*kernels, rule);
        print_norms(*kernels);
        print_statistics(*kernels);
        // They do not depend on the ISA, but same.py compares what follows the name of one.
        print_powers();
        print_schedules();
    }
}
