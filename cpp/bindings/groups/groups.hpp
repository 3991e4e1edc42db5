#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/rule_info.hpp"
#include "groups/hyper.hpp"
#include "groups/seen_dict.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// An optimizer's groups: their rules and hyper-parameters, which are read from the dicts that users see.
class Groups {
public:
    /// A hyper-parameter that selects the rule: a flag, or a number for which only 0 is special.
    struct Selector {
        py::object key;
        std::string label;
        py::object latest{};    ///< the value last looked at, if the same object always selects in the same way
        py::object schedule{};  ///< what stands for the number, or null
        bool is_zero = false;   ///< whether the schedule gave 0 when the rule was selected
    };
    struct Reader {
        HyperReader hyper;
        py::function variant;
        std::vector<Selector> selectors;
        bool is_selected = true;  ///< whether the rule has been selected since the selectors changed
        SeenDict seen{};          ///< the dict, if all of it has been read
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

    /// Reads a group's dict, and calls its schedules with `completed` steps. `variant(hyper)` returns the name of its
    /// rule, which depends on `variant_keys`.
    Candidate look_at(const py::dict& hyper, const py::tuple& variant_keys, const py::function& variant,
                      std::int64_t completed) const;
    /// Raises ValueError if a group that is to be added disagrees with the others on what they share.
    void require_agreement_of(const Group& added) const;
    /// A group that has been added, to be bound to other arrays.
    Candidate copy_of(std::size_t i) const { return {groups_[i], readers_[i]}; }
    /// Reserves space for one more group, so that add() cannot fail.
    void make_room();
    void add(Candidate candidate) noexcept;
    /// Called by the garbage collector.
    int traverse(visitproc visit, void* context) const;
    /// Forgets the groups. What it returns is the last that holds their Python objects.
    std::pair<std::vector<Reader>, Timetable> release() noexcept {
        groups_.clear();
        runs_.clear();
        selections_.clear();
        return {std::exchange(readers_, {}), std::exchange(timetable_, {})};
    }

    /// Reads what has changed in the dicts of all groups. Values may select another rule; its state is the optimizer's
    /// business. Runs no schedule. Raises ValueError if groups disagree on what they share; if there are schedules,
    /// evaluate() does.
    void read(const py::list& param_groups);

    /// Whether any number is a schedule, as of the last call of read().
    bool has_schedules() const { return !timetable_.empty(); }
    /// Another number whenever other schedules may stand for numbers than before, as of the last call of read().
    std::size_t listing() const { return listing_; }

    /// Fills in what schedules give after `completed` steps. Each is called once. To be called after read().
    void evaluate(const py::list& param_groups, std::int64_t completed);

    /// What schedules will give.
    struct Forecast {
        struct Use {
            std::size_t group, field, row;
        };
        std::vector<Use> uses;
        std::vector<double> values;  ///< a row of `count` numbers for each schedule
        std::size_t count = 0;
    };
    /// What schedules give after `completed` steps, after one more, and so on. Raises an error if one of the values is
    /// out of range, selects another rule than the first, or makes groups disagree. To be called after evaluate().
    Forecast forecast(std::int64_t completed, std::size_t count) const;

    /// Raises an error unless gradients can be divided by this number.
    double checked_loss_scale(py::handle value) const;

private:
    /// A field that a schedule gives in neighbouring groups of one rule, from `begin` to `end`.
    struct Run {
        std::size_t schedule, field, begin, end;
        const rule::Range* range;
        std::optional<double> written{};
    };
    /// A hyper-parameter that selects the rule, and that a schedule gives.
    struct Selection {
        std::size_t schedule, group, selector;
    };
    /// The first use of a schedule, for messages.
    struct First {
        int group;
        std::string label;
    };

    void require_all(const py::list& param_groups) const;
    void read_group(std::size_t index, const py::dict& hyper);
    void read_selectors(std::size_t index, const py::dict& hyper);
    /// Selects the rule of a group whose schedules have been replaced by numbers. Returns whether it is another one.
    bool select(std::size_t index, const py::dict& hyper);
    static void join(std::vector<Run>& runs);
    void list_schedules();
    void call_schedules();
    void require_agreement(const Forecast& forecast) const;
    /// Selects the rules of groups in which schedules select them.
    void select_by_schedules(const py::list& param_groups);
    void require_in_range(const Run& run, const Timetable::Value& value) const;
    void require_same_rule(const Selection& selection, const Timetable::Value& value) const;
    /// A group's dict, borrowed. Code that runs may change the list.
    PyObject* dict_of(const py::list& param_groups, std::size_t index) const;

    std::string owner_;
    std::vector<Group> groups_;
    std::vector<Reader> readers_;
    bool is_listed_ = true;    ///< whether the following is up to date
    std::size_t listing_ = 0;  ///< how often it was made
    Timetable timetable_;
    std::vector<First> firsts_;  ///< by schedule
    std::vector<Run> runs_;
    std::vector<Selection> selections_;
};

}  // namespace adamcore::python
