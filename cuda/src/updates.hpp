#pragma once

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

template <template <class, class, class> class Update, class Rule, class T>
using UpdateBody = Update<Rule, T, rule::ElementArrays<Rule>>;

template <class T, class... Rules>
constexpr UpdateLaunches dense_launches(rule::List<Rules...>) {
    return {kernel_alone<UpdateBody<DenseUpdate, Rules, T>>...};
}

template <class T, class... Rules>
constexpr UpdateLaunches stored_launches(rule::List<Rules...>) {
    return {kernel_in_phases<UpdateBody<StoredUpdate, Rules, T>>...};
}

}  // namespace adamcore::cuda
