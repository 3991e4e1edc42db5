// The plan of passes over elements before an update.

#include <algorithm>
#include <map>
#include <tuple>

#include "adamcore/cuda/plan.hpp"
#include "adamcore/rule_registry.hpp"

namespace adamcore::cuda {
namespace {

/// Plans one pass, as tensors are added that have it.
class PassPlanner {
public:
    PassPlanner(const PlanRequest& request, Packer& packer, std::size_t pass)
        : request_(request),
          packer_(packer),
          pass_(pass),
          begins_(request.entries.size()),
          places_(request.entries.size()) {}

    void add(std::int32_t place, const Entry& entry, std::size_t rule) {
        const PassInfo& pass = all_rules()[rule].passes[pass_];
        const Kind kind{rule, compute_dtype(entry.tensor.dtype)};
        const bool dense = is_dense(request_, entry.tensor);
        if (!pass.is_tabular) {
            add_leaves(place, entry.tensor, kind, dense, pass);
        } else if (is_small(entry.tensor)) {
            add_matrices(place, entry.tensor, whole_[{kind.first, kind.second, dense}]);
        } else {
            add_parts(place, entry.tensor, kind, dense, pass);
        }
    }

    bool is_empty() const { return leaves_.empty() && whole_.empty() && parts_.empty(); }

    PassPlan finish() {
        PassPlan plan;
        finish_leaves(plan);
        finish_matrices(plan);
        return plan;
    }

private:
    using Kind = std::pair<std::size_t, Dtype>;
    template <class T>
    using ByKernel = std::map<std::tuple<std::size_t, Dtype, bool>, std::vector<T>>;

    struct Lines {
        std::vector<MatrixTile> columns, matrices;
        std::vector<Tile> rows, others;
    };

    void add_leaves(std::int32_t place, const Tensor& tensor, const Kind& kind, bool dense, const PassInfo& pass) {
        const std::int64_t leaves = sums::leaves_of(tensor.size);
        std::vector<Tile>& tiles = leaves_[{kind.first, kind.second, dense}];
        for (std::int64_t i = 0; i < leaves; ++i) tiles.push_back({place, static_cast<std::uint32_t>(i)});
        begins_[static_cast<std::size_t>(place)] = starts_.back();
        const Summed item{place, 0, static_cast<std::int64_t>(starts_.size()) - 1};
        for (std::size_t sum = 0; sum < pass.sum_count; ++sum) starts_.push_back(starts_.back() + leaves);
        concluded_[kind].push_back(item);
        if (pass.decide) agreed_[kind.first].push_back(item);
    }

    static void add_matrices(std::int32_t place, const Tensor& tensor, std::vector<MatrixTile>& tiles) {
        const std::int64_t count = matrices_of(tensor), each = small_matrices / (tensor.rows * tensor.columns);
        for (std::int64_t at = 0; at < count; at += each)
            tiles.push_back({place, static_cast<std::int32_t>(std::min(each, count - at)), at, 0, 0});
    }

    void add_parts(std::int32_t place, const Tensor& tensor, const Kind& kind, bool dense, const PassInfo& pass) {
        const std::int64_t count = matrices_of(tensor), blocks = sums::blocks_of(tensor.rows);
        const std::int64_t leaves = sums::leaves_of(tensor.columns), rows = tensor.size / tensor.columns;
        const std::int64_t shares = blocks_for(blocks, column_share);
        const bool folds = blocks > column_share;
        std::vector<MatrixTile>& tiles = parts_[{kind.first, kind.second, dense}];
        Lines& lines = lines_[kind];
        const auto number = [](std::int64_t i) { return static_cast<std::int32_t>(i); };
        for (std::int64_t matrix = 0; matrix < count; ++matrix) {
            for (std::int64_t block = 0; block < blocks; ++block) {
                for (std::int64_t leaf = 0; leaf < leaves; ++leaf)
                    tiles.push_back({place, 1, matrix, number(block), number(leaf)});
            }
            lines.matrices.push_back({place, 1, matrix, 0, 0});
            for (std::int64_t share = 0; folds && share < shares; ++share) {
                for (std::int64_t strip = 0; strip < blocks_for(tensor.columns, threads); ++strip)
                    lines.columns.push_back({place, 1, matrix, number(share), number(strip)});
            }
        }
        const auto add_tiles = [&](std::int64_t size, std::vector<Tile>& to) {
            for (std::int64_t i = 0; i < blocks_for(size, threads); ++i)
                to.push_back({place, static_cast<std::uint32_t>(i)});
        };
        add_tiles(rows, lines.rows);
        add_tiles(tensor.size / tensor.rows, lines.others);

        const std::int64_t column_sums = count_over(pass, rule::Over::columns) * count * tensor.columns;
        LineTerms& terms = places_[static_cast<std::size_t>(place)];
        terms.rows = reserve(std::max<std::int64_t>(1, count_over(pass, rule::Over::rows)) * rows * leaves);
        terms.blocks = terms.columns = reserve(column_sums * blocks);
        terms.column_count = blocks;
        if (folds) {
            terms.columns = reserve(column_sums * shares);
            terms.column_count = shares;
        }
        terms.totals = reserve(count * sums::leaves_of(tensor.rows));
    }

