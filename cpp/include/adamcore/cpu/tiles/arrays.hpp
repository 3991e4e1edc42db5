#pragma once

#include <cstddef>
#include <cstdint>

#include "adamcore/cpu/access.hpp"
#include "adamcore/cpu/arrays.hpp"
#include "adamcore/cpu/state.hpp"
#include "adamcore/cpu/tiles/lines.hpp"
#include "adamcore/cpu/weights.hpp"
#include "adamcore/tensor.hpp"

ADAMCORE_LOOPS_BEGIN

/// The arrays of a tensor in tiles of the compute type. Only this file and those that it includes handle precision,
/// layouts, rows and columns, and clipping by value.
namespace adamcore::cpu::detail {

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

    /// Prefetches the next tile, if it will be copied.
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

/// The arrays of one tensor that a kernel reads or writes, for one ISA and compute type. What is read is decoded into
/// buffers that stay in the first-level cache, unless the array itself serves, and what is written is encoded back.
template <class Isa, class T>
class TileArrays {
public:
    /// Where a tile's elements are. Arrays that the kernel does not use are null.
    struct Tile {
        T* param;
        T* grad;
        void* state[max_slots];

        /// Goes on by `count` elements. A null array stays null.
        ADAMCORE_FN void move(std::int64_t count) {
            if (param) param += count;
            if (grad) grad += count;
            for (void*& array : state) {
                if (array) array = static_cast<T*>(array) + count;
            }
        }
    };

    TileArrays(const Access& access, const Tensor& tensor, double group_scale, Scale scale, const Treatment& treatment)
        : tensor_(tensor),
          treatment_(treatment),
          access_(access),
          prepares_(treatment.prepares() || !scale::is_normal<T>(group_scale * scale)),
          keeps_weights_(tensor.weights != WeightPolicy::plain && tensor.dtype != Dtype::float32 &&
                         tensor.dtype != Dtype::float64 && access.touches(rule::param)),
          draws_keys_(tensor.rounds_state_at_random() && (access.writes & ~(rule::param | rule::grad)) != 0) {
        const Scale whole = group_scale * scale;
        scale_ = treatment.prepares() ? scale : whole;
        kernel_scale_ = treatment.prepares() ? group_scale : prepares_ ? 1 : whole.number;
        const Layout layout = tensor.layout ? *tensor.layout : Layout{};
        param_ = {tensor.param, tensor.dtype, layout.param, param_buffer_, false};
        grad_ = {tensor.grad, tensor.grad_dtype, layout.grad, grad_buffer_, prepares_};
        for (; slots_ < max_slots && tensor.state[slots_]; ++slots_) {
            if (uses(access.numbers) || !access.touches(rule::slot(slots_))) continue;
            used_ |= 1u << slots_;
            if (!uses(access.rows | access.columns)) add_slot(uses(access.full) ? dtype_of<T> : tensor.state_dtype);
        }
        share_buffers();
    }

    /// The most elements that can be loaded together: more than a tile where nothing but rows and columns is copied.
    std::int64_t at_once() const { return at_once_; }

    /// By what the kernel multiplies gradients.
    double kernel_scale() const { return kernel_scale_; }

    /// Elements [begin, begin + count), which lie in one tile of the tensor or, if the kernel writes nothing, anywhere.
    ADAMCORE_FN Tile load(std::int64_t begin, std::int64_t count) {
        Tile at{};
        at.param = access_.touches(rule::param) ? param_.load(begin, count) : nullptr;
        at.grad = access_.touches(rule::grad) ? grad_.load(begin, count) : nullptr;
        for (std::size_t slot = 0; slot < slots_; ++slot) at.state[slot] = load_slot(slot, begin, count);
        if (prepares_ && at.grad) prepare(begin, count);
        if (keeps_weights_) with_extras([&](auto extras) { extras.recover(tensor_, begin, count, at.param); });
        ask_for_next(begin);
        return at;
    }

    ADAMCORE_FN void store(std::int64_t begin, std::int64_t count) {
        // State is decoded first, so that it is there while the divisions, on which the weights depend, are under way.
        if (draws_keys_) draw_keys(begin);
        for (std::size_t slot = 0; slot < slots_; ++slot) {
            if ((access_.writes & rule::slot(slot)) != 0 && (used_ >> slot & 1) != 0) store_slot(slot, begin, count);
        }
        if ((access_.writes & rule::param) == 0) return;
        if (keeps_weights_) {
            with_extras([&](auto extras) { store_weights(extras, begin, count); });
        } else {
            param_.store(begin, count);
        }
    }

private:
    /// State of double is never decoded, since it is not stored in other types, nor rounded. Rows and columns are copied.
    static constexpr std::size_t key_quartets = sizeof(T) == 8 ? 1 : max_slots / state::quartet_size;
    static constexpr std::size_t most_buffers = sizeof(T) == 8 ? most_lines : max_slots;
    static constexpr std::size_t most_tiles = 16;  ///< that are loaded together where nothing is copied

