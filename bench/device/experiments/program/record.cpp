#include "program/record.hpp"

#include <cstdio>
#include <fstream>
#include <set>
#include <stdexcept>

namespace adamcore::experiments {
namespace {

std::string number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", x);
    return text;
}

template <class Items, class Text>
std::string joined(const Items& items, Text&& text_of) {
    std::string all;
    for (const auto& item : items) all += (all.empty() ? "" : ", ") + text_of(item);
    return all;
}

template <class Map, class Text>
std::string object(const Map& map, Text&& text_of) {
    return "{" + joined(map, [&](const auto& item) { return quoted(item.first) + ": " + text_of(item.second); }) + "}";
}

std::string list(const std::vector<double>& numbers) { return "[" + joined(numbers, number) + "]"; }

std::string lines(const std::vector<std::string>& items) {
    return "[\n  " + joined(items, [](const std::string& item) { return item + "\n "; }) + "]";
}

}  // namespace

std::string quoted(const std::string& text) {
    std::string found = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') found += '\\';
        found += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return found + "\"";
}

void write_file(const std::string& path, const std::string& text) {
    const std::string fresh = path + ".new";
    std::ofstream file(fresh, std::ios::binary);
    file << text;
    file.close();
    if (!file || std::rename(fresh.c_str(), path.c_str()) != 0) throw std::runtime_error("cannot write " + path);
}

void Record::add(const Findings& findings) { findings_.insert(findings.begin(), findings.end()); }

void Record::add_kernels(const std::vector<Trial>& trials) {
    std::set<std::string> known;
    for (const Trial& trial : trials) {
        for (const Variant& variant : trial.variants) {
            if (!is_available(variant, device_) || !known.insert(key_of(trial, variant)).second) continue;
            for (const auto& [role, kernel] : variant.kernels()) {
                const KernelFacts facts = facts_of(kernel);
                kernels_.push_back("{\"variant\": " + quoted(key_of(trial, variant)) + ", \"kernel\": " + quoted(role) +
                                   ", \"registers\": " + std::to_string(facts.registers) + ", \"local\": " +
                                   std::to_string(facts.local) + ", \"shared\": " + std::to_string(facts.shared) +
                                   ", \"threads\": " + std::to_string(kernel.threads) +
                                   ", \"blocks\": " + std::to_string(facts.blocks) + "}");
            }
        }
    }
}

void Record::add(const Trial& trial, const Timings& timings) {
    const double elements = static_cast<double>(trial.problem.elements());
    cases_.push_back(
        "{\"case\": " + quoted(trial.name) + ", \"detail\": " + quoted(trial.detail) + ", \"tensors\": " +
        std::to_string(trial.problem.sizes.size()) + ", \"elements\": " + std::to_string(trial.problem.elements()) +
        ", \"bytes\": " + number(trial.step_bytes * elements) + ", \"sets\": " + std::to_string(trial.problem.sets) +
        ", \"steps\": " + std::to_string(timings.steps) + ", \"base\": " + quoted(trial.variants.front().name) +
        ",\n   \"failures\": " + object(timings.failures, quoted) +
        ",\n   \"seconds\": " + object(timings.seconds, list) + "}");
}

void Record::save() const {
    if (!path_.empty()) write_file(path_, text());
}

std::string Record::text() const {
    return "{\"experiment\": " + quoted(experiment_) + ", \"complete\": " + (is_complete_ ? "true" : "false") +
           ",\n \"error\": " + (error_.empty() ? "null" : quoted(error_)) +
           ",\n \"device\": {\"name\": " + quoted(device_.name) +
           ", \"capability\": " + quoted(std::to_string(device_.major) + "." + std::to_string(device_.minor)) +
           ", \"multiprocessors\": " + std::to_string(device_.multiprocessors) +
           ", \"memory\": " + std::to_string(device_.memory) + ", \"cache\": " + std::to_string(device_.cache) +
           ", \"driver\": " + std::to_string(device_.driver) + ", \"runtime\": " + std::to_string(device_.runtime) +
           "},\n \"check\": " + object(findings_, quoted) + ",\n \"kernels\": " + lines(kernels_) +
           ",\n \"cases\": " + lines(cases_) + "}\n";
}

}  // namespace adamcore::experiments
