// What the library's threads are to the process that they live in. Linux shows it in /proc.

#include <dirent.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/norms.hpp"
#include "support/observed.hpp"
#include "support/parameters.hpp"

namespace adamcore::test {
namespace {

/// In every job, so that each worker is called.
constexpr int threads = 4;

/// Runs a job, long enough that each thread is likely to work on it.
void run_job() {
    cpu::Threads{threads}.run(8 * threads, [](int) noexcept {
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(40);
        while (std::chrono::steady_clock::now() < until) {
        }
    });
}

/// The threads of the pool, by their name.
std::vector<pid_t> workers() {
    std::vector<pid_t> found;
    DIR* tasks = opendir("/proc/self/task");
    while (const dirent* entry = readdir(tasks)) {
        std::string name;
        std::ifstream(std::string("/proc/self/task/") + entry->d_name + "/comm") >> name;
        if (name == "adamcore") found.push_back(std::atoi(entry->d_name));
    }
    closedir(tasks);
    return found;
}

/// The same, once they have named themselves.
std::vector<pid_t> all_workers() {
    for (int i = 0; i < 1000 && static_cast<int>(workers().size()) < threads - 1; ++i) {
        run_job();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return workers();
}

std::set<int> mask_of(pid_t thread) {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(thread, sizeof set, &set);
    std::set<int> processors;
    for (int i = 0; i < CPU_SETSIZE; ++i) {
        if (CPU_ISSET(static_cast<std::size_t>(i), &set)) processors.insert(i);
    }
    return processors;
}

void confine(pid_t thread, const std::set<int>& processors) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int i : processors) CPU_SET(static_cast<std::size_t>(i), &set);
    ASSERT_EQ(sched_setaffinity(thread, sizeof set, &set), 0);
}

/// Gives a thread its mask back at the end of a scope.
class MaskKept {
public:
    explicit MaskKept(pid_t thread) : thread_(thread), mask_(mask_of(thread)) {}
    ~MaskKept() { confine(thread_, mask_); }
    MaskKept(const MaskKept&) = delete;
    MaskKept& operator=(const MaskKept&) = delete;

private:
    pid_t thread_;
    std::set<int> mask_;
};

bool is_within(const std::set<int>& inner, const std::set<int>& outer) {
    return std::includes(outer.begin(), outer.end(), inner.begin(), inner.end());
}

TEST(Workers, TakeNoSignals) {
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, nullptr, &before);
    const auto all = all_workers();
    ASSERT_EQ(all.size(), threads - 1u);
    pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal <= SIGRTMAX; ++signal)
        EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << "the caller's own, " << signal;
    for (const pid_t worker : all) {
        std::ifstream status("/proc/self/task/" + std::to_string(worker) + "/status");
        std::string field;
        while (status >> field && field != "SigBlk:") {
        }
        unsigned long long blocked = 0;
        status >> std::hex >> blocked;
        for (int signal = 1; signal <= SIGRTMAX; ++signal) {
            if (signal == SIGKILL || signal == SIGSTOP || (signal >= 32 && signal < SIGRTMIN)) continue;
            EXPECT_TRUE(blocked >> (signal - 1) & 1) << signal;
        }
    }
}

/// As a program does that waits for signals in one place, once the threads are there.
TEST(Workers, LeaveASignalToWhoWaitsForIt) {
    ASSERT_FALSE(all_workers().empty());
    sigset_t wanted, before;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &wanted, &before);
    kill(getpid(), SIGUSR1);
    run_job();
    int taken = 0;
    EXPECT_EQ(sigwait(&wanted, &taken), 0);
    EXPECT_EQ(taken, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Workers, FollowTheProcessToOtherProcessors) {
    const std::set<int> all = mask_of(0);
    if (all.size() < 2) GTEST_SKIP() << "one processor";
    const MaskKept kept(0);
    const std::vector<pid_t> found = all_workers();
    ASSERT_EQ(found.size(), threads - 1u);
    const std::set<int> first{*all.begin()}, last{*all.rbegin()};
    for (const auto& some : {first, last, all, last, first, all}) {
        confine(0, some);
        for (const pid_t worker : found) confine(worker, some);  // as taskset -a does
        for (int i = 0; i < 20; ++i) {
            run_job();
            for (const pid_t worker : found) ASSERT_TRUE(is_within(mask_of(worker), some));
            std::this_thread::sleep_for(std::chrono::microseconds(200 * (i % 3)));
        }
    }
}

/// A mask that a thread gives itself is not the pool's for ever.
TEST(Workers, ForgetWhereAThreadWasPinned) {
    const std::set<int> all = mask_of(0);
    if (all.size() < 2) GTEST_SKIP() << "one processor";
    const MaskKept kept(0);
    for (const int processor : {*all.begin(), *all.rbegin()}) {
        confine(0, {processor});
        const std::vector<pid_t> found = all_workers();
        ASSERT_EQ(found.size(), threads - 1u);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        run_job();
        for (const pid_t worker : found) EXPECT_EQ(mask_of(worker), std::set<int>{processor});
        confine(0, all);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        run_job();
        for (const pid_t worker : found) EXPECT_GE(mask_of(worker).size(), all.size() - 1);
    }
}

/// Of a pinned thread's step, the workers have the processors that the process has besides.
TEST(Workers, HaveTheProcessorsThatAPinnedThreadLeaves) {
    const std::set<int> all = mask_of(0);
    if (all.size() < 2) GTEST_SKIP() << "one processor";
    std::thread([&] {
        confine(0, {*all.begin()});
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const std::vector<pid_t> found = all_workers();
        ASSERT_EQ(found.size(), threads - 1u);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        run_job();
        std::set<int> others = all;
        others.erase(*all.begin());
        for (const pid_t worker : found) EXPECT_EQ(mask_of(worker), others);
    }).join();
}