    ADAMCORE_FN bool uses(unsigned slots) const { return (slots >> slots_ & 1) != 0; }

    ADAMCORE_FN void add_slot(Dtype dtype) {
        T* const buffer = dtype == dtype_of<T> ? nullptr : state_buffers_[buffers_++];
        state_[slots_] = {tensor_.state[slots_], dtype, {}, buffer, false};
        store_state_[slots_] = State<Isa>::store(dtype, uses(access_.nonnegative), tensor_.state_rounding);
    }

    /// Divides the buffers that are left among rows and columns.
    void share_buffers() {
        const unsigned lines = used_ & (access_.rows | access_.columns);
        std::size_t count = 0;
        for (std::size_t slot = 0; slot < slots_; ++slot) count += lines >> slot & 1;
        const std::size_t share = count > 0 ? (most_buffers - buffers_) / count : most_tiles;
        const bool copies_param = access_.touches(rule::param) && param_.buffer;
        const bool copies_grad = access_.touches(rule::grad) && grad_.buffer;
        if (buffers_ == 0 && !copies_param && !copies_grad) at_once_ = static_cast<std::int64_t>(share) * tile;
        for (std::size_t slot = 0; slot < slots_; ++slot) {
            if ((lines >> slot & 1) == 0) continue;
            state_[slot].buffer = state_buffers_[buffers_];
            buffers_ += share;
        }
    }

    ADAMCORE_FN void* load_slot(std::size_t slot, std::int64_t begin, std::int64_t count) {
        if ((used_ >> slot & 1) == 0) return nullptr;
        if ((access_.rows >> slot & 1) != 0)
            return Lines<Isa, T>::rows(tensor_, tensor_.state[slot], begin, count, state_[slot].buffer, filled_[slot]);
        if ((access_.columns >> slot & 1) != 0)
            return Lines<Isa, T>::columns(tensor_, tensor_.state[slot], begin, count, state_[slot].buffer);
        return state_[slot].load(begin, count);
    }

    ADAMCORE_FN void store_slot(std::size_t slot, std::int64_t begin, std::int64_t count) {
        if constexpr (sizeof(T) == 4) {
            const std::uint32_t key =
                draws_keys_ ? keys_[slot / state::quartet_size][slot % state::quartet_size][begin % state::row / tile]
                            : 0;
            if (store_state_[slot])
                return store_state_[slot](state_[slot].buffer, begin, count, key, tensor_.state[slot]);
        }
        state_[slot].store(begin, count);
    }

    /// The keys of many tiles at a time.
    void draw_keys(std::int64_t begin) {
        const std::int64_t row = state::row_of(begin, 0);
        if (row == row_) return;
        row_ = row;
        const rounding::Stream stream{treatment_.seed, static_cast<std::uint64_t>(tensor_.step), tensor_.number};
        for (std::size_t quartet = 0; quartet < key_quartets && quartet * state::quartet_size < slots_; ++quartet)
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
        if (access_.touches(rule::param)) param_.ask(begin);
        if (access_.touches(rule::grad)) grad_.ask(begin);
        const unsigned asked = used_ & ~(access_.rows | access_.columns);
        for (std::size_t slot = 0; slot < slots_; ++slot) {
            if (asked >> slot & 1) state_[slot].ask(begin);
        }
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
    const Access access_;
    Scale scale_;
    double kernel_scale_;
    bool prepares_;  ///< whether gradients are scaled before the kernel sees them
    bool keeps_weights_, draws_keys_;
    Operand<Isa, T> param_, grad_, state_[max_slots];
    StoreState store_state_[max_slots];
    std::size_t slots_ = 0, buffers_ = 0;
    unsigned used_ = 0;  ///< a bit for each slot
    std::int64_t at_once_ = tile;
    FilledRow filled_[max_slots];
    std::int64_t row_ = 0;  ///< of which keys_ are
    alignas(64) std::uint32_t keys_[key_quartets][state::quartet_size][rounding::row];
    alignas(64) T param_buffer_[tile];
    alignas(64) T grad_buffer_[tile];
    alignas(64) T state_buffers_[most_buffers][tile];
};

/// Calls `f(begin, count)` for the tiles of elements [begin, end), which are counted from element `origin`.
template <class F>
ADAMCORE_FN void for_each_tile(std::int64_t origin, std::int64_t begin, std::int64_t end, std::int64_t size, F&& f) {
    for (std::int64_t at = begin, next; at < end; at = next) {
        next = math::min(end, origin + ((at - origin) / size + 1) * size);
        f(at, next - at);
    }
}

}  // namespace adamcore::cpu::detail

ADAMCORE_LOOPS_END
