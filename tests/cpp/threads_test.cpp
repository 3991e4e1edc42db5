#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <string>

#if defined(__linux__)
#include <sched.h>
#endif

#include "adamcore/cpu/parallel.hpp"

namespace adamcore::cpu {
namespace {

/// Sets or unsets an environment variable until the end of its scope.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        if (const char* old = std::getenv(name)) old_ = old;
        set(value);
    }
    ~Variable() { set(old_ ? old_->c_str() : nullptr); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    void set(const char* value) const { value ? setenv(name_, value, 1) : unsetenv(name_); }

    const char* name_;
    std::optional<std::string> old_;
};

/// usable_threads() with the two variables set so, or not set where null.
int threads_with(const char* ours, const char* openmp) {
    const Variable first("ADAMCORE_NUM_THREADS", ours), second("OMP_NUM_THREADS", openmp);
    return usable_threads();
}

TEST(UsableThreads, FollowTheEnvironment) {
    EXPECT_EQ(threads_with("3", nullptr), 3);
    EXPECT_EQ(threads_with("37", "2"), 37);
    EXPECT_EQ(threads_with(nullptr, "5"), 5);
    EXPECT_EQ(threads_with(nullptr, "7,2"), 7);
}

TEST(UsableThreads, IgnoreWhatIsNoCount) {
    const int preset = threads_with(nullptr, nullptr);
    EXPECT_GE(preset, 1);
    for (const char* text : {"", "0", "-2", "many", "99999999999999999999"}) {
        EXPECT_EQ(threads_with(text, nullptr), preset) << text;
        EXPECT_EQ(threads_with(text, "6"), 6) << text;
    }
}

#if defined(__linux__)

/// Restores this thread's affinity at the end of its scope.
class Affinity {
public:
    Affinity() { sched_getaffinity(0, sizeof saved_, &saved_); }
    ~Affinity() { sched_setaffinity(0, sizeof saved_, &saved_); }
    Affinity(const Affinity&) = delete;
    Affinity& operator=(const Affinity&) = delete;

    int count() const { return CPU_COUNT(&saved_); }

    void keep_one() const {
        cpu_set_t one;
        CPU_ZERO(&one);
        for (std::size_t processor = 0; processor < CPU_SETSIZE; ++processor) {
            if (!CPU_ISSET(processor, &saved_)) continue;
            CPU_SET(processor, &one);
            break;
        }
        ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    }

private:
    cpu_set_t saved_;
};

TEST(UsableThreads, FollowTheAffinityMask) {
    const Affinity affinity;
    EXPECT_LE(threads_with(nullptr, nullptr), affinity.count());
    affinity.keep_one();
    EXPECT_EQ(threads_with(nullptr, nullptr), 1);
    EXPECT_EQ(threads_with("2", nullptr), 2);
}

#endif

}  // namespace
}  // namespace adamcore::cpu
