// Finds the minimum of a quadratic with the rule in normalized_sgd.hpp.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "normalized_sgd.hpp"
#include "step.hpp"

int main() {
    constexpr std::int64_t size = 1000, steps = 400;
    std::vector<float> weights(size, 1.0f), grads(size), buffer(size);
    NormalizedSgd::Hyper hyper;
    double distance = 0;
    for (std::int64_t t = 1; t <= steps; ++t) {
        for (std::size_t i = 0; i < size; ++i) grads[i] = static_cast<float>(i % 7 + 1) * (weights[i] - 0.25f);
        hyper.lr = 1.0 * static_cast<double>(steps - t) / steps;  // a schedule: from 1 to 0
        step<NormalizedSgd>({adamcore::tensor(weights.data(), grads.data(), size, t, buffer.data())}, hyper);

        distance = 0;
        for (const float w : weights) distance = std::fmax(distance, std::fabs(w - 0.25f));
        if (t % 100 == 0) std::printf("after %3d steps: %.5f from the minimum\n", static_cast<int>(t), distance);
    }
    return distance < 1e-3 ? 0 : 1;
}
