#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/constants.hpp"
#include "adamcore/cpu/passes/tables.hpp"
#include "adamcore/cpu/passes/workspace.hpp"
#include "adamcore/cpu/pieces.hpp"
#include "adamcore/cpu/traffic.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/sums.hpp"

/// What happens before the updates of rules that need sums.
namespace adamcore::cpu::detail {

/// The constants of tensors that have their own, and the passes that complete them.
template <class Pool>
class Passes {
public:
    /// `numbers` are those of the optimizer. Powers come from `latest`, by group, if it is not null.
    Passes(const Job& job, const Pool& pool, const Treatment& treatment, Workspace workspace, double* numbers,
           LatestConstants* latest) noexcept
        : job_(job),
          pool_(pool),
          treatment_(treatment),
          memory_(static_cast<std::byte*>(workspace.memory)),
          cuts_(static_cast<plan::Cut*>(workspace.memory)),
          places_(reinterpret_cast<Place*>(memory_ + places_at)),
          numbers_(numbers),
          latest_(latest) {}

    /// Runs all passes, every second one from the last part to the first: what was read last is in cache. The first one
    /// is `reversed` or not, and later `reversed` is how to go on. Returns false if the step ends here.
    bool run(bool& reversed) noexcept {
        prepare();
        for (std::size_t k = 0; k < rule::max_passes; ++k) {
            if (!plan(k)) continue;
            visit(k, reversed);
            reversed = !reversed;
            finish_tables(k);
            if (!conclude(k)) return false;
        }
        return true;
    }

    /// Null if the tensor has no constants of its own.
    const void* constants(std::int64_t i) const noexcept {
        return places_[i].constants == 0 ? nullptr : memory_ + places_[i].constants;
    }

    /// The tensor, with temporaries behind its slots.
    Tensor view(std::int64_t i) const noexcept {
        Tensor tensor = job_.tensors[i];
        const RuleInfo& info = job_.info(i);
        std::byte* at = memory_ + places_[i].temporaries;
        for (std::size_t k = 0; k < info.temporary_count; ++k) {
            tensor.state[info.slot_count + k] = at;
            at += temporary_bytes(tensor, info.temporaries[k]);
        }
        return tensor;
    }

private:
    rule::Context context_of(std::int64_t i, double* tensor_numbers) const {
        rule::Context context = detail::context_of(job_.tensors[i]);
        context.numbers = tensor_numbers;
        context.shared = numbers_;
        return context;
    }

    double* partials(std::int64_t i) const { return reinterpret_cast<double*>(memory_ + places_[i].partials); }

    /// Neighbours whose constants must be the same share one computation.
    bool are_alike(std::int64_t i, std::int64_t j) const {
        const Tensor &a = job_.tensors[i], &b = job_.tensors[j];
        return &job_.group(i) == &job_.group(j) && a.step == b.step && a.begins() == b.begins() &&
               compute_dtype(a.dtype) == compute_dtype(b.dtype) && a.size == b.size && a.rows == b.rows &&
               a.columns == b.columns;
    }

    void prepare() noexcept {
        const FloatEnvironment environment;
        lay_out(job_, [&](std::int64_t i, const Place& place) { places_[i] = place; });
        std::int64_t before = -1;
        bias::Powers powers[rule::max_decays];
        for (std::int64_t i = 0; i < job_.count; ++i) {
            if (places_[i].constants == 0) continue;
            const RuleInfo& info = job_.info(i);
            const Tensor& tensor = job_.tensors[i];
            TensorNumbers own(info, tensor);
            std::byte* const step = memory_ + places_[i].constants;
            if (before >= 0 && own.count() == 0 && are_alike(i, before)) {
                std::copy_n(memory_ + places_[before].constants, job_.catalog.step_bytes, step);
            } else {
                if (before < 0 || &job_.group(i) != &job_.group(before))
                    std::fill_n(powers, rule::max_decays, bias::Powers{});
                info.prepare_next(job_.group(i).hyper, context_of(i, own.data()), tensor.dtype,
                                  latest_ ? latest_[tensor.group].powers() : powers, step);
                own.store();
            }
            before = i;
        }
    }

