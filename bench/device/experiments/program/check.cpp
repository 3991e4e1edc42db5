#include "program/check.hpp"

#include <cstring>
#include <stdexcept>

#include "adamcore/adamcore.hpp"
#include "program/steps.hpp"

namespace adamcore::experiments {
namespace {

constexpr int steps = 3;

using Bits = std::vector<std::byte>;

Bits bits_after_steps(const Trial& trial, const Variant& variant, Problem& problem) {
    problem.refill();
    problem.set_step(trial.step);
    for (int k = 0; k < steps; ++k) queue_step(variant, problem, 0, trial.step_after(k));
    if (problem.request().where == On::device) wait_for_device("a check of " + variant.name);
    return problem.written();
}

/// In words of two bytes, the smallest item that is compared.
std::string compared(const Bits& bits, const Bits& base) {
    std::size_t differing = 0;
    for (std::size_t i = 0; i + 1 < base.size(); i += 2) differing += std::memcmp(&bits[i], &base[i], 2) != 0;
    if (differing == 0 && bits.size() == base.size()) return same_bits;
    return "OTHER BITS: " + std::to_string(differing) + " of " + std::to_string(base.size() / 2) + " halfwords";
}

/// What the base makes of the same on the host. Processors' NaN differ: what is compared has none.
std::string compared_with_host(const Trial& trial, const Variant& base, Problem& problem) {
    ProblemRequest request = trial.problem;
    request.where = On::host;
    Problem on_host(request);
    return compared(bits_after_steps(trial, base, problem), bits_after_steps(trial, base, on_host));
}

/// What the library's CPU engine makes of the same: "base" is to stay what the engine's kernels were.
std::string compared_with_library(const Trial& trial, const Bits& base) {
    Problem problem(trial.problem);
    std::vector<Tensor> tensors = problem.tensors(0);
    Treatment treatment;
    treatment.seed = Problem::seed;
    for (int k = 0; k < steps; ++k) {
        for (Tensor& tensor : tensors) tensor.step = trial.step_after(k);
        cpu::step<AdamW>(tensors.data(), static_cast<std::int64_t>(tensors.size()), Problem::hyper, cpu::Serial{},
                         treatment);
    }
    return compared(problem.written(), base);
}

void check_trial(const Trial& trial, const DeviceFacts* device, Findings& findings) {
    Problem problem(trial.problem);
    const Variant& base = trial.variants.front();
    const Bits expected = bits_after_steps(trial, base, problem);
    if (!device && base.update.function) {
        std::string& finding = findings[key_of(trial, base) + " as the library has it"];
        if (finding.empty() || finding == same_bits) finding = compared_with_library(trial, expected);
    }
    for (const Variant& variant : trial.variants) {
        std::string& finding = findings[key_of(trial, variant)];
        if (!finding.empty() && finding != same_bits) continue;
        if (device ? !is_available(variant, *device) : !runs_on_host(variant)) {
            finding = device ? "not on this device" : "not on the host";
            continue;
        }
        finding = compared(bits_after_steps(trial, variant, problem), expected);
        if (finding != same_bits) finding += " (" + trial.name + ")";
    }
}

}  // namespace

std::string key_of(const Trial& trial, const Variant& variant) {
    return trial.experiment + (trial.detail.empty() ? "" : " " + trial.detail) + ": " + variant.name;
}

bool is_available(const Variant& variant, const DeviceFacts& device) { return device.major >= variant.needs; }

Findings check(const std::string& experiment, const DeviceFacts* device) {
    Findings findings;
    for (Trial trial : checks_of(experiment, device ? On::device : On::host)) {
        check_trial(trial, device, findings);
        if (!device) continue;
        trial.problem.params = Filling::params;
        trial.problem.grads = Filling::grads;
        Problem problem(trial.problem);
        const Variant& base = trial.variants.front();
        std::string& finding = findings[key_of(trial, base) + " as on the host"];
        if (finding.empty() || finding == same_bits) finding = compared_with_host(trial, base, problem);
    }
    return findings;
}

Findings check_conversions(const DeviceFacts& device) {
    if (device.major < 8) return {{"conversions", "not on this device"}};
    const auto counted = [](void (*count)(ConversionCounts*)) {
        Buffer buffer(On::device, sizeof(ConversionCounts));
        buffer.clear();
        count(reinterpret_cast<ConversionCounts*>(buffer.data()));
        must(cudaGetLastError(), "the launch of a kernel that compares conversions");
        wait_for_device("a comparison of conversions");
        ConversionCounts counts;
        std::memcpy(&counts, buffer.read().data(), sizeof counts);
        if (counts.nan + counts.subnormal + counts.other == 0) return same_bits;
        return "other bits: of NaN " + std::to_string(counts.nan) + ", of subnormal numbers " +
               std::to_string(counts.subnormal) + ", of others " + std::to_string(counts.other);
    };
    return {{"cvt.rn.bf16x2.f32", counted(count_conversions_to_bfloat16)},
            {"cvt.rn.f16.f32", counted(count_conversions_to_float16)},
            {"cvt.f32.f16", counted(count_conversions_from_float16)}};
}

}  // namespace adamcore::experiments
