#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/passes/table.hpp"
#include "adamcore/cuda/table.hpp"
#include "adamcore/norm.hpp"
#include "adamcore/optimizer/clip.hpp"
#include "adamcore/tensor.hpp"

/// Turns a model's tensors into tables in device memory. It runs once, and again when the kinds of gradients change. It
/// uses addresses only of parameters and state.
namespace adamcore::cuda {

/// How an array is measured: in C order, as `units` units that start `stride` bytes apart.
struct Span {
    Axes axes{};
    std::int64_t stride = 0;
};

/// A tensor as the host knows it. Its axes point to host memory.
struct Entry {
    Tensor tensor;  ///< its arrays are on the device; `grad` is null if there is none
    std::int32_t clock = 0;
    std::int64_t units = 1;  ///< for which adaptive clipping computes factors
    Span measured_param{}, measured_grad{};
};

/// Everything that the plan depends on.
struct PlanRequest {
    const std::vector<Entry>& entries;
    const std::vector<Group>& groups;
    Clip clip;
    bool limits;    ///< whether elements are clipped
    bool measures;  ///< whether gradients are measured
};

/// One launch of an update.
struct UpdatePart {
    std::size_t rule;
    Dtype type;
    bool dense;
    const Tile* tiles;
    std::int64_t blocks;
};

/// A tree of sums: blocks of Fold that add up terms, with a range of `first` for each array.
template <class Term>
struct FoldPlan {
    const FoldTile* tiles = nullptr;
    std::int64_t blocks = 0;  ///< 0 if every array has so few terms that they are not folded
    Term* sums = nullptr;
    const std::int64_t* first = nullptr;
};

/// One launch that visits tensors: whole ones leaf by leaf, or matrices, which are small or not.
struct VisitPart {
    enum class Way : std::uint8_t { leaves, parts, matrices };

    std::size_t rule;
    Dtype type;
    bool dense;
    Way way;
    const Tile* leaves;
    const MatrixTile* tiles;
    std::int64_t blocks;
};

/// The launch that adds up the sums of a rule over all tensors.
struct AgreementPart {
    std::size_t rule;
    const Summed* items;
    std::int64_t count;
    double *totals, *all;
};

/// One launch that completes constants.
struct ConclusionPart {
    std::size_t rule;
    Dtype type;
    const Summed* items;
    std::int64_t count;
    double* all;  ///< of the agreement, or null
};

/// The launches that follow visits of matrices that are not small.
struct LinePart {
    std::size_t rule;
    Dtype type;
    const MatrixTile* columns;  ///< for ColumnSums
    std::int64_t column_blocks;
    const MatrixTile* matrices;  ///< for RowTotals
    std::int64_t matrix_count;
    const Tile* lines;  ///< for Rows and Spread
    std::int64_t row_blocks, line_blocks;
};

/// One pass of all rules that have it.
struct PassPlan {
    std::vector<VisitPart> visits;
    const std::int64_t* begins = nullptr;  ///< by tensor
    double* terms = nullptr;
    FoldPlan<double> fold;
    std::vector<AgreementPart> agreements;
    std::vector<ConclusionPart> conclusions;

    const LineTerms* places = nullptr;  ///< by tensor
    double* line_terms = nullptr;
    std::vector<LinePart> lines;
};

struct Plan {
    const Tensor* tensors = nullptr;
    std::vector<UpdatePart> updates;
    /// Every combination of rule and compute type that clocks have, without repetition. There is at least one, which
    /// decides.
    std::vector<std::pair<std::size_t, Dtype>> kinds;
    std::vector<PassPlan> passes;
    bool has_own_constants = false;  ///< whether any tensor has constants of its own
    bool has_passes = false;         ///< whether any tensor's rule has passes, also if none has a gradient

    const LeafTile* leaves = nullptr;
    std::int64_t leaf_blocks = 0;
    const Reading* readings = nullptr;
    norm::Squares* leaf_sums = nullptr;
    FoldPlan<norm::Squares> fold;

    std::int64_t units = 0;  ///< of all tensors, if they are measured by units
    norm::Squares* unit_squares = nullptr;
    Scale* unit_factors = nullptr;
    FoldPlan<norm::Squares> unit_fold;

    std::int64_t measured_count = 0;
    const Measured* measured = nullptr;
    norm::Squares* totals = nullptr;
    /// Folds the totals, if there are too many for one block.
    FoldPlan<norm::Squares> total_fold;
    std::int64_t look_blocks = 0;
    std::int32_t* culprits = nullptr;
    Scale* tensor_factors = nullptr;
};

/// Copies axes to the device.
Axes packed(const Axes& axes, Packer& packer);
/// Copies the layout of a parameter and its gradient to the device, if there is one.
const Layout* packed_layout(const Tensor& tensor, Packer& packer);

/// The number of blocks that it takes for `size` things, if one takes `each`.
constexpr std::int64_t blocks_for(std::int64_t size, std::int64_t each) { return (size + each - 1) / each; }

/// Whether a tensor is updated.
inline bool is_active(const Entry& entry) { return entry.tensor.grad && entry.tensor.size > 0; }

/// Whether kernels for dense arrays of the compute type can process a tensor.
bool is_dense(const PlanRequest& request, const Tensor& tensor);

/// Plans the sums of each array's terms. Array k has terms [starts[k], starts[k + 1]).
template <class Term>
FoldPlan<Term> plan_fold(const std::vector<std::int64_t>& starts, Packer& packer);

/// Plans the passes of all rules.
void plan_passes(const PlanRequest& request, Packer& packer, Plan& plan);

/// Lays out the tables of a plan.
Plan make_plan(const PlanRequest& request, Packer& packer);

}  // namespace adamcore::cuda
