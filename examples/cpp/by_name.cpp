// A rule that is chosen when the program runs: build/example/by_name adamw. It builds as adamw.cpp does.
//
// The target adamcore::kernels has every rule, compiled for every instruction set, and a pool of threads. The rule's
// description says which state it needs; here the program owns the arrays of the state and counts the steps.
// adamcore::NamedOptimizer would do both.

#include <adamcore/adamcore.hpp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

namespace cpu = adamcore::cpu;

/// Finds the minimum of a quadratic, and returns the largest distance from it.
float train(std::string_view rule, double rate) {
    constexpr std::int64_t size = 100'000, steps = 200;
    std::vector<float> weights(size, 1.0f), grads(size);
    adamcore::Tensor tensor = adamcore::tensor(weights.data(), grads.data(), size, /*step=*/1);

    const adamcore::Group group = adamcore::named_group(rule, {{"lr", rate}});
    const adamcore::RuleInfo& info = adamcore::all_rules()[adamcore::rule_of(group, tensor)];
    std::vector<std::vector<double>> state;  // room for floats and for doubles
    for (std::size_t k = 0; k < info.slot_count; ++k) {
        state.emplace_back(static_cast<std::size_t>(adamcore::slot_size(tensor, info.slots[k])));
        tensor.state[k] = state.back().data();
    }
    adamcore::start_state(tensor, group);

    const cpu::Threads pool{cpu::usable_threads()};
    for (tensor.step = 1; tensor.step <= steps; ++tensor.step) {
        for (std::size_t i = 0; i < weights.size(); ++i) grads[i] = weights[i] - 0.25f;
        cpu::step(rule, &tensor, 1, {{"lr", rate}}, pool);
    }

    float distance = 0;
    for (const float weight : weights) distance = std::fmax(distance, std::fabs(weight - 0.25f));
    return distance;
}

int main(int count, char** arguments) {
    try {
        const std::string_view rule = count > 1 ? arguments[1] : "adamw";
        const float distance = train(rule, 0.01);
        std::printf("%.*s: %.4f from the minimum\n", static_cast<int>(rule.size()), rule.data(),
                    static_cast<double>(distance));
        return distance < 0.75f ? 0 : 1;
    } catch (const std::exception& error) {  // an unknown name: the message lists those that there are
        std::printf("%s\n", error.what());
        return 2;
    }
}
