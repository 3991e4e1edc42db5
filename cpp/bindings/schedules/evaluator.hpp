#pragma once

#include <string>

#include <pybind11/pybind11.h>

namespace adamcore::python {

namespace py = pybind11;

/// The native part of a schedule. It is immutable, except that the one of a ReduceOnPlateau reads what its schedule has
/// observed. Call it with the GIL, and within a cpu::FloatEnvironment.
class Evaluator {
public:
    /// `name` is that of the schedule's class.
    explicit Evaluator(std::string name) : name_(std::move(name)) {}
    Evaluator(const Evaluator&) = delete;
    Evaluator& operator=(const Evaluator&) = delete;
    virtual ~Evaluator() = default;

    /// The value at a finite t >= 0. It allocates nothing and cannot fail, unless a part of the schedule is a Python
    /// object: then it may run Python code and throw.
    virtual double operator()(double t) const = 0;

    const std::string& name() const { return name_; }

    /// How many schedules are nested in each other, which bounds the stack that a call uses.
    int depth() const { return depth_; }
    void set_depth(int depth) { depth_ = depth; }

    /// Called by the garbage collector.
    virtual int traverse(visitproc visit, void* arg) const = 0;
    /// Does nothing, as for tuples: what an immutable object is part of is no cycle without an object that can be cleared.
    void clear() noexcept {}

private:
    std::string name_;
    int depth_ = 1;
};

/// The evaluator of a built-in schedule, which lives as long as the schedule; null if `schedule` is another callable,
/// or of a class of users that defines how it is called.
const Evaluator* evaluator_of(py::handle schedule);

/// Defines `Evaluator`, and `make_evaluator`, which makes one of a class' name and a dict of its arguments.
void define_schedules(py::module_& m);

}  // namespace adamcore::python
