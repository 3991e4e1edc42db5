#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/passes/catalog.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/sums.hpp"

/// The memory in which sums and the constants of tensors are kept during a step.
namespace adamcore::cpu {

/// Memory that the caller of a step lends, aligned to 16 bytes, with workspace_size() bytes. Nothing in it outlives the
/// step.
struct Workspace {
    void* memory = nullptr;
};

namespace detail {

/// A workspace begins with the cuts of a pass, which would take much of a small stack, and with the places of tensors.
inline constexpr std::int64_t places_at = (max_parts + 1) * std::int64_t{sizeof(plan::Cut)};

/// Where a tensor's constants, temporaries and partial sums are, in bytes from the beginning of the workspace. Constants
/// are at 0 if the tensor has none of its own.
struct Place {
    std::int64_t constants, temporaries, partials;
};

constexpr std::int64_t aligned(std::int64_t bytes) { return (bytes + 15) / 16 * 16; }

/// The numbers of partial sums of a pass over a tensor.
struct PartialCounts {
    std::int64_t rows = 0, columns = 0;  ///< of rows and columns
    std::int64_t totals = 0;             ///< of the leaves of tensors, or of what row() returns

    std::int64_t all() const { return rows + columns + totals; }
};

/// The number of matrices of a tensor.
inline std::int64_t matrices_of(const Tensor& tensor) { return tensor.size / (tensor.rows * tensor.columns); }

inline PartialCounts partials_of(const Tensor& tensor, const PassInfo& pass) {
    PartialCounts counts;
    if (!pass.is_tabular) {
        counts.totals = sums::leaves_of(tensor.size) * static_cast<std::int64_t>(pass.sum_count);
        return counts;
    }
    const std::int64_t matrices = matrices_of(tensor);
    counts.rows = matrices * tensor.rows * sums::leaves_of(tensor.columns) * count_over(pass, rule::Over::rows);
    counts.columns = matrices * sums::blocks_of(tensor.rows) * tensor.columns * count_over(pass, rule::Over::columns);
    counts.totals = matrices * sums::leaves_of(tensor.rows);
    return counts;
}

/// The bytes of a temporary of a tensor.
inline std::int64_t temporary_bytes(const Tensor& tensor, const rule::Slot& slot) {
    const auto item = static_cast<std::int64_t>(size_of(compute_dtype(tensor.dtype)));
    return aligned(slot_size(tensor, slot) * item);
}

/// Assigns places in a workspace, and calls `f(i, place)` with that of each tensor. Returns the number of bytes that are
/// needed, or 0 if no tensor has constants of its own.
template <class F>
std::int64_t lay_out(const Job& job, F&& f) {
    std::int64_t at = places_at + aligned(job.count * std::int64_t{sizeof(Place)});
    bool is_needed = false;
    std::int64_t pass_bytes[rule::max_passes] = {}, sums_of_all = 0;
    for (std::int64_t i = 0; i < job.count; ++i) {
        const Tensor& tensor = job.tensors[i];
        Place place{};
        if (active_size(tensor) != 0) {
            const RuleInfo& info = job.info(i);
            if (info.has_own_constants) {
                is_needed = true;
                place.constants = at;
                at += static_cast<std::int64_t>(job.catalog.step_bytes);
            }
            place.temporaries = at;
            for (std::size_t k = 0; k < info.temporary_count; ++k) at += temporary_bytes(tensor, info.temporaries[k]);
            for (std::size_t k = 0; k < info.pass_count; ++k) {
                const PassInfo& pass = info.passes[k];
                pass_bytes[k] += partials_of(tensor, pass).all() * std::int64_t{sizeof(double)};
                sums_of_all += count_over(pass, rule::Over::all);
            }
        }
        f(i, place);
    }
    if (!is_needed) return 0;
    return at + *std::max_element(pass_bytes, pass_bytes + rule::max_passes) +
           sums_of_all * std::int64_t{sizeof(double)};
}

}  // namespace detail

}  // namespace adamcore::cpu
