#include "guards/spike_history.hpp"

#include <algorithm>
#include <cmath>

#include <pybind11/stl.h>

#include "adamcore/spike.hpp"
#include "runtime/environment.hpp"
#include "runtime/interned.hpp"

namespace adamcore::python {

SpikeHistory::SpikeHistory(const Settings& settings, const std::vector<double>& norms, std::size_t skipped)
    : settings_(settings), skipped_(skipped) {
    norms_.reserve(settings.window);
    logs_.reserve(settings.window + 1);
    for (const double norm : norms) add(norm);
}

SpikeLimit SpikeHistory::next() const noexcept {
    if (logs_.size() < std::min(least, settings_.window)) return {};
    const double norm = spike::largest_usual_norm(logs_.data(), logs_.size(), settings_.k);
    return {norm, settings_.skips && skipped_ < settings_.max_skips};
}

void SpikeHistory::record(double norm, SpikeLimit limit) noexcept {
    if (!limit.is_exceeded_by(norm)) {
        skipped_ = 0;
        if (norm > 0 && std::isfinite(norm)) add(norm);
    } else if (limit.skips) {
        ++skipped_;
    } else {
        add(limit.norm);
    }
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
        .def(
            "limit", [](const SpikeHistory& history) { return history.next().norm; }, Computes());
}

}  // namespace adamcore::python
