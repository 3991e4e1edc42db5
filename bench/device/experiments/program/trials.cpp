#include "program/trials.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models.hpp"

namespace adamcore::experiments {
namespace {

/// A working set is at least so many times the second-level cache, or several take turns.
constexpr double caches = 4;
/// Where one is as small as a kilobyte, so many are cold enough.
constexpr std::int64_t most_sets = 16384;

const std::vector<int> all_tiles{2048, 4096, 8192, 16384};
const std::string by_tile = "+tile";

std::vector<std::int64_t> sizes_of(const std::string& model) {
    for (const Model& each : models) {
        if (model != each.name) continue;
        std::vector<std::int64_t> sizes;
        for (const auto& [size, count] : each.runs) sizes.insert(sizes.end(), static_cast<std::size_t>(count), size);
        return sizes;
    }
    throw std::logic_error("no model is called " + model);
}

Variants joined(std::vector<Variants> lists) {
    Variants all;
    for (Variants& list : lists) {
        for (Variant& variant : list) all.push_back(std::move(variant));
    }
    return all;
}

Variants stored_variants(Storage storage) {
    Variants shared = stored_shared_variants();
    Variants widths = joined({stored_width_variants(), stored_width_variants_by_hardware()});
    // What has no random numbers shares none.
    if (storage != Storage::stochastic) {
        const auto unused = [](const Variant& v) {
            return v.name.find(by_tile) != std::string::npos || v.name == "raw+warp";
        };
        shared.erase(std::remove_if(shared.begin(), shared.end(), unused), shared.end());
        for (Variant& variant : widths) variant.name.erase(variant.name.find(by_tile), by_tile.size());
    }
    Variants fixed = stored_fixed_variants(facts_of(storage).weights);
    if (storage != Storage::stochastic) fixed.erase(fixed.begin());
    return joined({stored_base_variants(), stored_engine_variants(), stored_raw_variants(), std::move(shared),
                   std::move(widths), std::move(fixed)});
}

ProblemRequest request_of(const std::string& model, Storage storage, std::size_t cache) {
    ProblemRequest request;
    request.sizes = sizes_of(model);
    request.storage = storage;
    const double set = facts_of(storage).step_bytes / 2 * static_cast<double>(request.elements());
    request.sets =
        std::clamp<std::int64_t>(std::llround(std::ceil(caches * static_cast<double>(cache) / set)), 1, most_sets);
    return request;
}

std::vector<Trial> decide_trials(std::size_t cache) {
    std::vector<Trial> trials;
    const std::vector<std::pair<const char*, double>> weights{
        {"1x1024", 1}, {"many_10k_x_1k", 1.5}, {"gpt2_124m", 2}, {"llama7b_layer", 2}};
    for (const auto& [model, weight] : weights) {
        const ProblemRequest request = request_of(model, Storage::dense, cache);
        for (const std::int64_t t : {10, 1000, 1'000'000})
            trials.push_back({"E1", model, "t = " + std::to_string(t), request, 28, t, weight, decide_variants()});
    }
    return trials;
}

std::vector<Trial> dense_trials(std::size_t cache) {
    std::vector<Trial> trials;
    const std::vector<std::pair<const char*, double>> weights{
        {"many_10k_x_1k", 2}, {"gpt2_124m", 4}, {"llama7b_layer", 3}, {"1x1024", 1}};
    for (const auto& [model, weight] : weights) {
        ProblemRequest request = request_of(model, Storage::dense, cache);
        request.tiles = all_tiles;
        trials.push_back({"E2", model, "", request, 28, 1000, weight, joined({dense_variants(), flat_variants()})});
    }
    for (const char* model : {"gpt2_124m", "llama7b_layer", "many_10k_x_1k"}) {
        ProblemRequest request = request_of(model, Storage::dense, cache);
        request.leaves = {8};
        trials.push_back({"E2", model, "after a norm", request, 32, 1000, 1, norm_variants()});
    }
    return trials;
}

std::vector<Trial> stored_trials(std::size_t cache) {
    std::vector<Trial> trials;
    for (const char* model : {"gpt2_124m", "many_10k_x_1k", "llama7b_layer"}) {
        for (const Storage storage : {Storage::master, Storage::remainder, Storage::stochastic}) {
            const StorageFacts facts = facts_of(storage);
            trials.push_back({"E3", model, facts.name, request_of(model, storage, cache), facts.step_bytes, 1000,
                              storage == Storage::stochastic ? 1.5 : 1, stored_variants(storage)});
        }
    }
    return trials;
}

/// What is asked for where time is left: norms by smaller blocks, and rows without gradients.
std::vector<Trial> other_trials(std::size_t cache) {
    std::vector<Trial> trials;
    for (const char* model : {"gpt2_124m", "resnet50"}) {
        ProblemRequest request = request_of(model, Storage::dense, cache);
        request.leaves = {2, 4, 8};
        trials.push_back({"E4", model, "norm", request, 4, 1000, 1, measure_variants()});
    }
    for (const Filling grads : {Filling::grads, Filling::zero_rows}) {
        ProblemRequest request = request_of("gpt2_wte", Storage::dense, cache);
        request.grads = grads;
        request.row = model_columns;
        const char* detail = grads == Filling::grads ? "all rows" : "2% of rows";
        trials.push_back({"E4", "gpt2_wte", detail, request, 28, 1000, 1, {before_update(), engine_with_arguments()}});
    }
    return trials;
}

}  // namespace

std::vector<Trial> trials_of(const std::string& experiment, std::size_t cache) {
    if (experiment == "E1") return decide_trials(cache);
    if (experiment == "E2") return dense_trials(cache);
    if (experiment == "E3") return stored_trials(cache);
    if (experiment == "E4") return other_trials(cache);
    throw std::invalid_argument("there is no experiment " + experiment);
}

std::vector<Trial> checks_of(const std::string& experiment, On where) {
    std::vector<Trial> checks;
    constexpr std::size_t no_cache = 0;
    for (const Trial& trial : trials_of(experiment, no_cache)) {
        const bool is_known = std::any_of(checks.begin(), checks.end(), [&](const Trial& other) {
            return other.problem.storage == trial.problem.storage && other.detail == trial.detail;
        });
        if (is_known) continue;
        for (const bool misaligned : {false, true}) {
            Trial check = trial;
            check.name = misaligned ? "small, misaligned" : "small";
            check.problem.sizes = {1024, 1, 3, 4096, 7, 8, 127, 129, 4095, 4097, 0, 8192, 20'000, 4096 * 8 + 40};
            check.problem.params = Filling::wild_params;
            if (check.problem.grads == Filling::grads) check.problem.grads = Filling::wild_grads;
            check.problem.misaligned = misaligned;
            check.problem.where = where;
            checks.push_back(std::move(check));
        }
    }
    return checks;
}

}  // namespace adamcore::experiments
