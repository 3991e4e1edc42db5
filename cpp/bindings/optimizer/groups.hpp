#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"
#include "optimizer/hyper.hpp"
#include "optimizer/seen_dict.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// An optimizer's groups: their rules and hyper-parameters, which are read from the dicts that users see.
class Groups {
public:
    struct Reader {
        HyperReader hyper;
        py::function variant;
        std::vector<std::pair<py::object, py::object>>
            variant_values;  ///< key, and the value last looked at if it is constant
        SeenDict seen{};     ///< the dict, if all of it has been read
    };
    /// A group that has been read but not added yet.
    struct Candidate {
        Group group;
        Reader reader;
    };

    /// `owner` starts error messages ("AdamW").
    explicit Groups(std::string owner) : owner_(std::move(owner)) {}

    const std::string& owner() const { return owner_; }
    std::size_t size() const { return groups_.size(); }
    const Group& operator[](std::size_t i) const { return groups_[i]; }
    const Group* data() const { return groups_.data(); }

    /// Reads a group's dict. `variant(hyper)` returns the name of its rule, which depends on `variant_keys`.
    Candidate look_at(const py::dict& hyper, const py::tuple& variant_keys, const py::function& variant,
                      std::int64_t completed) const;
    /// A group that has been added, to be bound to other arrays.
    Candidate copy_of(std::size_t i) const { return {groups_[i], readers_[i]}; }
    /// Reserves space for one more group, so that add() cannot fail.
    void make_room();
    void add(Candidate candidate) noexcept;
    /// Called by the garbage collector.
    int traverse(visitproc visit, void* context) const;
    /// Forgets the groups. What it returns is the last that holds their Python objects.
    std::vector<Reader> release() noexcept {
        groups_.clear();
        return std::exchange(readers_, {});
    }

    /// Reads the dicts of all groups again. Schedules are called with `completed` steps. Values may select another rule;
    /// its state is the optimizer's business.
    void read(const py::list& param_groups, std::int64_t completed);

    /// Whether the learning rate of any group is a schedule.
    static bool has_schedule(const py::list& param_groups);

    /// Raises an error unless gradients can be divided by this number.
    double checked_loss_scale(py::handle value) const;

private:
    void read_variant(std::size_t index, const py::dict& hyper);

    std::string owner_;
    std::vector<Group> groups_;
    std::vector<Reader> readers_;
};

}  // namespace adamcore::python
