// adamcore::kernels in a plugin, which a program loads, uses and unloads; and what becomes of its threads where a process
// ends or is copied.

#include <dirent.h>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

namespace {

using RunParts = int (*)(int parts, int threads);

class Plugin {
public:
    Plugin() : handle_(dlopen(ADAMCORE_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL)) {
        if (!handle_) ADD_FAILURE() << dlerror();
    }
    ~Plugin() {
        if (handle_) dlclose(handle_);
    }
    Plugin(const Plugin&) = delete;
    Plugin& operator=(const Plugin&) = delete;

    RunParts run_parts() const { return reinterpret_cast<RunParts>(dlsym(handle_, "run_parts")); }
    void forget() { handle_ = nullptr; }

private:
    void* handle_;
};

bool is_loaded() {
    void* handle = dlopen(ADAMCORE_TEST_PLUGIN, RTLD_NOW | RTLD_NOLOAD);
    if (handle) dlclose(handle);
    return handle != nullptr;
}

int thread_count() {
    int count = 0;
    DIR* tasks = opendir("/proc/self/task");
    while (const dirent* entry = readdir(tasks)) count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

/// Threads that have been joined take a moment to leave /proc.
bool comes_down_to(int threads) {
    for (int i = 0; i < 1000 && thread_count() > threads; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return thread_count() == threads;
}

/// The exit status of a child that does `work`, or -1 where a signal ends it.
int status_of_child(const std::function<void()>& work) {
    // A thread that is still starting holds locks of the sanitizer, for which a child would wait for ever.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);  // ends a child that hangs
        work();
        std::exit(7);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Plugin, LeavesNoThreadsWhereItIsUnloaded) {
    { EXPECT_EQ(Plugin().run_parts()(64, 4), 64); }  // a sanitizer starts a thread of its own beside the first
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const int before = thread_count();
    ASSERT_LE(before, 2);
    for (const auto pause : {0, 0, 0, 100, 1000}) {  // its threads are awake yet, or asleep
        for (int i = 0; i < 20; ++i) {
            {
                const Plugin plugin;
                ASSERT_EQ(plugin.run_parts()(64, 4), 64);
                std::this_thread::sleep_for(std::chrono::microseconds(pause));
            }
            ASSERT_TRUE(comes_down_to(before));
            ASSERT_FALSE(is_loaded());
        }
    }
}

TEST(Plugin, MayBeUnloadedInAForkedChild) {
    Plugin plugin;
    ASSERT_EQ(plugin.run_parts()(64, 4), 64);
    EXPECT_EQ(status_of_child([&] {
                  if (plugin.run_parts()(64, 4) != 64) std::_Exit(1);
                  plugin.~Plugin();
                  plugin.forget();
                  if (is_loaded()) std::_Exit(2);
              }),
              7);
    EXPECT_EQ(plugin.run_parts()(64, 4), 64);
}

/// The handlers of fork() go with the code.
TEST(Plugin, IsNotCalledByForkOnceItIsGone) {
    { EXPECT_EQ(Plugin().run_parts()(64, 4), 64); }
    ASSERT_FALSE(is_loaded());
    EXPECT_EQ(status_of_child([] {}), 7);
}

TEST(Process, EndsWithThreadsAsleepOrAwake) {
    for (const auto pause : {0, 1000}) {
        EXPECT_EQ(status_of_child([&] {
                      static Plugin plugin;
                      plugin.run_parts()(64, 4);
                      plugin.forget();
                      std::this_thread::sleep_for(std::chrono::microseconds(pause));
                  }),
                  7);
    }
}

TEST(Process, EndsWhileAnotherThreadSteps) {
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(status_of_child([&] {
                      static Plugin plugin;
                      const RunParts run_parts = plugin.run_parts();
                      plugin.forget();
                      std::thread([=] {
                          for (;;) run_parts(64, 4);
                      }).detach();
                      std::this_thread::sleep_for(std::chrono::microseconds(97 * i));
                  }),
                  7);
    }
}

}  // namespace
