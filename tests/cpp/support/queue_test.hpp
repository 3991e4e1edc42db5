#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "emulation.hpp"

namespace adamcore::test {

/// A test of what is queued on the emulation. Streams run as late as they may, unless the test says otherwise.
class QueueTest : public testing::Test {
protected:
    void SetUp() override { use(cuda::emulation::Schedule::lazy, 1); }
    void TearDown() override {
        cuda::emulation::clear_faults();
        cuda::emulation::run_backwards(false);
        use(cuda::emulation::Schedule::random, 1);
    }
    static void use(cuda::emulation::Schedule schedule, std::uint32_t seed) {
        cuda::emulation::synchronize();
        cuda::emulation::set_schedule(schedule, seed);
        cuda::emulation::take_log();
    }
    /// How many calls since the last one begin with this text.
    static std::ptrdiff_t logged(const std::string& what) {
        const auto log = cuda::emulation::take_log();
        return std::count_if(log.begin(), log.end(),
                             [&](const std::string& entry) { return entry.rfind(what, 0) == 0; });
    }
};

}  // namespace adamcore::test
