// Prints a hash of every rule's results for each ISA that runs here. Built for two processors and run on both (under
// emulation, say), the outputs must be equal but for the ISAs' names: the same bits everywhere.

#include <adamcore/adamcore.hpp>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

using namespace adamcore;

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

std::uint64_t hash_of(const void* data, std::size_t bytes, std::uint64_t hash) {
    for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 1099511628211u;
    return hash;
}

template <class T>
std::uint64_t hash_of_steps(const cpu::Kernels& kernels, std::size_t rule, double weight_decay) {
    constexpr std::int64_t size = 1003;
    const RuleInfo& info = cpu::all_rules()[rule];
    cpu::Group group{rule, {}, 1.0};
    for (std::size_t i = 0; i < info.field_count; ++i) {
        const bool decays = std::strcmp(info.fields[i].name, "weight_decay") == 0;
        group.hyper[i] = decays ? weight_decay : info.fields[i].preset;
    }
    Numbers numbers;
    std::vector<std::vector<T>> arrays(2 + info.slot_count, std::vector<T>(size));
    Tensor tensor = adamcore::tensor(arrays[0].data(), arrays[1].data(), size, 1);
    for (std::size_t slot = 0; slot < info.slot_count; ++slot) tensor.state[slot] = arrays[2 + slot].data();
    for (T& x : arrays[0]) x = numbers.next<T>();

    plan::Cut cuts[cpu::max_parts + 1];
    for (tensor.step = 1; tensor.step <= 20; ++tensor.step) {
        for (T& x : arrays[1]) x = numbers.next<T>();
        const int parts = cpu::plan_step(&tensor, 1, 1, cuts);
        cpu::step(kernels, &group, &tensor, cuts, parts, cpu::Serial{});
    }
    std::uint64_t hash = 14695981039346656037u;
    for (const auto& array : arrays) hash = hash_of(array.data(), array.size() * sizeof(T), hash);
    return hash;
}

}  // namespace

int main() {
    for (const cpu::Isa isa : cpu::all_isas) {
        const cpu::Kernels* kernels = cpu::kernels_for(isa);
        if (!kernels) continue;
        std::printf("isa %s\n", cpu::name_of(isa));
        for (std::size_t rule = 0; rule < rules::All::size; ++rule) {
            for (const double decay : {0.0, 0.01}) {
                std::printf("%s %016" PRIx64 " %016" PRIx64 "\n", cpu::all_rules()[rule].name.data(),
                            hash_of_steps<float>(*kernels, rule, decay), hash_of_steps<double>(*kernels, rule, decay));
            }
        }
    }
}
