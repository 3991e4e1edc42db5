#include "adamcore/cuda/decide.hpp"

#include <launch.hpp>

#include <utility>

#include "adamcore/cuda/kernels.hpp"

namespace adamcore::cuda {
namespace {

template <class T, class... Rules, std::size_t... I>
constexpr DecideLaunches launches_of(rule::List<Rules...>, std::index_sequence<I...>) {
    return {kernel_in_phases<Decide<Rules, T, static_cast<int>(I)>>...};
}

constexpr auto places = std::make_index_sequence<rules::All::size>{};

}  // namespace

const DecideLaunches decide_float = launches_of<float>(rules::All{}, places);
const DecideLaunches decide_double = launches_of<double>(rules::All{}, places);

}  // namespace adamcore::cuda
