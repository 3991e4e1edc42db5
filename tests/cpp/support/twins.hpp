#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "adamcore/cuda/engine.hpp"
#include "emulation.hpp"
#include "support/norms.hpp"
#include "support/stored.hpp"

namespace adamcore::test {

/// AdamW on a few tensors of floats, by the CPU at once and by an engine over the emulation whenever that likes.
class Twins {
public:
    static constexpr std::size_t count = 3;

    /// Each of the first `groups` tensors has a group of its own, and the others are in the first.
    explicit Twins(const cuda::Settings& settings = {}, std::size_t groups = 1)
        : groups_(groups, distinct_group(index_of<AdamW>(), true, 1.0)), engine(0, settings) {
        for (const Group& group : groups_) engine.add_group(group);
        for (std::size_t i = 0; i < count; ++i) {
            for (auto* side : {&here_, &there_}) {
                for (std::size_t array = 0; array < arrays; ++array)
                    (*side)[i][array].assign(1000 + 7 * i, start(array));
            }
            cuda::Entry entry;
            entry.tensor = tensor_of(there_[i], 0, group_of(i));
            engine.add(entry);
        }
    }

    /// Gradients of the next step, which all streams find.
    void set_gradient(float value) {
        for (std::size_t i = 0; i < count; ++i) {
            for (std::size_t k = 0; k < here_[i][1].size(); ++k)
                here_[i][1][k] = there_[i][1][k] = value + 0.001f * static_cast<float>(k % 17);
        }
    }
    void set_rate(double rate) {
        set_here(0, 0, rate);
        set_there();
    }
    /// For the CPU, and for the engine with the next set_there().
    void set_here(std::size_t group, std::size_t field, double value) { groups_[group].hyper[field] = value; }
    void set_there() {
        for (std::size_t i = 0; i < groups_.size(); ++i) engine.set_group(i, groups_[i]);
    }

    /// The same step on the CPU.
    void step_here() {
        ++steps_;
        std::vector<Tensor> tensors;
        for (std::size_t i = 0; i < count; ++i) tensors.push_back(tensor_of(here_[i], steps_, group_of(i)));
        dispatch(cpu::best_kernels(), groups_, tensors, cpu::Serial{});
    }
    void step_there(const cuda::StepRequest& request) { engine.step(request); }

    /// Whether both have the same bits once all is done.
    bool agree() {
        cuda::emulation::synchronize();
        for (std::size_t i = 0; i < count; ++i) {
            for (const std::size_t array : {0, 2, 3}) {
                const auto &a = here_[i][array], &b = there_[i][array];
                if (std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) != 0) return false;
            }
        }
        return engine.steps() == std::vector<std::int64_t>(count, steps_) && engine.completed() == steps_;
    }

    std::int64_t steps() const { return steps_; }

private:
    static constexpr std::size_t arrays = 4;  // parameter, gradient, moments
    using Arrays = std::array<std::vector<float>, arrays>;

    static float start(std::size_t array) { return array == 0 ? 1.0f : array == 1 ? 0.25f : 0.0f; }
    std::int32_t group_of(std::size_t i) const { return i < groups_.size() ? static_cast<std::int32_t>(i) : 0; }
    static Tensor tensor_of(Arrays& a, std::int64_t step, std::int32_t group) {
        Tensor tensor = adamcore::tensor(a[0].data(), static_cast<const float*>(a[1].data()),
                                         static_cast<std::int64_t>(a[0].size()), step, a[2].data(), a[3].data());
        tensor.group = group;
        return tensor;
    }

    std::vector<Group> groups_;
    std::array<Arrays, count> here_, there_;
    std::int64_t steps_ = 0;

public:
    cuda::Engine engine;  ///< the first to go: it waits for what uses the arrays
};

}  // namespace adamcore::test