// Sanitizers enlarge every frame.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/// The bytes of stack that `work` takes, of a thread that has `size`.
std::size_t stack_of(std::size_t size, const std::function<void()>& work) {
    constexpr unsigned char paint = 0xa5;
    std::vector<unsigned char> room(size + 8192, paint);
    void* stack = room.data();
    std::size_t space = room.size();
    std::align(4096, size, stack, space);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    EXPECT_EQ(pthread_attr_setstack(&attributes, stack, size), 0);
    pthread_t thread;
    const auto run = [](void* what) -> void* {
        (*static_cast<const std::function<void()>*>(what))();
        return nullptr;
    };
    EXPECT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    const auto* bottom = static_cast<const unsigned char*>(stack);
    const auto* touched = std::find_if(bottom, bottom + size, [](unsigned char byte) { return byte != paint; });
    return static_cast<std::size_t>(bottom + size - touched);
}

/// Runtimes with many threads of their own give each 64 KiB or less, of which the library is to take a part.
TEST(Stack, OfACallerMayBeSmall) {
    const std::size_t nothing = stack_of(65536, [] {});
    for (const Storage& storage : {Storage{}, Storage{Dtype::float64, Dtype::float32, Dtype::float64},
                                   Storage{Dtype::bfloat16, Dtype::float16, Dtype::float32, WeightPolicy::stochastic},
                                   Storage{Dtype::float16, Dtype::float16, Dtype::float16, WeightPolicy::master}}) {
        constexpr std::int64_t size = 300000;
        test::Stored param(storage.param, size), grad(storage.grad, size), state(storage.state, size);
        test::Stored more(storage.state, size), master(Dtype::float32, size);
        Tensor tensor;
        tensor.param = param.data();
        tensor.grad = grad.data();
        tensor.state[0] = state.data();
        tensor.state[1] = more.data();
        tensor.size = size;
        tensor.step = 1;
        tensor.dtype = storage.param;
        tensor.grad_dtype = storage.grad;
        tensor.state_dtype = storage.state;
        tensor.weights = storage.weights;
        if (storage.weights == WeightPolicy::master) tensor.extra[0] = master.data();
        tensor.rows = 300;
        tensor.columns = size / tensor.rows;
        const std::vector<Tensor> tensors{tensor};
        const std::vector<norm::Reading> readings{{grad.data(), size, storage.grad, {}}};
        for (const cpu::Group& group : {group_of<AdamW>(AdamW::Hyper{}, 1.0), group_of<Lamb>(Lamb::Hyper{}, 1.0),
                                        group_of<Adafactor>(Adafactor::Hyper{}, 1.0)}) {
            for (const cpu::Kernels* kernels : every_kernels()) {
                const std::size_t used = stack_of(65536, [&] {
                    dispatch(*kernels, {group}, tensors, cpu::Threads{threads});
                    squares_of(*kernels, readings, threads);
                });
                EXPECT_LT(used - nothing, 24u << 10)
                    << all_rules()[group.rule].name << ", " << text_of(storage) << ", " << name_of(kernels->isa);
                if (all_rules()[group.rule].name != AdamW::name) continue;
                const std::size_t observed = stack_of(65536, [&] {
                    observed_step(*kernels, group, tensor, statistics::all_parts, true, {}, nullptr, {},
                                  cpu::Threads{threads});
                });
                EXPECT_LT(observed - nothing, 32u << 10) << text_of(storage) << ", " << name_of(kernels->isa);
            }
        }
    }
}

/// The preset of threads' stacks is that of the limit on the first thread's.
TEST(Stack, OfWorkersDoesNotFollowALimit) {
    if (const char* again = std::getenv("ADAMCORE_TEST_SMALL_STACK"); again && *again) {
        const Model<AdamW, double> before;
        auto model = before, expected = before;
        expected.update_plainly(AdamW::Hyper{}, 1.0);
        dispatch(cpu::best_kernels(), {group_of<AdamW>(AdamW::Hyper{}, 1.0)}, model.tensors(), cpu::Threads{3});
        pthread_attr_t attributes;
        std::size_t preset = 0;
        pthread_attr_init(&attributes);
        pthread_attr_getstacksize(&attributes, &preset);
        EXPECT_LT(preset, 300u << 10) << "the limit is not in force";
        std::size_t least = ~std::size_t{0};
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            // Stacks of threads: read and written, private, of no file, behind a page that guards them.
            unsigned long begin = 0, end = 0;
            if (std::sscanf(line.c_str(), "%lx-%lx ---p", &begin, &end) != 2 || end - begin != 4096) continue;
            if (line.find("---p") == std::string::npos) continue;
            std::string next;
            std::getline(maps, next);
            if (std::sscanf(next.c_str(), "%lx-%lx", &begin, &end) == 2 && next.find("rw-p") != std::string::npos)
                least = std::min<std::size_t>(least, end - begin);
        }
        EXPECT_GE(least, 1u << 20);
        EXPECT_TRUE(model.same_bits(expected));
        return;
    }
    const std::string command = "ulimit -S -s 256 && ADAMCORE_TEST_SMALL_STACK=1 /proc/" + std::to_string(getpid()) +
                                "/exe --gtest_filter=Stack.OfWorkersDoesNotFollowALimit > /dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0);
}

#endif

}  // namespace
}  // namespace adamcore::test
