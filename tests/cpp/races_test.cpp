// Threads that step and measure at once, for ThreadSanitizer (preset tsan), and with the bits of one thread.

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "support/norms.hpp"
#include "support/parameters.hpp"

namespace adamcore::test {
namespace {

constexpr int rounds = 8;

/// What a user's thread has: a model that it steps, and an array whose norm it takes.
class User {
public:
    explicit User(std::uint64_t seed) : model_(seed % 3), array_(Dtype::float32, 100003) {
        std::mt19937_64 random(seed);
        for (std::int64_t i = 0; i < array_.size(); ++i) array_.set(i, static_cast<double>(random() % 1000) / 999);
    }

    void work(int threads) {
        step(threads);
        norm_ = norm::root(squares_of(cpu::best_kernels(), {reading()}, threads));
    }

    void step(int threads) {
        dispatch(cpu::best_kernels(), {group_of<AdamW>(distinct_hyper<AdamW>(), 1.0)}, model_.tensors(),
                 cpu::Threads{threads});
    }

    bool has_the_same_bits(const User& other) const {
        return model_.same_bits(other.model_) && std::memcmp(&norm_, &other.norm_, sizeof norm_) == 0;
    }

private:
    norm::Reading reading() const { return {array_.data(), array_.size(), array_.dtype(), {}}; }

    Model<AdamW, float> model_;
    Stored array_;
    double norm_ = 0;
};

std::vector<User> several() {
    std::vector<User> users;
    for (std::uint64_t i = 0; i < 4; ++i) users.emplace_back(i);
    return users;
}

const std::vector<User>& after_rounds_alone() {
    static const std::vector<User> after = [] {
        std::vector<User> users = several();
        for (int round = 0; round < rounds; ++round) {
            for (User& user : users) user.work(1);
        }
        return users;
    }();
    return after;
}

TEST(Races, UsersStepAndMeasureAtOnce) {
    const std::vector<User>& expected = after_rounds_alone();
    std::vector<User> users = several();
    std::vector<std::thread> running;
    for (std::size_t i = 0; i < users.size(); ++i) {
        running.emplace_back([&users, i] {
            for (int round = 0; round < rounds; ++round) users[i].work(2 + (static_cast<int>(i) + round) % 4);
        });
    }
    for (std::thread& thread : running) thread.join();
    for (std::size_t i = 0; i < users.size(); ++i) EXPECT_TRUE(users[i].has_the_same_bits(expected[i])) << i;
}

TEST(Races, OneUserAfterAnother) {
    const std::vector<User>& expected = after_rounds_alone();
    std::vector<User> users = several();
    for (int round = 0; round < rounds; ++round) {  // a thread of its own each time: what one wrote the next reads
        std::thread([&] {
            for (User& user : users) user.work(3);
        }).join();
    }
    for (std::size_t i = 0; i < users.size(); ++i) EXPECT_TRUE(users[i].has_the_same_bits(expected[i])) << i;
}

#if defined(__unix__) || defined(__APPLE__)

TEST(Races, OneForksWhileOthersStep) {
    const std::vector<User>& expected = after_rounds_alone();
    std::vector<User> users = several();
    User forking(7);
    std::vector<std::thread> running;
    for (User& user : users) {
        running.emplace_back([&] {
            for (int round = 0; round < rounds; ++round) user.work(3);
        });
    }
    for (int child_number = 0; child_number < 3; ++child_number) {
        User once_more = forking;
        once_more.step(2);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            alarm(60);
            forking.step(2);
            _exit(cpu::is_forked_child() && forking.has_the_same_bits(once_more) ? 0 : 1);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "child " << child_number << ": " << status;
    }
    for (std::thread& thread : running) thread.join();
    for (std::size_t i = 0; i < users.size(); ++i) EXPECT_TRUE(users[i].has_the_same_bits(expected[i])) << i;
}

#endif

}  // namespace
}  // namespace adamcore::test
