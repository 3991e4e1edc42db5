#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/plan.hpp"
#include "adamcore/cuda/sequence.hpp"
#include "adamcore/cuda/statistics/observe.hpp"
#include "adamcore/cuda/weight_pass.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/statistics/columns.hpp"

namespace adamcore::cuda {

/// How the arrays of a tensor are walked in C order: its gradient, its parameter, and dense arrays of the same order in
/// memory with elements of two bytes, and of the compute type. Axes point to host memory.
struct ObservedWalks {
    Axes grad, param, halves, whole;
};

/// The statistics of one step, in device memory until they are read.
class Observation {
public:
    /// Makes room for a step of tensors that have gradients. Raises Error before anything has changed.
    Observation(int device, Pool& pool, const std::vector<Entry>& entries, const std::vector<Group>& groups,
                const std::vector<ObservedWalks>& walks, unsigned parts, Stream stream);

    /// The tables of kernels: they lack what only the engine knows.
    const ObserveArguments& arguments() const { return arguments_; }
    std::int64_t blocks() const { return blocks_; }
    ClockFacts* facts() const { return facts_; }
    /// By tensor: where updates store weights before they round them to half precision, or null.
    float* const* computed() const { return computed_; }
    /// Copies the weights to where they are kept. Called before the step.
    void keep_weights() const {
        if (copy_) copy_->launch();
    }

    /// Called when the step has been queued: forgets what only the step needs, and notes the tensors' clocks.
    void queued(const std::vector<Entry>& entries, std::shared_ptr<const Sequence> steps);

    struct Result {
        std::vector<double> table;  ///< a row for each of statistics::Column, by tensor
        double norm;
    };
    /// Waits for the engine's latest step.
    Result read() const;

private:
    /// What the host remembers of a tensor.
    struct Seen {
        std::int64_t size = 0, leaf = 0;  ///< the place of its first leaf
        const RuleInfo* rule = nullptr;   ///< null if it has no gradient
        Dtype grad_dtype = Dtype::float32;
        bool is_negated = false;
        std::int32_t clock = 0;
    };

    std::size_t lay_out_results(Packer packer);
    std::size_t lay_out_scratch(const std::vector<Entry>& entries, Packer packer,
                                std::vector<ObservedTensor>& observed);
    std::size_t lay_out_tables(const std::vector<Entry>& entries, const std::vector<ObservedWalks>& walks,
                               std::vector<ObservedTensor> observed, Packer packer);
    statistics::Sums sums_of(const Seen& seen, const EarlySums* early, const LateSums* late) const;

    int device_;
    std::vector<Seen> seen_;
    std::int64_t leaves_ = 0, blocks_ = 0;
    std::size_t results_size_ = 0;
    ObserveArguments arguments_{};
    ClockFacts* facts_ = nullptr;
    float* const* computed_ = nullptr;
    std::vector<Tensor> copied_;  ///< with their weights in Tensor::state[0]
    std::shared_ptr<Block> results_;
    std::unique_ptr<Block> scratch_, tables_;
    std::unique_ptr<WeightPass> copy_;
    std::shared_ptr<const Sequence> steps_;
};

}  // namespace adamcore::cuda
