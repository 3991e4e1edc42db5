#pragma once

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

template <template <class, class, class> class Update, class Rule, class T>
using UpdateBody = Update<Rule, T, std::make_index_sequence<Rule::slots.size()>>;

template <template <class, class, class> class Update, class T, class... Rules>
constexpr UpdateLaunches launches_of(rule::List<Rules...>) {
    return {launch_alone<UpdateBody<Update, Rules, T>>...};
}

}  // namespace adamcore::cuda