    /// Gives each tensor room for its partial sums of pass k. Returns false if no tensor has such a pass.
    bool plan(std::size_t k) noexcept {
        std::int64_t end = places_at + aligned(job_.count * std::int64_t{sizeof(Place)});
        for (std::int64_t i = 0; i < job_.count; ++i) {
            if (places_[i].constants != 0) end = after_constants(i);
        }
        work_ = 0;
        bool found = false;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            const PassInfo* const pass = job_.pass(i, k);
            if (!pass) continue;
            found = true;
            places_[i].partials = end;
            end += partials_of(job_.tensors[i], *pass).all() * std::int64_t{sizeof(double)};
            work_ += work_of(job_.tensors[i], job_.sweep(i, k).access);
        }
        totals_ = reinterpret_cast<double*>(memory_ + end);
        return found;
    }

    std::int64_t after_constants(std::int64_t i) const {
        const RuleInfo& info = job_.info(i);
        std::int64_t at = places_[i].constants + static_cast<std::int64_t>(job_.catalog.step_bytes);
        for (std::size_t k = 0; k < info.temporary_count; ++k)
            at += temporary_bytes(job_.tensors[i], info.temporaries[k]);
        return at;
    }

    /// Calls `f(i, begin, end)` on the pool for units [begin, end) of tensors, `units_of(i)` of each.
    template <class UnitsOf, class F>
    void run_units(UnitsOf units_of, std::int64_t work, bool reversed, F f) noexcept {
        const auto size = [&](std::int64_t i) { return units_of(i).size(); };
        const int parts = parts_for(work, pool_.size());
        plan::split_at(size, job_.count, parts, cuts_, [&](std::int64_t i) { return units_of(i).nominal; });
        detail::run(size, cuts_, parts, pool_, reversed, [&] {
            return [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
                const std::int64_t nominal = units_of(i).nominal;
                f(i, begin / nominal, (end + nominal - 1) / nominal);
            };
        });
    }

    void visit(std::size_t k, bool reversed) noexcept {
        const auto units_of = [&](std::int64_t i) -> Units {
            const PassInfo* const pass = job_.pass(i, k);
            if (!pass) return {0, 1};
            if (pass->is_tabular) return Units::of_elements(job_.tensors[i]);
            return {sums::leaves_of(job_.tensors[i].size), std::min(job_.tensors[i].size, sums::leaf)};
        };
        run_units(units_of, work_, reversed, [&](std::int64_t i, std::int64_t begin, std::int64_t end) {
            const PassInfo& pass = *job_.pass(i, k);
            const Tensor tensor = view(i);
            const Visit visit{job_.sweep(i, k),         constants(i),           tensor,
                              job_.group(i).grad_scale, treatment_.scale_of(i), treatment_};
            const TileVisits& visits = job_.catalog.visits[type_index(tensor)];
            if (pass.is_tabular) return visits.units(visit, begin, end, table(i, k).sums());
            double* const leaves = partials(i) + begin * static_cast<std::int64_t>(visit.pass.sums);
            visits.leaves(visit, begin * sums::leaf, std::min(tensor.size, end * sums::leaf), leaves);
        });
    }

    Table table(std::int64_t i, std::size_t k) const {
        const RuleInfo& info = job_.info(i);
        Table found{job_.tensors[i], info.passes[k], constants(i), context_of(i, nullptr), partials(i), {}, {}};
        const Tensor tensor = view(i);
        std::size_t rows = 0, columns = 0;
        for (std::size_t at = 0; at < info.slot_count + info.temporary_count; ++at) {
            const rule::Slot& slot = at < info.slot_count ? info.slots[at] : info.temporaries[at - info.slot_count];
            if (slot.shape == rule::Shape::rows) found.row_arrays[rows++] = tensor.state[at];
            if (slot.shape == rule::Shape::columns) found.column_arrays[columns++] = tensor.state[at];
        }
        return found;
    }

    /// What it takes to finish a row or a column, in bytes that could be read or written meanwhile.
    static constexpr std::int64_t line_work = 64;

