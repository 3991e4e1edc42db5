#pragma once

#include <cstddef>

#include "device_optimizer.hpp"
#include "runtime/prefetch.hpp"

namespace adamcore::python {

/// It holds references to gradients, because a step releases the GIL and the user's lists may change meanwhile.
struct DeviceOptimizer::GradTaker : Names::Taker {
    explicit GradTaker(DeviceOptimizer& taker) : optimizer(taker) { optimizer.held_.reserve(optimizer.size()); }
    ~GradTaker() override {
        for (PyObject* const grad : optimizer.held_) Py_DECREF(grad);
        optimizer.held_.clear();
    }
    GradTaker(const GradTaker&) = delete;
    GradTaker& operator=(const GradTaker&) = delete;

    /// Takes all gradients. They are held, and what is known about device memory stays valid: shapes are copied, and memory
    /// stays.
    Names::By take(const py::object& grads) {
        optimizer.has_known_grads_ = true;
        optimizer.has_new_grads_ = false;
        const Names::Taken taken = optimizer.names_->take(grads, *this, false);
        optimizer.expects_new_grads_ = optimizer.has_new_grads_;
        return taken.by;
    }

    bool take_plainly(PyObject* const* grads) override {
        constexpr std::size_t ahead = 8;
        for (std::size_t i = 0; i < optimizer.size(); ++i) {
            if (i + ahead < optimizer.size()) {
                optimizer.known_grads_[i + ahead].array.prefetch();
                prefetch_line(grads[i + ahead]);
            }
            if (!optimizer.take_plainly(i, grads[i])) return false;
        }
        return true;
    }
    void prepare(std::size_t tensor, py::object& grad, Names::By by) override { optimizer.prepare(tensor, grad, by); }
    void take(std::size_t tensor, const py::object& prepared, Names::By by) override {
        optimizer.take(tensor, prepared, by);
    }
    bool is_wary() const override { return optimizer.expects_new_grads_; }

    DeviceOptimizer& optimizer;
};

}  // namespace adamcore::python
