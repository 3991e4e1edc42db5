#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/tensor.hpp"
#include "adamcore/weights/average.hpp"
#include "checkpoint/checkpoint.hpp"
#include "checkpoint/weights.hpp"
#include "gate/tensors.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"
#include "groups/groups.hpp"
#include "optimizer/accumulation.hpp"
#include "optimizer/exclusive.hpp"
#include "optimizer/options.hpp"
#include "regions/regions.hpp"
#include "state/change.hpp"
#include "structures/containers.hpp"
#include "structures/names.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// The common part of the optimizers for the CPU and for CUDA: parameters in groups, their names and forms, and the
/// sequence of operations in which groups are added, and state is saved and loaded. The derived classes decide where
/// memory is and how it is copied.
class BoundOptimizer {
public:
    virtual ~BoundOptimizer() = default;
    BoundOptimizer(const BoundOptimizer&) = delete;
    BoundOptimizer& operator=(const BoundOptimizer&) = delete;

    /// Binds all parameters or none, allocates their state, and appends the group's dict to `param_groups`.
    ///
    /// `group` contains hyper-parameters and, as "params", the list of arrays. `source` is the container that the user
    /// passed, or None. `labels` are the user's names of the arrays ("params['w']"), `keys` the ends of their gradients'
    /// labels ("['w']", "[3]", or "" for a single array), and `tree` is their structure, for read_tree().
    /// `variant(group)` returns the name of the group's rule, which depends on `variant_keys`. Unless `checked`, it may
    /// disagree with other groups on what they should share.
    void add_group(const py::list& param_groups, const py::dict& group, const py::object& source, const py::list& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys, const py::object& tree,
                   const py::tuple& variant_keys, const py::function& variant, bool checked);

    /// Returns a copy of all state: by name, the number of completed steps, numbers(), averages() and Accumulation::saved().
    py::tuple snapshot();
    /// The same and the parameters by name. On the CPU, arrays are views of memory. Until give_back(), nothing else can
    /// use the optimizer.
    py::tuple borrow();
    void give_back();
    /// Raises an error if other arrays have taken the places of parameters.
    void require_params(const py::list& param_groups) const;
    /// Loads what snapshot() returned, and writes `values`, a list of dicts, into the groups' dicts. It does all of
    /// this or nothing. `rules` are the names of the rules that the values select, by group, and `family` those of all
    /// rules that values may select. The state then consists of the arrays that the checkpoint has.
    /// Unless `checked`, NaN and negative numbers are loaded as they are. `memories` are pairs of a dict and new items
    /// for it, whose keys exist; they are written too. `averages` say how far averages have come: steps, and moves.
    /// `params` are new contents of all parameters, by name, or None.
    void restore(const py::list& values, const py::object& state, std::int64_t completed, const py::object& numbers,
                 const py::function& to_numpy, const std::vector<std::string>& rules,
                 const std::vector<std::string>& family, bool checked, const py::list& memories,
                 const std::map<std::string, std::pair<std::int64_t, std::int64_t>>& averages, const py::object& window,
                 const py::object& params);
    /// The numbers of the whole optimizer, by name.
    py::dict numbers();

    /// Goes on with other arrays and the state that there is. `params` has a tuple for each group: the list of arrays,
    /// in the order of the group's names; the user's names of them; the container that the user passed, or None; and
    /// its structure, for read_tree(). It does all of this or nothing.
    void rebind(const py::list& params);

    /// For each group, what add_group() takes besides the arrays and their names: labels, keys, tree, and source or None.
    py::list forms() const;

    /// Makes the moments of some parameters, the slots of degree 1 and 2, what they were at first, and counts the updates
    /// of these parameters from 0. It does all of this or nothing.
    void reset_state(const std::vector<std::size_t>& parameters);
    /// Multiplies slots of degree 2 by `factor`, which is finite and positive, and those of degree 1 by its root.
    void rescale_state(const std::vector<std::size_t>& parameters, double factor);
    /// Tells the SpikeGuard of all steps so far. On a device this waits for them.
    virtual void settle() {}

