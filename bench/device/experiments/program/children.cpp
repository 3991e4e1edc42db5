#include "program/children.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <stdexcept>
#include <thread>

#include "program/record.hpp"

namespace adamcore::experiments {
namespace {

/// What a child may take beyond its time before it is killed.
constexpr double grace = 5;

double share_of(const std::string& experiment) {
    if (experiment == "E1") return 0.23;
    if (experiment == "E2") return 0.37;
    return experiment == "E3" ? 0.32 : 0.08;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Where a child leaves its record: not beside the whole one, whose folder may be for few files.
std::string part_of(const std::string& experiment) {
    const auto name = "adamcore-experiments-" + std::to_string(getpid()) + "-" + experiment + ".json";
    return (std::filesystem::temp_directory_path() / name).string();
}

double now() { return std::chrono::duration<double>(Clockwork::now().time_since_epoch()).count(); }

pid_t start(std::vector<std::string> arguments) {
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("fork failed");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent) execv(pointers[0], pointers.data());
        _exit(127);
    }
    return child;
}

/// All records that there are so far, each under its experiment's name.
class Merged {
public:
    explicit Merged(std::string path) : path_(std::move(path)) {}

    void take(const std::string& experiment, const std::string& part) {
        const std::string text = text_of(part);
        if (text.empty() || parts_[experiment] == text) return;
        parts_[experiment] = text;
        std::string all;
        for (const auto& [name, each] : parts_) all += (all.empty() ? "" : ",\n") + quoted(name) + ": " + each;
        write_file(path_, "{" + all + "}\n");
    }

private:
    std::string path_;
    std::map<std::string, std::string> parts_;
};

/// Returns its exit status; 128 and more after a signal.
int wait_for(pid_t child, double until, const std::function<void()>& meanwhile) {
    bool is_killed = false;
    while (true) {
        int status = 0;
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (!is_killed && now() > until) {
            kill(child, SIGKILL);
            is_killed = true;
        }
        meanwhile();
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
}

}  // namespace

bool run_children(const ChildRequest& request) {
    Merged merged(request.json);
    const double end = now() + request.seconds;
    double shares = 0;
    for (const std::string& experiment : experiment_names) shares += share_of(experiment);
    bool all_succeeded = true;
    for (const std::string& experiment : experiment_names) {
        const double seconds = (end - now()) * share_of(experiment) / shares;
        shares -= share_of(experiment);
        if (seconds < 1) {
            std::printf("%s: no time is left\n", experiment.c_str());
            all_succeeded = false;
            continue;
        }
        std::vector<std::string> arguments{request.program, "--only", experiment, "--seconds", std::to_string(seconds)};
        arguments.insert(arguments.end(), request.extras.begin(), request.extras.end());
        const std::string part = request.json.empty() ? "" : part_of(experiment);
        if (!part.empty()) arguments.insert(arguments.end(), {"--json", part});
        const auto meanwhile = [&] {
            if (!part.empty()) merged.take(experiment, part);
        };
        const int status = wait_for(start(arguments), now() + seconds + grace, meanwhile);
        meanwhile();
        if (!part.empty()) std::remove(part.c_str());
        if (status != 0) std::printf("%s: ended with status %d\n", experiment.c_str(), status);
        std::fflush(stdout);
        all_succeeded = all_succeeded && status == 0;
    }
    return all_succeeded;
}

}  // namespace adamcore::experiments
