#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "adamcore/adamcore.hpp"
#include "adamcore/cuda/runtime.hpp"
#include "emulation.hpp"

/// README's program for a GPU, as it stands. (The consumer has the other ones.)
void train(float* w, const float* g, float* m, float* v, std::int64_t size, adamcore::cuda::Stream stream);

namespace adamcore::test {
namespace {

namespace emulation = cuda::emulation;

TEST(Readme, TrainsOnADevice) {
    std::vector<float> w(1000, 1.0f), expected = w, g(1000, 0.5f), m(1000), v(1000);
    train(w.data(), g.data(), m.data(), v.data(), 1000, emulation::make_stream(false));
    emulation::synchronize();
    NamedOptimizer opt("adamw", {{"lr", 1e-3}});
    opt.add(expected.data(), expected.size());
    for (int t = 0; t < 10; ++t) opt.step(g);
    EXPECT_EQ(w, expected);
}

}  // namespace
}  // namespace adamcore::test
