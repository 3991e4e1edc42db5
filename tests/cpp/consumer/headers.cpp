#include <adamcore/adamcore.hpp>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <vector>

/// The rule known at compile time, the calling thread alone: needs no library.
int main() {
    std::vector<float> param(1000, 1.0f), grad(1000, 0.5f), exp_avg(1000), exp_avg_sq(1000);
    const adamcore::Tensor tensor =
        adamcore::tensor(param.data(), grad.data(), 1000, 1, exp_avg.data(), exp_avg_sq.data());
    adamcore::cpu::step<adamcore::Adam>(&tensor, 1, adamcore::Adam::Hyper{});

    // Adam's first step has the length of the learning rate.
    for (const float p : param) {
        if (std::fabs(p - 0.999f) > 1e-6f) return 1;
    }
    std::printf("adamcore %s, headers: %.6f\n", ADAMCORE_VERSION, static_cast<double>(param[0]));
    return std::string_view(ADAMCORE_VERSION) == PACKAGE_VERSION ? 0 : 1;
}
