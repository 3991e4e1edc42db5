#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "adamcore/cpu/float_environment.hpp"
#include "adamcore/cpu/passes/workspace.hpp"
#include "adamcore/optimizer/arguments.hpp"
#include "adamcore/optimizer/hyper.hpp"
#include "adamcore/optimizer/new_tensor.hpp"
#include "adamcore/optimizer/ranges.hpp"
#include "adamcore/optimizer/slab.hpp"
#include "adamcore/optimizer/state_slots.hpp"
#include "adamcore/rule_info.hpp"
#include "adamcore/tensor.hpp"

namespace adamcore {

/// An array of a tensor's state, which belongs to the optimizer and lives as long as it.
struct StateArray {
    const char* name;
    const char* dtype;  ///< NumPy's name of its type
    void* data;
    std::int64_t size;  ///< the number of elements

    /// The elements. Throws std::invalid_argument if they are not of type T.
    template <class T>
    T* as() const {
        if (std::string_view(dtype) != type_name<T>())
            throw std::invalid_argument(std::string("the state ") + name + " is " + dtype + ", not " + type_name<T>());
        return static_cast<T*>(data);
    }

private:
    template <class T>
    static constexpr const char* type_name() {
        if constexpr (std::is_same_v<T, std::uint16_t>) return "uint16";
        if constexpr (std::is_same_v<T, std::uint8_t>) return "uint8";
        if constexpr (!std::is_integral_v<T>) return name_of(dtype_of<T>);
    }
};

/// What optimizers of every rule have: tensors with their state and counts, and groups. One thread at a time may use it.
///
/// Errors are std::invalid_argument (std::out_of_range for an index) or std::bad_alloc, and leave everything as it was.
class OptimizerBase {
public:
    /// The number of tensors that have been added.
    std::size_t size() const { return tensors_.size(); }
    std::size_t group_count() const { return groups_.size(); }

    /// The number of calls of step(), and of updates of a tensor, which are fewer if it had no gradient in some.
    std::int64_t completed() const { return completed_; }
    std::int64_t steps(std::size_t tensor) const { return tensors_.at(tensor).step; }

    /// Continues from a state that has been saved: call it after the state arrays have been written.
    void set_steps(std::size_t tensor, std::int64_t steps) {
        if (steps < 0) throw std::invalid_argument(label(tensor) + ": the number of its steps is negative");
        tensors_.at(tensor).step = steps;
    }

    /// The arrays of a tensor's state, in the order of the rule's slots, then what is stored beside half-precision
    /// weights.
    std::vector<StateArray> state(std::size_t tensor) const {
        Tensor found = tensors_.at(tensor);
        const RuleInfo& rule = rule_info(found);
        std::vector<StateArray> arrays;
        for (const StateSlot& slot : state_slots(found, rule.slots, rule.slot_count)) {
            const auto bytes = static_cast<std::int64_t>(slot.bytes);
            const std::int64_t size = slot.is_extra ? found.size : slot_size(found, slot.slot);
            arrays.push_back({slot.slot.name, slot.dtype, address_of(found, slot), slot.is_bits ? bytes : size});
        }
        return arrays;
    }
    StateArray state(std::size_t tensor, std::string_view name) const {
        std::string names;
        for (const StateArray& array : state(tensor)) {
            if (name == array.name) return array;
            names += (names.empty() ? "" : ", ") + std::string(array.name);
        }
        throw std::invalid_argument(label(tensor) + " has no state '" + std::string(name) + "'" +
                                    (names.empty() ? "" : "; it has " + names));
    }

    /// A number that the rule keeps for the whole optimizer, such as Prodigy's "d". They exist once a tensor has been
    /// added.
    double& number(std::string_view name) {
        const RuleInfo& rule = infos_[first_rule()];
        for (std::size_t k = 0; k < numbers_.size(); ++k) {
            if (name == rule.numbers[k]) return numbers_[k];
        }
        throw std::invalid_argument(std::string(rule.name) + (tensors_.empty() ? ", before it has a tensor," : "") +
                                    " has no number '" + std::string(name) + "'");
    }

protected:
    /// `infos` describes the rules of which groups have one.
    explicit OptimizerBase(const RuleInfo* infos) : infos_(infos) {}
    OptimizerBase(OptimizerBase&&) = default;
    OptimizerBase& operator=(OptimizerBase&&) = default;
    ~OptimizerBase() = default;

    std::vector<Group>& groups() { return groups_; }
    const Group* group_data() const { return groups_.data(); }
    const Tensor* tensor_data() const { return tensors_.data(); }
    std::int64_t count() const { return static_cast<std::int64_t>(tensors_.size()); }
    cpu::Workspace workspace() const { return {workspace_.get()}; }
    /// Whether the workspace has as many bytes as a step needs. This is asserted.
    bool has_room(std::size_t bytes) const { return bytes <= workspace_room_; }
    double* number_data() { return numbers_.data(); }
    void require_group(std::size_t group) const {
        if (group < groups_.size()) return;
        throw std::invalid_argument("there is no group " + std::to_string(group) + ", only " +
                                    std::to_string(groups_.size()) +
                                    "; a shape with several axes is written {rows, columns}");
    }

    /// Raises an error unless the numbers of all groups can be used.
    void require_numbers() const {
        const cpu::FloatEnvironment environment;
        for (std::size_t i = 0; i < groups_.size(); ++i)
            detail::require_in_range(infos_[groups_[i].rule], groups_[i].hyper, i);
        if (!groups_.empty()) detail::require_agreement(infos_[first_rule()], groups_.data(), groups_.size());
    }

