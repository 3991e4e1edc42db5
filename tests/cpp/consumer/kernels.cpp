#include <adamcore/adamcore.hpp>
#include <cmath>
#include <cstdio>
#include <vector>

/// The rule chosen by its name, the best instruction set, all threads: what adamcore::kernels compiles.
int main() {
    namespace cpu = adamcore::cpu;
    constexpr std::int64_t size = 100000;
    std::vector<float> param(size, 1.0f), grad(size, 0.5f), exp_avg(size), exp_avg_sq(size);
    const adamcore::Tensor tensor =
        adamcore::tensor(param.data(), grad.data(), size, 1, exp_avg.data(), exp_avg_sq.data());

    cpu::Group group;
    while (cpu::all_rules()[group.rule].name != "adam") ++group.rule;
    const adamcore::RuleInfo& info = cpu::all_rules()[group.rule];
    for (std::size_t i = 0; i < info.field_count; ++i) group.hyper[i] = info.fields[i].preset;

    const cpu::Threads pool{cpu::usable_threads()};
    adamcore::plan::Cut cuts[cpu::max_parts + 1];
    const int parts = cpu::plan_step(&tensor, 1, pool.size(), cuts);
    cpu::step(cpu::best_kernels(), &group, &tensor, cuts, parts, pool);

    for (const float p : param) {
        if (std::fabs(p - 0.999f) > 1e-6f) return 1;
    }
    std::printf("adamcore %s, kernels for %s: %.6f\n", ADAMCORE_VERSION, name_of(cpu::best_kernels().isa),
                static_cast<double>(param[0]));
}
