#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "adamcore/cuda/runtime.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore::cuda {

/// A pass over weights that is no step: one of weight_pass::All, for tensors from weights_of(). `shares` are by group.
class WeightPass {
public:
    /// Brings tables to the device. Raises Error; then nothing has changed.
    WeightPass(int device, std::size_t pass, const std::vector<Tensor>& tensors, const std::vector<double>& shares,
               std::uint64_t seed, Stream stream);
    ~WeightPass();
    WeightPass(const WeightPass&) = delete;
    WeightPass& operator=(const WeightPass&) = delete;

    /// Queues the pass on the stream. Its tables may be destroyed then.
    void launch() const;

private:
    struct Prepared;
    std::unique_ptr<Prepared> prepared_;
};

}  // namespace adamcore::cuda
