#pragma once

#include <launch.hpp>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {

template <class T, class... Rules>
constexpr std::array<Launch<UpdateArguments>, sizeof...(Rules)> dense_launches(rule::List<Rules...>) {
    return {kernel_alone<DenseUpdate<Rules, T>>...};
}

template <class T, class... Rules>
constexpr std::array<Launch<UpdateArguments>, sizeof...(Rules)> stored_launches(rule::List<Rules...>) {
    return {kernel_in_phases<StoredUpdate<Rules, T>>...};
}

}  // namespace adamcore::cuda
