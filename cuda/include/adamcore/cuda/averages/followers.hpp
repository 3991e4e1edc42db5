#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "adamcore/cuda/averages/advance.hpp"
#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/plan.hpp"
#include "adamcore/cuda/update.hpp"

namespace adamcore::cuda {

/// An average of weights, with an array for each tensor.
struct FollowedAverage {
    WeightAverage average;
    WeightAverage::Progress progress;
    std::size_t pass;  ///< of weight_pass::All
    std::vector<void*> arrays;
};

/// The passes over weights that follow each step of an engine, and their tables.
class Followers {
public:
    bool empty() const { return averages_.empty(); }
    /// Whether the tables on the device are those of the latest set().
    bool are_ready() const { return averages_.empty() || block_; }
    void set(std::vector<FollowedAverage> averages) noexcept;
    /// Brings the tables to the device. Raises Error.
    void prepare(int device, const std::vector<Entry>& entries, std::uint64_t seed, std::optional<Stream> own,
                 Stream stream);
    /// Loads the kernels.
    void load() const;
    /// Queues the passes behind a step.
    void queue(const Control* control, const Course* course, Stream stream) const;
    /// How far the averages have come, by the contents of the device's memory when `after` has happened.
    std::vector<WeightAverage::Progress> progress(int device, const Event& after) const;
    /// Sets this. No work that uses it may be queued.
    void set_progress(const std::vector<WeightAverage::Progress>& progress);
    /// What queued work refers to.
    const std::shared_ptr<Block>& block() const { return block_; }

private:
    /// One launch.
    struct Part {
        std::size_t pass;
        Dtype type;
        std::int64_t blocks;
        UpdateArguments arguments;
    };

    std::size_t lay_out(const std::vector<Entry>& entries, std::uint64_t seed, Packer packer);
    void add_part(std::size_t average, Dtype type, const std::vector<Entry>& entries, std::uint64_t seed,
                  Packer& packer);

    std::vector<FollowedAverage> averages_;
    std::shared_ptr<Block> block_;
    AverageState* states_ = nullptr;
    std::vector<Part> parts_;
};

}  // namespace adamcore::cuda