    std::size_t size() const { return forms_.size(); }
    /// The number of leaves in the window of accumulation.
    std::int64_t accumulated() const;
    /// The indices of parameters, by name.
    const py::dict& places() const { return names_->places(); }
    /// Raises RuntimeError if the optimizer is in use.
    void require_idle() const { use_.require_idle(owner()); }
    /// Begins an average of all weights, which is the slot `name` of the state. It does all of this or nothing.
    void add_average(const std::string& name, const WeightAverage& average);
    /// The averages by name: a dict with "steps" and "averaged" for each.
    py::dict averages();
    /// Exchanges the weights with an average, or puts them back. Until then, nothing else can use the optimizer. It does
    /// all of this or nothing.
    void exchange(const std::string& name, bool back);

    /// Moves all weights by a share of their way towards the arrays of a slot, which all of them have. `shares` are by
    /// group.
    void approach(const std::string& slot, const std::vector<double>& shares);

protected:
    /// The properties of a parameter's array that are fixed when it is bound.
    struct Form {
        ShapeAndStrides shape;
        Order order;         ///< in which elements are counted
        SlotArrays state{};  ///< in the order of its cohort's slots
    };

    /// An array of another library whose memory is used by a parameter.
    struct Lender {
        Lender(std::size_t parameter, const py::object& given);

        std::size_t tensor;
        py::object array;
        const TensorType* type;                 ///< null if only code in Python tells where its memory is
        std::optional<std::uintptr_t> pointer;  ///< where its memory was, if it says so
        bool counts_writes;
    };

    /// A group that is being added. The optimizer has not been changed yet.
    struct Addition {
        py::list params;
        std::vector<py::str> names;
        const std::vector<std::string>& labels;
        Groups::Candidate group;
        std::vector<Tensor> tensors{};
        std::vector<Form> forms{};
        std::unique_ptr<Py_ssize_t[]> axes{};  ///< what forms point at
        std::vector<Lender> lenders{};
        Regions::Addition regions{};
        std::array<KeptSlots, cohorts_of_group> kept{};
        std::vector<StateBlock> blocks{};
        std::vector<Started> started{};
        std::vector<double> numbers{};  ///< of the optimizer, if this is its first group
        std::vector<Conversion> conversions{};
        /// The optimizer whose state goes on with these arrays, and the index of the first of them, if there is one.
        const BoundOptimizer* heir_of = nullptr;
        std::size_t heir_from = 0;
        Containers::Watched containers{};
    };

    /// The CPU or CUDA part of such a group. If it is destroyed without commit(), it leaves no trace.
    class Binding {
    public:
        virtual ~Binding() = default;
        /// Writes the initial values of the state, Addition::started.
        virtual void start() = 0;
        /// Reserves space, so that commit() cannot fail.
        virtual void make_room() = 0;
        /// Called before the common part is committed.
        virtual void commit() noexcept = 0;
    };

    struct Counts {
        std::vector<Progress> tensors;
        std::int64_t completed;
        std::vector<double> numbers;  ///< of the whole optimizer, in the order of RuleInfo::numbers
    };

    /// `owner` starts error messages ("AdamW").
    BoundOptimizer(std::string owner, Options options);