    void require_treatment(const Treatment& treatment) const {
        if (treatment.by_units)
            throw std::invalid_argument("a step does not clip by units, whose factors belong to tensors");
    }

    /// Adds a tensor, and makes its state. `measure(tensor)` returns the bytes of the workspace for a step of it alone.
    template <class Measure>
    std::size_t add_tensor(const Tensor& described, Measure&& measure) {
        const cpu::FloatEnvironment environment;
        detail::require_fit(described, label(size()));
        ranges_.require_apart(described, size());
        Tensor tensor = described;
        require_numbers();
        const Group& group = groups_[static_cast<std::size_t>(tensor.group)];
        tensor.step = tensor.first = 1;  // for measure()
        if (tensor.number == 0) tensor.number = static_cast<std::uint32_t>(size());
        std::unique_ptr<Slab> memory = detail::make_state(tensor, rule_info(tensor), group.hyper);
        tensor.grad = &tensor;  // as if there were a gradient
        const std::size_t bytes = workspace_bytes_ + bytes_beside_others(measure(tensor));
        tensor.grad = nullptr;
        tensor.step = 0;
        std::vector<double> numbers = numbers_;
        if (tensors_.empty()) numbers = first_numbers(group);
        ranges_.make_room();
        make_room(tensors_);
        make_room(memory_);
        grow_workspace(bytes);

        ranges_.add(tensor, size());
        tensors_.push_back(tensor);
        memory_.push_back(std::move(memory));
        workspace_bytes_ = bytes;
        numbers_.swap(numbers);
        return tensors_.size() - 1;
    }

    /// Takes the gradients of a step, one for each tensor, and counts it, unless this throws.
    template <class Grads>
    void take(const Grads& grads) {
        std::size_t count = 0;
        try {
            for (const auto& each : grads) {
                if (count < tensors_.size()) take(count, each);
                ++count;
            }
            require_count(count);
        } catch (...) {
            for (std::size_t i = 0; i < count && i < tensors_.size(); ++i) count_update(tensors_[i], -1);
            throw;
        }
        ++completed_;
    }
    void take_one(const Grad& grad) {
        require_count(1);
        take(0, grad);
        ++completed_;
    }

private:
    std::string label(std::size_t tensor) const { return "tensor " + std::to_string(tensor); }
    std::size_t first_rule() const { return groups_.empty() ? 0 : groups_.front().rule; }
    const RuleInfo& rule_info(const Tensor& tensor) const {
        return infos_[rule_of(infos_, groups_[static_cast<std::size_t>(tensor.group)].rule, tensor)];
    }

    void require_count(std::size_t grads) const {
        if (grads == tensors_.size()) return;
        throw std::invalid_argument("there are " + std::to_string(tensors_.size()) + " tensors and " +
                                    std::to_string(grads) + " gradients");
    }

    void take(std::size_t i, const Grad& grad) {
        Tensor& tensor = tensors_[i];
        if (grad.size != Grad::unknown && grad.size != tensor.size)
            throw std::invalid_argument(label(i) + " has " + std::to_string(tensor.size) +
                                        " elements, and its gradient " + std::to_string(grad.size) +
                                        "; where there is no gradient, pass nullptr");
        tensor.grad = grad.data;
        tensor.grad_dtype = grad.dtype;
        count_update(tensor, 1);
    }
    /// A loop of its own over thousands of tensors would miss caches.
    static void count_update(Tensor& tensor, int by) { tensor.step += tensor.grad ? by : 0; }

    std::vector<double> first_numbers(const Group& group) const {
        const RuleInfo& rule = infos_[group.rule];
        std::vector<double> numbers;
        for (std::size_t k = 0; k < rule.number_count; ++k) numbers.push_back(rule.first_number(group.hyper, k));
        return numbers;
    }

    /// What a tensor adds to the workspace of a step of all, at most. A step of it alone needs `bytes`.
    std::size_t bytes_beside_others(std::size_t bytes) const {
        constexpr auto once = static_cast<std::size_t>(cpu::detail::places_at);
        const std::size_t place = 16 + sizeof(cpu::detail::Place);
        if (bytes == 0) return workspace_bytes_ == 0 ? 0 : place;
        return workspace_bytes_ == 0 ? bytes + tensors_.size() * place : bytes - once;
    }

    /// Grows by more than is needed, so that adding many tensors takes few allocations.
    void grow_workspace(std::size_t bytes) {
        if (bytes <= workspace_room_) return;
        const std::size_t room = std::max(bytes, workspace_room_ + workspace_room_ / 4);
        workspace_.reset(new std::byte[room]);
        workspace_room_ = room;
    }

    template <class T>
    static void make_room(std::vector<T>& items) {
        if (items.size() == items.capacity()) items.reserve(2 * items.size() + 1);
    }

    const RuleInfo* infos_;
    std::vector<Group> groups_;
    std::vector<Tensor> tensors_;  ///< `step` counts the updates done, and in a step the one that is being done
    std::vector<std::unique_ptr<Slab>> memory_;
    detail::Ranges ranges_;
    std::vector<double> numbers_;
    std::unique_ptr<std::byte[]> workspace_;
    std::size_t workspace_bytes_ = 0, workspace_room_ = 0;
    std::int64_t completed_ = 0;
};

}  // namespace adamcore
