#include "program/steps.hpp"

namespace adamcore::experiments {

void queue_step(const Variant& variant, const Problem& problem, std::int64_t set, std::int64_t t) {
    const auto run = [&](const Kernel& kernel, std::int64_t blocks, const auto& arguments, bool dependent) {
        if (problem.request().where == On::host) return run_on_host(kernel, blocks, &arguments);
        launch(kernel, blocks, &arguments, dependent);
    };
    if (variant.measure.function)
        run(variant.measure, problem.measure_blocks(variant.leaves), problem.measure(set, variant.leaves), false);
    if (variant.is_engine) {
        const EngineTables& engine = problem.engine(set);
        if (variant.decide.function) run(variant.decide, 1, engine.decide(), false);
        const auto arguments =
            variant.constants_by_host ? engine.update(Problem::seed, Problem::hyper, t) : engine.update(Problem::seed);
        return run(variant.update, engine.blocks, arguments, false);
    }
    if (variant.decide.function) run(variant.decide, 1, problem.decide(set), variant.decide_is_dependent);
    if (!variant.update.function) return;
    UpdateArguments arguments = problem.update(set, variant.tile);
    if (variant.constants_by_host) arguments.step = rule::prepare<AdamW, float>(Problem::hyper, {t});
    run(variant.update, problem.update_blocks(variant.tile), arguments, variant.update_is_dependent);
}

bool runs_on_host(const Variant& variant) {
    for (const auto& [name, kernel] : variant.kernels()) {
        if (!kernel.on_host) return false;
    }
    return true;
}

}  // namespace adamcore::experiments