    /// Checks the arrays, describes them with describe(), and allocates their state with add_state().
    virtual std::unique_ptr<Binding> bind(Addition& added) = 0;
    /// Allocates arrays, the slots of each tensor, and sets their addresses in `tensors`, which are of one group. Raises
    /// MemoryError that names an array.
    virtual StateBlock allocate_state(std::vector<Tensor>& tensors, const std::vector<StateSlots>& slots,
                                      const std::vector<std::string>& labels) = 0;
    /// Makes an optimizer without parameters, which has the same options and the same memory.
    virtual std::unique_ptr<BoundOptimizer> make_like() const = 0;
    /// Converts state, from and to memory of the kind that parameters are in.
    virtual void convert(const std::vector<Conversion>& conversions) const = 0;
    /// Waits until the state can be read.
    virtual void before_rebind() {}
    /// Prepares adopt() with this optimizer's counts.
    virtual void before_adopt(BoundOptimizer&) {}
    /// Exchanges the arrays with those of an optimizer from make_like().
    virtual void adopt(BoundOptimizer& other) noexcept = 0;
    /// Writes the initial values of such arrays.
    virtual void start_state(const Started& started) = 0;
    /// Multiplies state arrays. No square becomes 0.
    virtual void rescale(const std::vector<Rescaling>& rescalings) = 0;
    /// Raises an error if averages cannot be added any more.
    virtual void require_new_averages() const {}
    /// Called when there are new averages, or when their arrays have changed.
    virtual void averages_changed() noexcept {}
    /// Brings averages_ up to date. Waits until it is known how far they have come.
    virtual void read_averages() {}
    /// Runs a pass over weights, one of weight_pass::All, for tensors from weights_of().
    virtual void run_weight_pass(std::size_t pass, const std::vector<Tensor>& tensors,
                                 const std::vector<double>& shares) = 0;
    /// Raises an error if the state arrays cannot change.
    virtual void require_changeable_state() const {}
    /// Sets Tensor::state. If the state has not begun, it begins with the next update if the rule `begins`.
    virtual void use_state(std::size_t i, const SlotArrays& state, bool begins) noexcept = 0;
    /// Forgets which gradients are known not to overlap anything that is written.
    virtual void forget_checked() noexcept = 0;
    virtual const Tensor& tensor_at(std::size_t i) const = 0;
    virtual std::int64_t count_completed() const = 0;
    /// The numbers of the whole optimizer. Waits until they are known.
    virtual std::vector<double> shared_numbers() { return numbers_; }
    virtual Counts counts() = 0;
    /// Raises an error if a parameter is not what and where it was when the optimizer was made, or cannot be written.
    virtual void require_params_in_place() const { require_lenders_in_place(true); }
    /// What settle() does, when the caller uses the optimizer.
    virtual void settle_steps() {}
    /// Whether arrays are in the CPU's memory.
    virtual bool is_on_host() const = 0;
    /// Copies state into CPU memory.
    virtual void save(const Copies& copies) = 0;
    /// The same behind all work that the user has queued on state.
    virtual void save_settled(const Copies& copies) { save(copies); }
    /// Copies back what save_settled() has copied.
    virtual void put_back(const Copies& copies) = 0;
    /// Copies state from CPU memory and sets the counts. It does all of this or nothing.
    virtual void load(const Copies& copies, const Counts& counts) = 0;
    /// Called after load(), when the groups' dicts have been written.
    virtual void loaded() {}

    const std::string& owner() const { return groups_.owner(); }
    /// Creates tensors, forms and regions for arrays that have been accepted. `memory_owners` are the results of
    /// owner_of().
    void describe(const std::vector<ArrayView>& views, const std::vector<const void*>& memory_owners,
                  Addition& added) const;
    /// Allocates the state of a group that is being added.
    void add_state(Addition& added);
    /// Prepares the state that the groups' rules need, if they have changed.
    std::optional<StateChange> follow_rules();
    void commit(StateChange&& change) noexcept;
    /// The arrays of a slot, by parameter.
    std::vector<void*> arrays_of_slot(const char* slot) const;
    /// The block that contains an array of a parameter's state.
    const StateBlock& block_of(std::size_t i, const void* array) const;
    static ArrayView view_of_param(const Tensor& tensor, const Form& form);
    std::vector<StateArray> state_arrays(std::size_t i) const;
    /// Raises ValueError, which starts with `label`, for a gradient in memory that a step writes.
    void require_apart(const ArrayView& grad, const void* memory_owner, const std::string& label) const;
    /// Raises an error if the memory of a parameter with a gradient, or of `all`, is no longer its lender's, or has been given another
    /// dtype, shape or strides. Runs foreign code if lenders_run_code().
    void require_lenders_in_place(bool all) const;
    bool lenders_run_code() const { return lenders_that_run_code_ > 0; }
    /// A list of the arrays that count writes and have a gradient, or of `all`. Null if there are none.
    py::object written(bool all) const;
    [[noreturn]] void refuse_moved(std::size_t i, const char* by) const;

    int traverse_shared(visitproc visit, void* arg) const;
    /// Releases everything, without allocating: the garbage collector may run when no memory is left. Destroying the
    /// objects may run foreign code.
    void clear_shared() noexcept;

