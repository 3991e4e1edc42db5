// The passes over elements before an update, and what follows each of them.

#include "adamcore/cuda/engine.hpp"
#include "adamcore/cuda/kernels.hpp"
#include "adamcore/rule_registry.hpp"
#include "state.hpp"

namespace adamcore::cuda {
void Engine::run_passes(const StepArguments& step, Stream stream) const {
    for (std::size_t i = 0; i < plan_.passes.size(); ++i) {
        const PassPlan& pass = plan_.passes[i];
        visit(pass, i, step, stream);
        conclude(pass, i, stream);
        conclude_lines(pass, i, stream);
    }
}

LineArguments Engine::line_arguments(const PassPlan& pass) const {
    LineArguments a{};
    a.tensors = plan_.tensors;
    a.places = pass.places;
    a.terms = pass.line_terms;
    a.constants = state_->constants;
    a.control = state_->control;
    a.shared = state_->numbers->of;
    return a;
}

void Engine::visit(const PassPlan& pass, std::size_t index, const StepArguments& step, Stream stream) const {
    for (const VisitPart& part : pass.visits) {
        const PassLaunches& launches = visit_launches(part.type, part.dense, part.rule, index);
        if (part.way == VisitPart::Way::leaves) {
            launches.visit(part.blocks, {step, part.leaves, pass.begins, pass.terms}, stream);
            continue;
        }
        MatrixArguments a{step, line_arguments(pass)};
        a.lines.tiles = part.tiles;
        (part.way == VisitPart::Way::parts ? launches.parts : launches.matrices)(part.blocks, a, stream);
    }
}

/// Adds up the sums over tensors, and over all tensors, and completes the constants.
void Engine::conclude(const PassPlan& pass, std::size_t index, Stream stream) const {
    fold_sums(pass.fold.blocks, {pass.fold.tiles, pass.terms, pass.fold.sums}, stream);
    ConcludeArguments a{};
    a.terms = pass.fold.sums;
    a.first = pass.fold.first;
    a.tensors = plan_.tensors;
    a.clocks = state_->clocks;
    a.groups = state_->groups;
    a.group_count = static_cast<std::int32_t>(groups_.size());
    a.constants = state_->constants;
    a.shared = state_->numbers->of;
    a.control = state_->control;
    for (const AgreementPart& part : pass.agreements) {
        a.items = part.items;
        a.count = part.count;
        a.totals = part.totals;
        a.all = part.all;
        conclude_launches(Dtype::float32, part.rule, index).agree(1, a, stream);
    }
    for (const ConclusionPart& part : pass.conclusions) {
        a.items = part.items;
        a.count = part.count;
        a.all = part.all;
        conclude_launches(part.type, part.rule, index).conclude(blocks_for(part.count, threads), a, stream);
    }
}

/// Adds up the sums over rows and columns, and computes what is stored for them.
void Engine::conclude_lines(const PassPlan& pass, std::size_t index, Stream stream) const {
    LineArguments a = line_arguments(pass);
    for (const LinePart& part : pass.lines) {
        const PassInfo& info = all_rules()[part.rule].passes[index];
        TotalArguments totals{a.tensors, a.places, a.terms, part.columns, count_over(info, rule::Over::columns),
                              a.control};
        column_sums(part.column_blocks, totals, stream);
        const ConclusionLaunches& launches = conclude_launches(part.type, part.rule, index);
        a.lines = part.lines;
        a.row_tiles = part.row_blocks;
        launches.rows(part.row_blocks, a, stream);
        totals.tiles = part.matrices;
        row_totals(part.matrix_count, totals, stream);
        launches.spread(part.line_blocks, a, stream);
    }
}

void Engine::load_passes() const {
    for (std::size_t i = 0; i < plan_.passes.size(); ++i) {
        const PassPlan& pass = plan_.passes[i];
        for (const VisitPart& part : pass.visits) {
            const PassLaunches& launches = visit_launches(part.type, part.dense, part.rule, i);
            switch (part.way) {
                case VisitPart::Way::leaves: launches.visit.load(); break;
                case VisitPart::Way::parts: launches.parts.load(); break;
                case VisitPart::Way::matrices: launches.matrices.load(); break;
            }
        }
        fold_sums.load();
        for (const AgreementPart& part : pass.agreements) conclude_launches(Dtype::float32, part.rule, i).agree.load();
        for (const ConclusionPart& part : pass.conclusions) conclude_launches(part.type, part.rule, i).conclude.load();
        for (const LinePart& part : pass.lines) {
            const ConclusionLaunches& launches = conclude_launches(part.type, part.rule, i);
            launches.rows.load();
            launches.spread.load();
            row_totals.load();
            column_sums.load();
        }
    }
}

}  // namespace adamcore::cuda
