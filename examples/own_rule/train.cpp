// Finds the minimum of a quadratic with the rule in normalized_sgd.hpp.

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <vector>

#include "normalized_sgd.hpp"

int main() {
    constexpr int steps = 400;
    std::vector<float> weights(1000, 1.0f), grads(weights.size());
    adamcore::Optimizer<NormalizedSgd> opt;
    opt.add(weights.data(), weights.size());
    double distance = 0;
    for (int t = 1; t <= steps; ++t) {
        for (std::size_t i = 0; i < weights.size(); ++i)
            grads[i] = static_cast<float>(i % 7 + 1) * (weights[i] - 0.25f);
        opt.hyper().lr = 1.0 * (steps - t) / steps;  // a schedule: from 1 to 0
        opt.step(grads);

        distance = 0;
        for (const float w : weights) distance = std::fmax(distance, std::fabs(w - 0.25f));
        if (t % 100 == 0) std::printf("after %3d steps: %.5f from the minimum\n", t, distance);
    }
    return distance < 1e-3 ? 0 : 1;
}
