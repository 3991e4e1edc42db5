#pragma once

#include <string>
#include <utility>

#include "schedules/arguments.hpp"
#include "schedules/evaluator.hpp"

namespace adamcore::python {

/// A schedule whose value is given by a formula of adamcore/schedule.hpp.
template <class Formula>
class FormulaNode final : public Evaluator {
public:
    FormulaNode(const Formula& formula, std::string name, Holdings holdings)
        : Evaluator(std::move(name)), formula_(formula), holdings_(std::move(holdings)) {}

    double operator()(double t) const override { return formula_(t); }
    int traverse(visitproc visit, void* arg) const override { return holdings_.traverse(visit, arg); }

private:
    Formula formula_;
    Holdings holdings_;
};

/// An object of a class of users, which is called as a schedule.
class UsersNode final : public Evaluator {
public:
    explicit UsersNode(py::object schedule);

    double operator()(double t) const override;
    int traverse(visitproc visit, void* arg) const override;

private:
    py::object schedule_;
};

/// A schedule that was lowered now and then.
class ReducedNode final : public Evaluator {
public:
    /// `memory["state"].ledger` is a tuple of pairs of a step and the factor by which the value is lowered from then on,
    /// in the order of steps. The item of `memory` may be replaced at any time. Factors are applied one after the other,
    /// and none lowers the value below `min_value`, as PyTorch does it; a schedule that is below stays as it is.
    ReducedNode(std::string name, Part schedule, double min_value, py::dict memory, Holdings holdings);

    double operator()(double t) const override;
    int traverse(visitproc visit, void* arg) const override;

private:
    Part schedule_;
    double min_value_;
    py::dict memory_;
    Holdings holdings_;
};

}  // namespace adamcore::python
