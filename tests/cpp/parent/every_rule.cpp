#include <adamcore/adamcore.hpp>

namespace {

template <class... Rules>
void step_with_each(adamcore::rule::List<Rules...>, const adamcore::Tensor& tensor) {
    (adamcore::cpu::step<Rules>(&tensor, 1, typename Rules::Hyper{}), ...);
}

}  // namespace

/// Everything of the headers that a user can call for, for every rule.
void step_with_every_rule(const adamcore::Tensor& tensor) { step_with_each(adamcore::rules::All{}, tensor); }