    mutable Use use_;
    Groups groups_;
    Options options_;
    std::vector<double> numbers_;  ///< of the whole optimizer, in the order of RuleInfo::numbers
    std::shared_ptr<Names> names_ = std::make_shared<Names>();  ///< shared with reports of steps
    Containers containers_;
    std::vector<Form> forms_;
    std::vector<std::unique_ptr<Py_ssize_t[]>> axes_;
    std::vector<Lender> lenders_;
    std::size_t lenders_that_run_code_ = 0;
    mutable py::object all_written_;  ///< the list of all arrays that count writes, once written() has returned it
    Regions regions_;
    /// An average of weights.
    struct Averaged {
        rule::Slot slot;
        WeightAverage average;
        WeightAverage::Progress progress{};
        Aside rounded{};  ///< while exchanged: what parameters of half precision do not hold
        bool is_exchanged = false;
    };
    std::vector<Averaged> averages_;
    /// The place in weight_pass::All of the pass that carries an average on.
    static std::size_t pass_of(WeightAverage::Kind kind) noexcept;
    std::vector<KeptSlots> kept_;                  ///< by cohort
    std::vector<std::vector<StateBlock>> blocks_;  ///< by group
    Accumulation window_{*this};

private:
    friend class Accumulation;
    /// What snapshot() returns, with arrays that `to_numpy` returns.
    py::tuple saved(const ToNumpy& to_numpy);
    std::vector<WeightArray> weight_arrays() const;
    void require_apart(Addition& added);
    void make_room(const Addition& added);
    void commit(Addition&& added) noexcept;
    /// Describes the parameter at `i` of a group that is being added.
    Tensor tensor_of(const ArrayView& view, std::size_t i, const Addition& added) const;
    /// Allocates the state with which a group begins that is being added.
    void begin_state(Addition& added);
    /// Gives a group that is being added the state of the parameters whose place it takes.
    void inherit_state(Addition& added);
    struct Renewed;
    /// Takes the arrays of the former parameters that mean the same for the new ones. Returns which are missing.
    static Renewed inherit_arrays(Addition& added);
    /// Takes the blocks of the former parameters that are still used.
    static void keep_blocks(Addition& added, std::size_t group);
    /// Prepares the conversion of state to arrays that have been allocated, and the start of what is not converted.
    static void convert_arrays(Addition& added, Renewed renewed);
    /// The moments of parameters, as they are at first.
    std::vector<Started> moments_of(const std::vector<bool>& chosen) const;
    /// Whether a parameter is one of these, by index. Raises IndexError if there is no such parameter.
    std::vector<bool> chosen_of(const std::vector<std::size_t>& parameters) const;
    Averaged& average_named(const std::string& name);
    /// A parameter's array of a slot that it has.
    void* array_of(std::size_t i, const char* slot) const;
    /// Binds a group's new arrays, for rebind().
    void bind_again(const BoundOptimizer& old, std::size_t group, const py::tuple& params);
    /// The indices of a group's parameters: the first, and the one after the last.
    std::pair<std::size_t, std::size_t> members(std::size_t group) const;
    std::vector<std::size_t> members_of_cohort(std::size_t cohort) const;
    StateChange state_as_it_is() const;
    /// Slots that a cohort gets: those that need memory, and then those whose memory is there.
    struct NewSlots {
        std::size_t cohort;
        RuleSlots fresh;
        std::vector<Initial> initials;
        std::vector<std::size_t> places;  ///< among the cohort's slots
    };

    /// Calls `f(group, cohort)` with each group and its first cohort.
    template <class F>
    void for_each_group(F&& f) const;
    /// Finds out which of these slots a cohort's parameters do not have yet, and prepares their places.
    NewSlots new_slots(StateChange& change, std::size_t cohort, const std::vector<Initial>& wanted);
    /// Prepares their arrays, for all cohorts of a group.
    void add_slots(StateChange& change, std::size_t group, const std::vector<NewSlots>& added);
    /// Prepares that all parameters have one slot more.
    StateChange with_slot(const rule::Slot& slot);
    /// Prepares that the cohorts have exactly these slots. Groups may select the rules of `family`.
    StateChange take_slots(const std::vector<RuleSlots>& wanted, const std::vector<std::size_t>& family);
    /// The names of the numbers of the whole optimizer.
    std::vector<const char*> number_names() const;
    /// Brings a parameter's arrays into the order of its rule.
    void use_rule(std::size_t i) noexcept;
    std::vector<StateArray> state_arrays(std::size_t i, const KeptSlots& kept, const SlotArrays& arrays) const;
    StateArrays state_arrays(const StateChange& change) const;
};

}  // namespace adamcore::python
