#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "program/check.hpp"
#include "program/children.hpp"
#include "program/record.hpp"
#include "program/timing.hpp"

/// The three experiments (and a fourth of small questions) that decide what the CUDA engine does.
namespace adamcore::experiments {
namespace {

constexpr const char* usage =
    "usage: experiments [--seconds N] [--json PATH] [--only E1|E2|E3|E4] [--check] [--check-host] [--list]\n"
    "  --seconds N   for everything, 80 unless given\n"
    "  --json PATH   the record, written anew after every case\n"
    "  --only E      one experiment, in this process\n"
    "  --check       only whether all variants give the same bits; --check-host: on this processor, without a device\n"
    "  --list        the cases and variants, and of a device's kernels the registers\n";

struct Options {
    double seconds = 80;
    std::string json, only;
    bool check = false, check_host = false, list = false;
};

bool parse(int count, char** arguments, Options& options) {
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        const char* value = i + 1 < count ? arguments[i + 1] : nullptr;
        if (name == "--check") {
            options.check = true;
        } else if (name == "--check-host") {
            options.check_host = true;
        } else if (name == "--list") {
            options.list = true;
        } else if (!value) {
            return false;
        } else if (name == "--seconds") {
            char* end = nullptr;
            options.seconds = std::strtod(value, &end);
            if (*end != '\0' || !(options.seconds > 0)) return false;
            ++i;
        } else if (name == "--json") {
            options.json = value;
            ++i;
        } else if (name == "--only") {
            options.only = value;
            bool is_known = false;
            for (const std::string& known : experiment_names) is_known = is_known || known == value;
            if (!is_known) return false;
            ++i;
        } else {
            return false;
        }
    }
    return true;
}

std::vector<std::string> chosen(const Options& options) {
    return options.only.empty() ? experiment_names : std::vector<std::string>{options.only};
}

/// Returns whether all that could be compared has the base's bits.
bool print(const Findings& findings) {
    std::size_t same = 0, absent = 0, wrong = 0;
    for (const auto& [key, finding] : findings) {
        const bool is_absent = finding.rfind("not on", 0) == 0;
        same += finding == same_bits;
        absent += is_absent;
        // What the processor's conversion does to NaN is a finding, and mended where it is used.
        const bool is_conversion = key.rfind("cvt", 0) == 0;
        wrong += finding != same_bits && !is_absent && !is_conversion;
        if (finding != same_bits) std::printf("  %s: %s\n", key.c_str(), finding.c_str());
    }
    std::printf("  %zu have the same bits, %zu others, %zu not compared\n", same, wrong, absent);
    return wrong == 0;
}

int check_on_host(const Options& options) {
    bool is_good = true;
    for (const std::string& experiment : chosen(options)) {
        std::printf("%s, on the host\n", experiment.c_str());
        is_good = print(check(experiment, nullptr)) && is_good;
    }
    return is_good ? 0 : 1;
}

void list_variant(const Trial& trial, const Variant& variant, const DeviceFacts* device) {
    std::printf("  %s\n", key_of(trial, variant).c_str());
    if (!device || !is_available(variant, *device)) return;
    for (const auto& [role, kernel] : variant.kernels()) {
        const KernelFacts facts = facts_of(kernel);
        std::printf("    %s: %d registers, %zu B local, %zu B shared, %d blocks of %d threads\n", role.c_str(),
                    facts.registers, facts.local, facts.shared, facts.blocks, kernel.threads);
    }
}

int list_trials(const Options& options) {
    DeviceFacts device;
    std::string reason;
    const bool has_device = find_device(device, reason);
    if (!has_device) std::printf("no CUDA device (%s): registers are not listed\n", reason.c_str());
    for (const std::string& experiment : chosen(options)) {
        std::string listed;
        for (const Trial& trial : trials_of(experiment, device.cache)) {
            std::printf("%s %s %s: %zu variants, %zu tensors, %lld elements, %lld sets\n", experiment.c_str(),
                        trial.name.c_str(), trial.detail.c_str(), trial.variants.size(), trial.problem.sizes.size(),
                        static_cast<long long>(trial.problem.elements()), static_cast<long long>(trial.problem.sets));
            const std::string key = key_of(trial, trial.variants.front());
            if (listed.find("[" + key + "]") != std::string::npos) continue;
            listed += "[" + key + "]";
            for (const Variant& variant : trial.variants) list_variant(trial, variant, has_device ? &device : nullptr);
        }
    }
    return 0;
}

/// Time goes by weight to the trials that are left.
void time_all(const std::vector<Trial>& trials, const DeviceFacts& device, Clockwork::time_point end, Record& record) {
    double weights = 0;
    for (const Trial& trial : trials) weights += trial.weight;
    Timer timer(device);
    for (const Trial& trial : trials) {
        const Clockwork::time_point now = Clockwork::now();
        if (now >= end) throw std::runtime_error("out of time before " + trial.name + " " + trial.detail);
        const std::chrono::duration<double> left = end - now;
        const std::chrono::duration<double> mine = left * (trial.weight / weights);
        weights -= trial.weight;
        record.add(trial, timer.measure(trial, now + std::chrono::duration_cast<Clockwork::duration>(mine)));
        record.save();
    }
}

int run_one(const Options& options, const DeviceFacts& device, Clockwork::time_point end) {
    Record record(options.json, options.only, device);
    bool is_good = false;
    try {
        const std::vector<Trial> trials = trials_of(options.only, device.cache);
        record.add_kernels(trials);
        Findings findings = check(options.only, &device);
        if (options.only == "E3") findings.merge(check_conversions(device));
        record.add(findings);
        record.save();
        std::printf("%s on %s\n", options.only.c_str(), device.name.c_str());
        is_good = print(findings);
        std::fflush(stdout);
        if (!options.check) time_all(trials, device, end, record);
        record.finish();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "experiments: %s: %s\n", options.only.c_str(), error.what());
        record.fail(error.what());
        is_good = false;
    }
    record.save();
    return is_good ? 0 : 1;
}

int run(int count, char** arguments) {
    const Clockwork::time_point start = Clockwork::now();
    Options options;
    if (!parse(count, arguments, options)) {
        std::fputs(usage, stderr);
        return 2;
    }
    if (options.list) return list_trials(options);
    if (options.check_host) return check_on_host(options);
    DeviceFacts device;
    std::string reason;
    if (!find_device(device, reason)) {
        std::fprintf(stderr, "experiments: no CUDA device (%s)\n", reason.c_str());
        return 2;
    }
    if (options.only.empty()) {
        const std::vector<std::string> extras =
            options.check ? std::vector<std::string>{"--check"} : std::vector<std::string>{};
        return run_children({"/proc/self/exe", options.seconds, options.json, extras}) ? 0 : 1;
    }
    const std::chrono::duration<double> time(options.seconds);
    return run_one(options, device, start + std::chrono::duration_cast<Clockwork::duration>(time));
}

}  // namespace
}  // namespace adamcore::experiments

int main(int count, char** arguments) {
    try {
        return adamcore::experiments::run(count, arguments);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "experiments: %s\n", error.what());
        return 1;
    }
}
