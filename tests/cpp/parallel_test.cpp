#include "adamcore/cpu/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "support/parameters.hpp"

namespace adamcore::test {
namespace {

/// A user's pool: a thread for each part, started last part first.
struct ThreadPerPart {
    int threads;

    int size() const { return threads; }

    template <class Body>
    void run(int parts, Body&& body) const {
        std::vector<std::thread> running;
        for (int part = parts - 1; part >= 0; --part) running.emplace_back([&body, part] { body(part); });
        for (std::thread& thread : running) thread.join();
    }
};

template <class Pool>
void expect_each_part_once(const Pool& pool, int parts) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(parts));
    pool.run(parts, [&](int part) noexcept { ++calls[static_cast<std::size_t>(part)]; });
    for (const auto& count : calls) EXPECT_EQ(count, 1);
}

TEST(Pools, CallEachPartOnce) {
    for (const int parts : {0, 1, 2, 5, 64, cpu::max_parts}) {
        expect_each_part_once(cpu::Serial{}, parts);
        expect_each_part_once(ThreadPerPart{2}, parts);
        for (const int threads : {1, 2, 3, 7}) expect_each_part_once(cpu::Threads{threads}, parts);
    }
}

TEST(Threads, RunPartsAtOnce) {
    std::atomic<int> begun{0};
    std::atomic<bool> met{true};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    cpu::Threads{2}.run(2, [&](int) noexcept {
        ++begun;
        while (begun < 2) {
            if (std::chrono::steady_clock::now() > deadline) {
                met = false;
                return;
            }
        }
    });
    EXPECT_TRUE(met) << "one part waited for the other to end";
}

TEST(Threads, RunManyShortJobsInARow) {
    std::atomic<int> calls{0};
    for (int job = 0; job < 20000; ++job) {
        cpu::Threads{2}.run(4, [&](int) noexcept { ++calls; });
        ASSERT_EQ(calls, 4 * (job + 1));
    }
}

TEST(Threads, OfOneUserDoNotStopAnother) {
    std::vector<std::atomic<int>> calls(4);
    std::vector<std::thread> users;
    for (auto& count : calls) {
        users.emplace_back([&] {
            for (int job = 0; job < 1000; ++job) cpu::Threads{2}.run(8, [&](int) noexcept { ++count; });
        });
    }
    for (std::thread& user : users) user.join();
    for (const auto& count : calls) EXPECT_EQ(count, 8000);
}

TEST(UsersPool, GivesTheSameBits) {
    const auto hyper = distinct_hyper<AdamW>();
    const Model<AdamW, float> before;
    auto expected = before;
    expected.update_plainly(hyper, 1.0);
    for (const int threads : {2, 3, 6}) {
        auto model = before;
        const auto tensors = model.tensors();
        cpu::step<AdamW>(tensors.data(), static_cast<std::int64_t>(tensors.size()), hyper, ThreadPerPart{threads});
        EXPECT_TRUE(model.same_bits(expected)) << "static, " << threads << " threads";
        model = before;
        dispatch(cpu::best_kernels(), {group_of<AdamW>(hyper, 1.0)}, model.tensors(), ThreadPerPart{threads});
        EXPECT_TRUE(model.same_bits(expected)) << threads << " threads";
    }
}

TEST(UsersThreads, MayStepTwoModelsAtOnce) {
    const Model<AdamW, float> before;
    const auto hyper = distinct_hyper<AdamW>();
    auto expected = before;
    expected.update_plainly(hyper, 1.0);
    std::vector<Model<AdamW, float>> models(4, before);
    std::vector<std::thread> users;
    for (auto& model : models) {
        users.emplace_back(
            [&] { dispatch(cpu::best_kernels(), {group_of<AdamW>(hyper, 1.0)}, model.tensors(), cpu::Threads{2}); });
    }
    for (std::thread& user : users) user.join();
    for (const auto& model : models) EXPECT_TRUE(model.same_bits(expected));
}

#if defined(__unix__) || defined(__APPLE__)

TEST(Fork, LetsTheChildStepAfterItsParent) {
    const Model<AdamW, float> before;
    const auto hyper = distinct_hyper<AdamW>();
    auto expected = before;
    expected.update_plainly(hyper, 1.0);
    const auto steps_rightly = [&] {
        auto model = before;
        dispatch(cpu::best_kernels(), {group_of<AdamW>(hyper, 1.0)}, model.tensors(), cpu::Threads{2});
        return model.same_bits(expected);
    };
    ASSERT_TRUE(steps_rightly());
    ASSERT_FALSE(cpu::is_forked_child());

    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        alarm(20);  // ends a child that hangs, waiting for threads that fork() did not copy
        _exit(cpu::is_forked_child() && steps_rightly() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_FALSE(cpu::is_forked_child());
    EXPECT_TRUE(steps_rightly());
}

#endif

// The last, since the library keeps the threads that it has started.
TEST(ThreadsBeyondReason, CallEachPartOnceToo) {
    for (const int threads : {300, 100000}) expect_each_part_once(cpu::Threads{threads}, cpu::max_parts);
}

}  // namespace
}  // namespace adamcore::test
