#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "support/parameters.hpp"

/// State that a program makes and counts itself, for comparison with what an optimizer makes.
namespace adamcore::test {

/// A parameter with gradients: `rows` x `columns`, or a vector if `rows` is 0.
template <class T>
struct Arrays {
    Arrays(std::int64_t rows_, std::int64_t columns_, std::uint64_t seed) : rows(rows_), columns(columns_) {
        const auto count = static_cast<std::size_t>(size());
        param.resize(count);
        std::mt19937_64 random(seed);
        fill_randomly(param.data(), count, true, random);
        for (auto& each : grads) {
            each.resize(count);
            fill_randomly(each.data(), count, true, random);
        }
    }

    std::int64_t size() const { return rows == 0 ? columns : rows * columns; }
    ArrayShape shape() const { return rows == 0 ? ArrayShape(columns) : ArrayShape(rows, columns); }
    const T* grad(int step) const { return grads[static_cast<std::size_t>(step) % grads.size()].data(); }

    std::int64_t rows, columns;
    std::vector<T> param;
    std::array<std::vector<T>, 3> grads;
};

/// The state of a dense tensor with a rule, in vectors.
template <class Rule, class T>
class ByHand {
public:
    ByHand(Arrays<T>& arrays, const typename Rule::Hyper& hyper) : arrays_(&arrays) {
        arrays.rows == 0 ? make<rule::for_vectors<Rule>>(hyper) : make<Rule>(hyper);
    }

    /// The tensor of the next update.
    Tensor next(const T* grad) {
        Tensor t = tensor(arrays_->param.data(), grad, arrays_->size(), ++steps_);
        t.rows = arrays_->rows;
        t.columns = arrays_->rows == 0 ? 0 : arrays_->columns;
        for (std::size_t k = 0; k < state_.size(); ++k) t.state[k] = state_[k].data();
        return t;
    }

    void expect_state_of(const OptimizerBase& opt, std::size_t index) const {
        const std::vector<StateArray> found = opt.state(index);
        ASSERT_EQ(found.size(), state_.size());
        for (std::size_t k = 0; k < found.size(); ++k)
            EXPECT_EQ(std::vector<T>(found[k].as<T>(), found[k].as<T>() + found[k].size), state_[k]) << found[k].name;
    }

private:
    template <class R>
    void make(const typename Rule::Hyper& hyper) {
        for (std::size_t k = 0; k < R::slots.size(); ++k) {
            const rule::Slot& slot = R::slots[k];
            const std::int64_t size = slot.shape == rule::Shape::rows      ? arrays_->rows
                                      : slot.shape == rule::Shape::columns ? arrays_->columns
                                                                           : arrays_->size();
            const auto first = static_cast<T>(rule::initial<R>(hyper, k));
            state_.push_back(slot.start == rule::Start::param ? arrays_->param
                                                              : std::vector<T>(static_cast<std::size_t>(size), first));
        }
    }

    Arrays<T>* arrays_;
    std::vector<std::vector<T>> state_;
    std::int64_t steps_ = 0;
};

/// cpu::step<Rule>() with the numbers of the optimizer.
template <class Rule>
class HandMadeStep {
public:
    explicit HandMadeStep(const typename Rule::Hyper& hyper) : hyper_(hyper) {
        if constexpr (rule::numbers<Rule>.size() > 0) {
            for (std::size_t k = 0; k < numbers_.size(); ++k) numbers_[k] = Rule::first_number(hyper, k);
        }
    }

    void operator()(const std::vector<Tensor>& tensors, double lr) {
        hyper_.lr = lr;
        const auto count = static_cast<std::int64_t>(tensors.size());
        OwnWorkspace workspace(cpu::workspace_size<Rule>(tensors.data(), count));
        cpu::step<Rule>(tensors.data(), count, hyper_, cpu::Serial{}, {}, workspace.get(), numbers_.data());
    }

private:
    typename Rule::Hyper hyper_;
    std::array<double, max_numbers> numbers_{};
};

}  // namespace adamcore::test
