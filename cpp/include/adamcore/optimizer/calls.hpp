#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "adamcore/cpu/parallel.hpp"
#include "adamcore/optimizer/arguments.hpp"
#include "adamcore/optimizer/base.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// The calls of an optimizer that adds tensors and steps. Self has
///
///     void read_hypers();                                         // writes the groups' numbers to groups()
///     std::size_t measure(const Group* groups, const Tensor* t);  // the workspace of a step of this tensor
///     void run(const Pool& pool, const Treatment& treatment) noexcept;
template <class Self>
class OptimizerCalls : public OptimizerBase {
public:
    /// Adds a dense parameter in C order, and returns its number. The memory stays valid as long as the optimizer.
    template <class T>
    std::size_t add(T* param, const ArrayShape& shape, std::size_t group = 0) {
        Tensor tensor = parameter(param, shape);
        require_group(group);
        tensor.group = static_cast<std::int32_t>(group);
        return add(tensor);
    }
    /// The same with whatever else a tensor may say; see parameter(). Its state and extra arrays are made here.
    std::size_t add(const Tensor& tensor) {
        require_group(static_cast<std::size_t>(tensor.group));
        self().read_hypers();
        return add_tensor(tensor, [&](const Tensor& one) { return self().measure(group_data(), &one); });
    }

    /// Updates every parameter that has a gradient. `grads` are pointers, or containers of numbers, in the order of the
    /// parameters; a null pointer leaves its parameter alone. A single parameter may take a gradient alone. Gradients
    /// must not overlap parameters. `treatment` scales and clips, but not by units.
    template <class Grads, class Pool = cpu::Serial>
    void step(const Grads& grads, const Pool& pool = {}, const Treatment& treatment = {}) {
        self().read_hypers();
        require_numbers();
        require_treatment(treatment);
        if constexpr (std::is_convertible_v<const Grads&, Grad>) {
            take_one(grads);
        } else {
            take(grads);
        }
        self().run(pool, treatment);
    }
    template <class Pool = cpu::Serial>
    void step(std::initializer_list<Grad> grads, const Pool& pool = {}, const Treatment& treatment = {}) {
        step<std::initializer_list<Grad>>(grads, pool, treatment);
    }

protected:
    using OptimizerBase::OptimizerBase;

private:
    Self& self() { return static_cast<Self&>(*this); }
};

}  // namespace adamcore