    std::int64_t reserve(std::int64_t count) {
        const std::int64_t begin = line_terms_;
        line_terms_ += count;
        return begin;
    }

    void finish_leaves(PassPlan& plan) {
        if (leaves_.empty()) return;
        for (const auto& [key, tiles] : leaves_) {
            const auto& [rule, type, dense] = key;
            plan.visits.push_back({rule, type, dense, VisitPart::Way::leaves, packer_.add(tiles), nullptr,
                                   static_cast<std::int64_t>(tiles.size())});
        }
        plan.begins = packer_.add(begins_);
        plan.terms = packer_.reserve<double>(static_cast<std::size_t>(starts_.back()));
        plan.fold = plan_fold<double>(starts_, packer_);
        if (plan.fold.blocks == 0) plan.fold.sums = plan.terms;
        std::map<std::size_t, double*> all;
        for (const auto& [rule, items] : agreed_) {
            const std::size_t sums = all_rules()[rule].passes[pass_].sum_count;
            all[rule] = packer_.reserve<double>(sums);
            plan.agreements.push_back({rule, packer_.add(items), static_cast<std::int64_t>(items.size()),
                                       packer_.reserve<double>(sums * items.size()), all[rule]});
        }
        for (const auto& [kind, items] : concluded_)
            plan.conclusions.push_back({kind.first, kind.second, packer_.add(items),
                                        static_cast<std::int64_t>(items.size()), all[kind.first]});
    }

    void finish_matrices(PassPlan& plan) {
        const auto add_visits = [&](const ByKernel<MatrixTile>& all, VisitPart::Way way) {
            for (const auto& [key, tiles] : all) {
                const auto& [rule, type, dense] = key;
                plan.visits.push_back(
                    {rule, type, dense, way, nullptr, packer_.add(tiles), static_cast<std::int64_t>(tiles.size())});
            }
        };
        add_visits(whole_, VisitPart::Way::matrices);
        add_visits(parts_, VisitPart::Way::parts);
        if (parts_.empty()) return;
        plan.places = packer_.add(places_);
        plan.line_terms = packer_.reserve<double>(static_cast<std::size_t>(line_terms_));
        for (auto& [kind, lines] : lines_) {
            const auto row_blocks = static_cast<std::int64_t>(lines.rows.size());
            lines.rows.insert(lines.rows.end(), lines.others.begin(), lines.others.end());
            plan.lines.push_back({kind.first, kind.second, packer_.add(lines.columns),
                                  static_cast<std::int64_t>(lines.columns.size()), packer_.add(lines.matrices),
                                  static_cast<std::int64_t>(lines.matrices.size()), packer_.add(lines.rows), row_blocks,
                                  static_cast<std::int64_t>(lines.rows.size())});
        }
    }

    const PlanRequest& request_;
    Packer& packer_;
    std::size_t pass_;

    ByKernel<Tile> leaves_;
    std::vector<std::int64_t> begins_, starts_{0};
    std::map<Kind, std::vector<Summed>> concluded_;
    std::map<std::size_t, std::vector<Summed>> agreed_;

    ByKernel<MatrixTile> whole_, parts_;
    std::map<Kind, Lines> lines_;
    std::vector<LineTerms> places_;
    std::int64_t line_terms_ = 0;
};

}  // namespace

void plan_passes(const PlanRequest& request, Packer& packer, Plan& plan) {
    for (std::size_t pass = 0; pass < rule::max_passes; ++pass) {
        PassPlanner planner(request, packer, pass);
        for (std::size_t i = 0; i < request.entries.size(); ++i) {
            const Entry& entry = request.entries[i];
            const std::size_t rule =
                rule_of(request.groups[static_cast<std::size_t>(entry.tensor.group)], entry.tensor);
            if (is_active(entry) && pass < all_rules()[rule].pass_count)
                planner.add(static_cast<std::int32_t>(i), entry, rule);
        }
        if (planner.is_empty()) return;
        plan.passes.push_back(planner.finish());
    }
}

}  // namespace adamcore::cuda
