#include <adamcore/cpu/parallel.hpp>
#include <atomic>

/// What a plugin gives its program: a threaded job of adamcore::kernels. Returns how many parts were run.
extern "C" __attribute__((visibility("default"))) int run_parts(int parts, int threads) {
    std::atomic<int> calls{0};
    adamcore::cpu::Threads{threads}.run(parts, [&](int) noexcept { ++calls; });
    return calls;
}
