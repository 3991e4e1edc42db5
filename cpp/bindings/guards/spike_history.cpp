#include "guards/spike_history.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <pybind11/stl.h>

#include "adamcore/math.hpp"
#include "adamcore/power.hpp"
#include "runtime/environment.hpp"
#include "runtime/interned.hpp"

namespace adamcore::python {
namespace {

/// The median of `count` > 0 sorted numbers.
double median(const double* sorted, std::size_t count) noexcept {
    const double upper = sorted[count / 2];
    return count % 2 ? upper : 0.5 * (sorted[count / 2 - 1] + upper);
}

/// The median of the distances of `count` > 0 sorted numbers from `middle`.
double median_distance(const double* sorted, std::size_t count, double middle) noexcept {
    const auto below = static_cast<std::size_t>(std::lower_bound(sorted, sorted + count, middle) - sorted);
    const std::size_t above = count - below, nearer = count / 2;
    const auto down = [&](std::size_t i) { return middle - sorted[below - 1 - i]; };
    const auto up = [&](std::size_t i) { return sorted[below + i] - middle; };
    // How many of the `nearer` numbers that are nearest lie below: as few as possible.
    std::size_t least = nearer > above ? nearer - above : 0, most = std::min(nearer, below);
    while (least < most) {
        const std::size_t i = least + (most - least) / 2;
        if (down(i) < up(nearer - i - 1)) {
            least = i + 1;
        } else {
            most = i;
        }
    }
    const std::size_t others = nearer - least;
    constexpr double none = std::numeric_limits<double>::infinity();
    const double next = std::min(least < below ? down(least) : none, others < above ? up(others) : none);
    if (count % 2) return next;
    const double last = std::max(least > 0 ? down(least - 1) : 0, others > 0 ? up(others - 1) : 0);
    return 0.5 * (last + next);
}

/// The largest norm that is no spike, given the logarithms of `count` > 0 norms to base 2, sorted. It is the median of
/// the norms, multiplied by e^(k max(s, 0.05)), where s is the standard deviation of their natural logarithms. The
/// median distance from the median estimates it.
double largest_usual_norm(const double* logs, std::size_t count, double k) noexcept {
    constexpr double deviation_over_distance = 1.4826;
    constexpr double least_deviation = 0x1.2776c50ef9bfep-4;  // 0.05 / ln 2
    const double middle = median(logs, count);
    const double deviation = deviation_over_distance * median_distance(logs, count, middle);
    return power::exp2(middle + k * math::max(deviation, least_deviation));
}

}  // namespace

SpikeHistory::SpikeHistory(const Settings& settings, const std::vector<double>& norms, std::size_t skipped)
    : settings_(settings), skipped_(skipped) {
    norms_.reserve(settings.window);
    logs_.reserve(settings.window + 1);
    for (const double norm : norms) add(norm);
}

SpikeLimit SpikeHistory::next() const noexcept {
    if (logs_.size() < std::min(least, settings_.window)) return {};
    const double norm = largest_usual_norm(logs_.data(), logs_.size(), settings_.k);
    return {norm, settings_.skips && skipped_ < settings_.max_skips};
}

void SpikeHistory::record(double norm, SpikeLimit limit) noexcept {
    if (!(norm > limit.norm)) {
        skipped_ = 0;
        if (norm > 0 && std::isfinite(norm)) add(norm);
    } else if (limit.skips) {
        ++skipped_;
    } else {
        add(limit.norm);
    }
}

bool SpikeHistory::observe(double norm) noexcept {
    if (!std::isfinite(norm)) return false;
    const SpikeLimit limit = next();
    record(norm, limit);
    return norm > limit.norm;
}

void SpikeHistory::add(double norm) noexcept {
    const double log = power::log2(norm);
    logs_.insert(std::upper_bound(logs_.begin(), logs_.end(), log), log);
    if (norms_.size() < settings_.window) {
        norms_.push_back(norm);
        return;
    }
    logs_.erase(std::lower_bound(logs_.begin(), logs_.end(), power::log2(norms_[oldest_])));
    norms_[oldest_] = norm;
    oldest_ = (oldest_ + 1) % settings_.window;
}

std::vector<double> SpikeHistory::norms() const {
    std::vector<double> ordered = norms_;
    std::rotate(ordered.begin(), ordered.begin() + static_cast<std::ptrdiff_t>(oldest_), ordered.end());
    return ordered;
}

std::shared_ptr<SpikeHistory> history_in(const py::object& memory) {
    static const py::handle state = interned("state");
    if (!memory) return nullptr;
    PyObject* const found = PyDict_GetItemWithError(memory.ptr(), state.ptr());
    if (!found) throw py::error_already_set();
    return py::handle(found).cast<std::shared_ptr<SpikeHistory>>();
}

void define_guards(py::module_& m) {
    const auto make = [](double k, std::size_t window, bool skips, std::size_t max_skips,
                         const std::vector<double>& norms, std::size_t skipped) {
        return std::make_shared<SpikeHistory>(SpikeHistory::Settings{k, window, skips, max_skips}, norms, skipped);
    };
    py::class_<SpikeHistory, std::shared_ptr<SpikeHistory>>(m, "SpikeHistory", "What a SpikeGuard knows.")
        .def(py::init(make), py::arg("k"), py::arg("window"), py::arg("skips"), py::arg("max_skips"), py::arg("norms"),
             py::arg("skipped"), Computes())
        .def_property_readonly("norms", &SpikeHistory::norms)
        .def_property_readonly("skipped", &SpikeHistory::skipped)
        .def("observe", &SpikeHistory::observe, py::arg("norm"), Computes())
        .def(
            "limit", [](const SpikeHistory& history) { return history.next().norm; }, Computes());
}

}  // namespace adamcore::python
