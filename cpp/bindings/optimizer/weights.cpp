// Passes over weights between steps.

#include "adamcore/rule/make_info.hpp"
#include "adamcore/weight_passes.hpp"
#include "optimizer/bound_optimizer.hpp"

namespace adamcore::python {

void BoundOptimizer::approach(const std::string& slot, const std::vector<double>& shares) {
    const Exclusive exclusive(use_, owner());
    if (shares.size() != groups_.size()) throw py::value_error(owner() + ": there must be a share for each group");
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < size(); ++i)
        tensors.push_back(weight_pass::weights_of(tensor_at(i), array_of(i, slot.c_str())));
    run_weight_pass(detail::index_in<weight_pass::Approach>(weight_pass::All{}), tensors, shares);
}

}  // namespace adamcore::python
