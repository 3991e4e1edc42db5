#include "passes.hpp"

namespace adamcore::cuda {
namespace {

constexpr auto places = std::make_index_sequence<rules::All::size>{};

}  // namespace

const ConcludeLaunches conclude_float = conclusions_of<float>(rules::All{}, places);
const ConcludeLaunches conclude_double = conclusions_of<double>(rules::All{}, places);
const Launch<FoldTerms<double>> fold_sums = kernel_in_phases<FoldOf<double>>;
const Launch<TotalArguments> row_totals = kernel_in_phases<RowTotals>;
const Launch<TotalArguments> column_sums = kernel_alone<ColumnSums>;

}  // namespace adamcore::cuda