    void finish_tables(std::size_t k) noexcept {
        const auto has = [&](std::int64_t i, rule::Over over) {
            const PassInfo* const pass = job_.pass(i, k);
            return pass && pass->is_tabular && count_over(*pass, over) > 0;
        };
        std::int64_t rows = 0, columns = 0;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            if (has(i, rule::Over::rows)) rows += job_.tensors[i].size / job_.tensors[i].columns;
            if (has(i, rule::Over::columns)) columns += partials_of(job_.tensors[i], *job_.pass(i, k)).columns;
        }
        const auto of_rows = [&](std::int64_t i) {
            return has(i, rule::Over::rows) ? Units::of_rows(job_.tensors[i]) : Units{0, 1};
        };
        const auto of_columns = [&](std::int64_t i) {
            return has(i, rule::Over::columns) ? Units::of_columns(job_.tensors[i]) : Units{0, 1};
        };
        using Index = std::int64_t;
        if (rows > 0) {
            run_units(of_rows, rows * line_work, false,
                      [&](Index i, Index begin, Index end) { table(i, k).finish_rows(begin, end); });
            const FloatEnvironment environment;
            for (Index i = 0; i < job_.count; ++i) {
                if (has(i, rule::Over::rows)) table(i, k).finish_totals();
            }
            run_units(of_rows, rows * line_work, false,
                      [&](Index i, Index begin, Index end) { table(i, k).spread_rows(begin, end); });
        }
        if (columns > 0)
            run_units(of_columns, columns * line_work, false,
                      [&](Index i, Index begin, Index end) { table(i, k).finish_columns(begin, end); });
    }

    /// Adds up the sums of tensors and those over all, and completes the constants.
    bool conclude(std::size_t k) noexcept {
        const FloatEnvironment environment;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            const PassInfo* const pass = job_.pass(i, k);
            if (!pass || pass->is_tabular) continue;
            const auto count = static_cast<std::int64_t>(pass->sum_count);
            for (std::int64_t s = 0; s < count; ++s)
                sums::sum_pairs(partials(i) + s, sums::leaves_of(job_.tensors[i].size), count);
        }
        if (!decide(k)) return false;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            const PassInfo* const pass = job_.pass(i, k);
            if (!pass || pass->is_tabular) continue;
            TensorNumbers own(job_.info(i), job_.tensors[i]);
            pass->conclude(job_.group(i).hyper, job_.tensors[i].dtype, context_of(i, own.data()), partials(i),
                           memory_ + places_[i].constants);
            own.store();
        }
        return true;
    }

    /// Adds up the sums over all tensors, in whose places they are written, and decides about the optimizer's numbers.
    bool decide(std::size_t k) noexcept {
        const auto sums_all = [&](std::int64_t i) {
            const PassInfo* const pass = job_.pass(i, k);
            return pass && pass->decide ? pass : nullptr;
        };
        std::int64_t count = 0, first = -1;
        bool takes_part = false;
        for (std::int64_t i = 0; i < job_.count; ++i) {
            const PassInfo* const pass = sums_all(i);
            if (!pass) continue;
            ++count;
            if (takes_part) continue;
            takes_part = job_.info(i).takes_part(job_.group(i).hyper);
            if (takes_part || first < 0) first = i;
        }
        if (count == 0) return true;
        const PassInfo& pass = *sums_all(first);
        double found[rule::max_sums];
        for (std::size_t s = 0; s < pass.sum_count; ++s) {
            found[s] = partials(first)[s];
            if (pass.sums[s] != rule::Over::all) continue;
            std::int64_t at = 0;
            for (std::int64_t i = 0; i < job_.count; ++i) {
                if (sums_all(i)) totals_[at++] = partials(i)[s];
            }
            found[s] = sums::sum_pairs(totals_, count);
            for (std::int64_t i = 0; i < job_.count; ++i) {
                if (sums_all(i)) partials(i)[s] = found[s];
            }
        }
        return pass.decide(job_.group(first).hyper, found, numbers_);
    }

    const Job& job_;
    const Pool& pool_;
    const Treatment& treatment_;
    std::byte* const memory_;
    plan::Cut* const cuts_;
    Place* const places_;
    double* const numbers_;
    LatestConstants* const latest_;
    std::int64_t work_ = 0;
    double* totals_ = nullptr;
};

}  // namespace adamcore::cpu::detail
