#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/arrays.hpp"
#include "adamcore/cpu/state.hpp"
#include "adamcore/cpu/sweep.hpp"
#include "adamcore/cpu/weights.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

/// Updates arrays that a rule cannot process in place. Each tile is decoded into buffers of the compute type, which
/// stay in the first-level cache, and the results are encoded back. Only this file handles precision, layouts and
/// clipping by value; rules are passed as function pointers.
namespace adamcore::cpu {

/// Updates elements [begin, end) of `tensor` with a rule's sweep and its constants; `begin` is a multiple of 64. The
/// gradient is first processed as `treatment` says, with `scale` as its scale for this tensor, and then multiplied by
/// `group_scale`.
using TileSweep = void (*)(DenseSweep rule, const void* constants, const Tensor& tensor, std::int64_t begin,
                           std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept;

namespace detail {

/// An array in tiles of T: accessed in place, or through a buffer.
template <class Isa, class T>
struct Operand {
    using Whole = WholeTiles<Isa, T>;

    char* data;
    Dtype dtype;
    std::int64_t item;
    Axes axes;
    T* buffer;  ///< null where the array itself serves
    typename Whole::Decode decode;
    typename Whole::Encode encode;

    Operand() = default;
    Operand(const void* array, Dtype type, const Axes& walked, T* own_buffer, bool must_copy)
        : data(static_cast<char*>(const_cast<void*>(array))),
          dtype(type),
          item(visit(type, [](auto x) -> std::int64_t { return sizeof x; })),
          axes(walked),
          buffer(must_copy || type != dtype_of<T> || axes.count != 0 ? own_buffer : nullptr),
          decode(Whole::decoder(type)),
          encode(Whole::encoder(type)) {}

    T* load(std::int64_t begin, std::int64_t count) const {
        char* at = data + begin * item;
        if (!buffer) return reinterpret_cast<T*>(at);
        if (count == tile && axes.count == 0) {
            decode(at, buffer);
        } else {
            Arrays<Isa>::load(data, dtype, axes, begin, count, buffer);
        }
        return buffer;
    }

    /// Prefetches the next tile.
    ADAMCORE_FN void ask(std::int64_t begin) const {
        if (buffer && axes.count == 0) prefetch(data + (begin + tile) * item, tile * item);
    }

    void store(std::int64_t begin, std::int64_t count) const {
        if (!buffer) return;
        if (count == tile && axes.count == 0) {
            encode(buffer, data + begin * item);
        } else {
            Arrays<Isa>::store(buffer, data, dtype, axes, begin, count);
        }
    }
};

/// The tiles of one tensor, for one ISA and compute type.
template <class Isa, class T>
struct Tiles {
    static void sweep(DenseSweep rule, const void* constants, const Tensor& tensor, std::int64_t begin,
                      std::int64_t end, double group_scale, Scale scale, const Treatment& treatment) noexcept {
        const Scale whole = group_scale * scale;
        const bool fits = scale::is_normal<T>(whole);
        Tiles tiles(rule, tensor, treatment, treatment.prepares() ? scale : whole, treatment.prepares() || !fits);
        const double rule_scale = treatment.prepares() ? group_scale : fits ? whole.number : 1;
        for (std::int64_t at = begin, next; at < end; at = next) {
            next = math::min(end, (at / tile + 1) * tile);
            tiles.update(rule, constants, rule_scale, at, next - at);
        }
    }

private:
    Tiles(const DenseSweep& rule, const Tensor& tensor, const Treatment& treatment, Scale scale, bool prepares)
        : tensor_(tensor),
          treatment_(treatment),
          scale_(scale),
          prepares_(prepares),
          keeps_weights_(tensor.weights != WeightPolicy::plain && tensor.dtype != Dtype::float32 &&
                         tensor.dtype != Dtype::float64),
          draws_keys_(tensor.rounds_state_at_random()) {
        const Layout layout = tensor.layout ? *tensor.layout : Layout{};
        param_ = {tensor.param, tensor.dtype, layout.param, param_buffer_, false};
        grad_ = {tensor.grad, tensor.grad_dtype, layout.grad, grad_buffer_, prepares_};
        while (slots_ < max_slots && tensor.state[slots_]) {
            state_[slots_] = {tensor.state[slots_], tensor.state_dtype, {}, state_buffers_[slots_], false};
            const bool is_square = (rule.nonnegative >> slots_ & 1) != 0;
            store_state_[slots_] = State<Isa>::store(tensor.state_dtype, is_square, tensor.state_rounding);
            ++slots_;
        }
    }

    void update(DenseSweep rule, const void* constants, double rule_scale, std::int64_t begin, std::int64_t count) {
        T* param = param_.load(begin, count);
        T* grad = grad_.load(begin, count);
        void* state[max_slots];
        for (std::size_t slot = 0; slot < slots_; ++slot) state[slot] = state_[slot].load(begin, count);
        if (prepares_) prepare(begin, count);
        if (keeps_weights_) with_extras([&](auto extras) { extras.recover(tensor_, begin, count, param); });

        ask_for_next(begin);
        rule(constants, rule_scale, count, param, grad, state);

        // State is decoded first, so that it is there while the divisions, on which the weights depend, are under way.
        if (draws_keys_) draw_keys(begin);
        for (std::size_t slot = 0; slot < slots_; ++slot) store_state(slot, begin, count);
        if (keeps_weights_) {
            with_extras([&](auto extras) { store_weights(extras, begin, count); });
        } else {
            param_.store(begin, count);
        }
    }

    ADAMCORE_FN void store_state(std::size_t slot, std::int64_t begin, std::int64_t count) {
        if constexpr (sizeof(T) == 4) {
            const std::uint32_t key =
                draws_keys_ ? keys_[slot / state::quartet_size][slot % state::quartet_size][begin % state::row / tile]
                            : 0;
            if (store_state_[slot])
                return store_state_[slot](state_buffers_[slot], begin, count, key, tensor_.state[slot]);
        }
        state_[slot].store(begin, count);
    }

    /// The keys of many tiles at a time.
    void draw_keys(std::int64_t begin) {
        const std::int64_t row = state::row_of(begin, 0);
        if (row == row_) return;
        row_ = row;
        const rounding::Stream stream{treatment_.seed, static_cast<std::uint64_t>(tensor_.step), tensor_.number};
        for (std::size_t quartet = 0; quartet * state::quartet_size < slots_; ++quartet)
            convert::random_block(stream, state::row_of(begin, quartet), keys_[quartet]);
    }

    template <class Stored>
    void store_weights(Extras<Isa, Stored> extras, std::int64_t begin, std::int64_t count) {
        if (param_.axes.count == 0) {
            extras.store(tensor_, begin, count, treatment_.seed, param_buffer_,
                         static_cast<Stored*>(tensor_.param) + begin);
            return;
        }
        alignas(64) Stored stored[tile];
        extras.store(tensor_, begin, count, treatment_.seed, param_buffer_, stored);
        convert::decode(stored, count, param_buffer_);
        param_.store(begin, count);
    }

    ADAMCORE_FN void ask_for_next(std::int64_t begin) const {
        param_.ask(begin);
        grad_.ask(begin);
        for (std::size_t slot = 0; slot < slots_; ++slot) state_[slot].ask(begin);
        if (!keeps_weights_ || !tensor_.extra[0]) return;
        const std::int64_t item = tensor_.weights == WeightPolicy::master ? 4 : 2;
        prefetch(static_cast<const char*>(tensor_.extra[0]) + (begin + tile) * item, tile * item);
    }

    /// Calls `f` with the Extras of a half-precision parameter.
    template <class F>
    void with_extras([[maybe_unused]] F&& f) const {
        if constexpr (sizeof(T) == 4) {
            if (tensor_.dtype == Dtype::bfloat16) f(Extras<Isa, bfloat16>{});
            if (tensor_.dtype == Dtype::float16) f(Extras<Isa, float16>{});
        }
    }

    /// Scales the gradient, unit by unit if there are unit factors, and clips it to its limit.
    void prepare(std::int64_t begin, std::int64_t count) {
        for (std::int64_t at = 0, next; at < count; at = next) {
            Scale factor = scale_;
            next = count;
            if (treatment_.by_units) {
                const std::int64_t unit = (begin + at) / tensor_.unit_size;
                factor = factor * tensor_.unit_factors[unit];
                next = math::min(count, (unit + 1) * tensor_.unit_size - begin);
            }
            Arrays<Isa>::scale_and_clip(grad_buffer_ + at, next - at, factor, treatment_.limit);
        }
    }

    const Tensor& tensor_;
    const Treatment& treatment_;
    Scale scale_;
    bool prepares_;  ///< whether gradients are scaled before the rule's sweep
    bool keeps_weights_, draws_keys_;
    Operand<Isa, T> param_, grad_, state_[max_slots];
    StoreState store_state_[max_slots];
    std::size_t slots_ = 0;
    std::int64_t row_ = 0;  ///< of which keys_ are
    alignas(64) std::uint32_t keys_[max_slots / state::quartet_size][state::quartet_size][rounding::row];
    alignas(64) T param_buffer_[tile];
    alignas(64) T grad_buffer_[tile];
    alignas(64) T state_buffers_[max_slots][tile];
};

}  // namespace detail

template <class Isa, class T>
inline constexpr TileSweep tile_sweep = detail::Tiles<Isa, T>::sweep;

}  // namespace adamcore::cpu

ADAMCORE_LOOPS_END
