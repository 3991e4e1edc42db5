#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <pybind11/pybind11.h>

#include "adamcore/tensor.hpp"
#include "gate/view.hpp"
#include "gate/walk.hpp"
#include "optimizer/checkpoint.hpp"
#include "optimizer/containers.hpp"
#include "optimizer/exclusive.hpp"
#include "optimizer/groups.hpp"
#include "optimizer/names.hpp"
#include "optimizer/options.hpp"
#include "regions/regions.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// What the optimizers of the CPU and of CUDA have in common: parameters in groups, their names and forms, and the order
/// in which groups are added, and state is saved and loaded. Where memory lies and how it is copied, they say themselves.
class BoundOptimizer {
public:
    BoundOptimizer(const BoundOptimizer&) = delete;
    BoundOptimizer& operator=(const BoundOptimizer&) = delete;

    /// Binds parameters, all or none, allocates their state and appends the group's dict to `param_groups`.
    ///
    /// `group` holds hyper-parameters and, as "params", the list of arrays; `source` is the list or dict that the user
    /// passed, or None. `labels` are how the user knows each array ("params['w']"), `keys` the ends of their gradients'
    /// labels ("['w']", "[3]", or "" for a single array). `variant(group)` gives the name of the group's rule, which
    /// depends on `variant_keys`.
    void add_group(const py::list& param_groups, const py::dict& group, const py::object& source, const py::list& names,
                   const std::vector<std::string>& labels, const std::vector<std::string>& keys,
                   const py::tuple& variant_keys, const py::function& variant);

    /// A copy of all state: the dict of names, and the number of completed steps.
    py::tuple snapshot();
    /// Takes over what snapshot() has given, and writes `values`, a list of dicts, into the groups' dicts; all or nothing.
    void restore(const py::list& values, const py::object& state, std::int64_t completed, const py::function& to_numpy);

    std::size_t size() const { return forms_.size(); }
    /// The places of parameters, by name.
    const py::dict& places() const { return names_->places(); }
    /// Raises RuntimeError where somebody uses the optimizer.
    void require_idle() const { use_.require_idle(owner()); }

protected:
    /// What stays of a parameter's array when it is bound.
    struct Form {
        ShapeAndStrides shape;
        Order order;  ///< in which elements are counted
    };

    /// Another library's array, over whose memory a parameter is.
    struct Lender {
        std::size_t tensor;
        py::object array;
        std::optional<std::uintptr_t> pointer;  ///< where its memory was, if it says so
        bool counts_writes;
    };

    /// A group that is being added: nothing of the optimizer has changed yet.
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
        Containers::Watched containers{};
    };

    /// What the CPU or CUDA has made for such a group. Gone without commit(), it leaves no trace.
    class Binding {
    public:
        virtual ~Binding() = default;
        /// Writes what state begins as.
        virtual void start() = 0;
        /// Makes room, so that commit() cannot fail.
        virtual void make_room() = 0;
        /// Comes before the common part is committed.
        virtual void commit() noexcept = 0;
    };

    struct Counts {
        std::vector<std::int64_t> steps;  ///< by parameter
        std::int64_t completed;
    };

    /// `owner` begins error messages ("AdamW"); `options` is what read_options() takes.
    BoundOptimizer(std::string owner, const py::dict& options);
    ~BoundOptimizer() = default;

    /// Checks the arrays, describes them by describe(), and allocates their state.
    virtual std::unique_ptr<Binding> bind(Addition& added) = 0;
    virtual const Tensor& tensor_at(std::size_t i) const = 0;
    virtual std::int64_t count_completed() const = 0;
    virtual Counts counts() = 0;
    /// Copies state into the CPU's memory.
    virtual void save(const Copies& copies) = 0;
    /// Whether bytes of the CPU are among those that load() writes.
    virtual IsOwn own_memory() const = 0;
    /// Copies state from the CPU's memory and sets the counts. All or nothing.
    virtual void load(const Copies& copies, const Counts& counts) = 0;
    /// The groups' dicts have been written to after load().
    virtual void loaded() {}

    const std::string& owner() const { return groups_.owner(); }
    /// Makes tensors, forms and regions of arrays that have been looked at; `memory_owners` are what owner_of() says.
    void describe(const std::vector<ArrayView>& views, const std::vector<const void*>& memory_owners,
                  Addition& added) const;
    static ArrayView view_of_param(const Tensor& tensor, const Form& form);
    std::vector<StateArray> state_arrays(std::size_t i) const;
    StateArrays state_arrays() const;
    /// Raises ValueError, which begins with `label`, for a gradient in memory that a step writes.
    void require_apart(const ArrayView& grad, const void* memory_owner, const std::string& label) const;
    /// Raises if the memory of a parameter with a gradient is no longer its lender's. May run anyone's code.
    void require_lenders_in_place() const;
    /// A list of those that count writes, of the parameters with a gradient; null where there can be none.
    py::object written() const;
    [[noreturn]] void refuse_moved(std::size_t i, const char* by) const;

    int traverse_shared(visitproc visit, void* arg) const;
    /// Forgets all, without taking memory: the garbage collector may come where there is none. What goes may run anyone's
    /// code.
    void clear_shared() noexcept;

    mutable Use use_;
    Groups groups_;
    Options options_;
    std::shared_ptr<Names> names_ = std::make_shared<Names>();  ///< reports of steps know it too
    Containers containers_;
    std::vector<Form> forms_;
    std::vector<std::unique_ptr<Py_ssize_t[]>> axes_;
    std::vector<Lender> lenders_;
    Regions regions_;

private:
    void require_apart(Addition& added);
    void make_room(const Addition& added);
    void commit(Addition&& added) noexcept;
};

}  // namespace adamcore::python
