#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "adamcore/cuda/elements/operands.hpp"
#include "adamcore/cuda/elements/spots.hpp"
#include "adamcore/cuda/weights.hpp"

namespace adamcore::cuda {

/// How a kernel uses the arrays of a rule: what it reads and writes (rule::param, ...), whether all of them are dense
/// and of the compute type, and whether its blocks draw the numbers for rounding at random before they visit a tile.
template <class A, unsigned Reads, unsigned Writes, bool IsDense, bool DrawsAhead>
struct Access {
    using Arguments = A;
    static constexpr unsigned reads = Reads, writes = Writes;
    static constexpr bool is_dense = IsDense, draws_ahead = DrawsAhead;
};

/// Loads and stores elements of a tensor's arrays, as far as they are read and written.
template <class Rule, class T, class Access, class = std::make_index_sequence<operand_count<Rule>>>
struct Arrays;

template <class Rule, class T, class Access, std::size_t... I>
struct Arrays<Rule, T, Access, std::index_sequence<I...>> {
    static constexpr std::size_t slots = sizeof...(I);
    static constexpr bool is_dense = Access::is_dense;
    static constexpr bool has_lines =
        ((!Operand<Rule, I>::is_of_elements && (Access::reads & Operand<Rule, I>::bit) != 0) || ...);
    static constexpr bool reads_grad = (Access::reads & rule::grad) != 0;
    static constexpr bool writes_param = (Access::writes & rule::param) != 0;
    /// (An L2 term reads the parameter.)
    static constexpr bool may_have_l2 = rule::has_l2<typename Rule::template Step<T>>::value && reads_grad;
    static constexpr bool reads_param = (Access::reads & rule::param) != 0 || may_have_l2 || writes_param;

    template <std::size_t K>
    static constexpr bool is_read = Operand<Rule, K>::is_of_elements && (Access::reads & Operand<Rule, K>::bit) != 0;
    template <std::size_t K>
    static constexpr bool is_written = Operand<Rule, K>::is_of_elements &&
                                       (Access::writes & Operand<Rule, K>::bit) != 0;
    /// Whether N elements of a gradient are Raw. A single one may be of any dtype, and anywhere.
    template <int N>
    static constexpr bool is_near = N > 1 || is_dense;
    /// Whether arrays that are written may be of half precision.
    static constexpr bool writes_halves =
        sizeof(T) == 4 && !is_dense && ((is_written<I> && !Operand<Rule, I>::is_full) || ...);

    /// N elements of all arrays of a tensor.
    template <int N>
    struct Group {
        Raw<T, N> grad, param, state[slots + 1];
        T far_grad[1];  ///< of one element of an array that may be of any dtype
        Kept<N> kept;
    };

    ADAMCORE_FN static Dtype param_dtype(const Tensor& tensor) { return is_dense ? dtype_of<T> : tensor.dtype; }
    ADAMCORE_FN static Dtype grad_dtype(const Tensor& tensor) { return is_dense ? dtype_of<T> : tensor.grad_dtype; }
    template <std::size_t K>
    ADAMCORE_FN static Dtype slot_type(const Tensor& tensor) {
        return is_dense || Operand<Rule, K>::is_full ? dtype_of<T> : tensor.state_dtype;
    }

    /// Whether all arrays are dense and have dtypes of which a whole group of elements can be Raw.
    ADAMCORE_FN static bool is_plain(const Tensor& tensor) {
        return is_dense || (!tensor.layout && is_usual<T>(tensor.grad_dtype) && is_usual<T>(tensor.dtype) &&
                            is_usual<T>(tensor.state_dtype));
    }

    /// Requests all that is read of a spot.
    template <class Spot>
    ADAMCORE_FN static void load(const Tensor& tensor, const void* grad, const Spot& spot, Group<Spot::size>& group) {
        // The addresses of the arrays are read before the elements of the first one: elements are far away, addresses
        // are near.
        const Places places = Places::of(tensor);
        if constexpr (reads_grad) {
            if constexpr (is_near<Spot::size>) {
                spot.load(group.grad, grad, grad_dtype(tensor));
            } else {
                const Axes axes = tensor.layout ? tensor.layout->grad : Axes{};
                read_each(grad, tensor.grad_dtype, axes, spot.element(0), 1, group.far_grad);
            }
        }
        if constexpr (reads_param) load_param(tensor, places.param, spot, group);
        (load_slot<I>(tensor, places, spot, group), ...);
        if constexpr (sizeof(T) == 4 && reads_param) {
            group.kept.raw.clear();
            if (keeps<Spot::size>(tensor)) load_kept(tensor, places, spot, group);
        }
    }

    /// Stores what is written.
    template <class Spot>
    ADAMCORE_FN static void store(const Tensor& tensor, const Spot& spot, const Group<Spot::size>& group) {
        const Places places = Places::of(tensor);
        (store_slot<I>(tensor, places, spot, group), ...);
        if constexpr (writes_param) {
            if (keeps<Spot::size>(tensor)) group.kept.store_to(places.extra, tensor.weights, spot.element(0));
            store_param(tensor, places.param, spot, group);
        }
    }

    /// The elements of arrays of rows and of columns that belong to a cell.
    template <int N>
    ADAMCORE_FN static void look_up(const Tensor& tensor, const Cell& cell, int k, T (&state)[slots + 1][N]) {
        (look_up_one<I>(tensor, cell, state[I][k]), ...);
    }

private:
    /// The arrays of a tensor.
    struct Places {
        void* param;
        void* state[slots + 1];
        void* extra[2];

        ADAMCORE_FN static Places of(const Tensor& tensor) {
            return {tensor.param, {tensor.state[Operand<Rule, I>::place]...}, {tensor.extra[0], tensor.extra[1]}};
        }
    };

    template <int N>
    ADAMCORE_FN static bool keeps(const Tensor& tensor) {
        return sizeof(T) == 4 && !is_dense && Kept<N>::any_of(tensor);
    }

    /// Where element `at` of a parameter with a layout is. Only single elements may be anywhere.
    ADAMCORE_FN static void* far_param(const Tensor& tensor, void* array, std::int64_t at) {
        return static_cast<char*>(array) +
               offset_of(tensor.layout->param, static_cast<std::int64_t>(size_of(tensor.dtype)), at);
    }
    template <class Spot>
    ADAMCORE_FN static void load_param(const Tensor& tensor, void* array, const Spot& spot, Group<Spot::size>& group) {
        if constexpr (!is_near<Spot::size>) {
            if (tensor.layout)
                return Neighbours<1>{0}.load(group.param, far_param(tensor, array, spot.element(0)), tensor.dtype);
        }
        spot.load(group.param, array, param_dtype(tensor));
    }
    template <class Spot>
    ADAMCORE_FN static void store_param(const Tensor& tensor, void* array, const Spot& spot,
                                        const Group<Spot::size>& group) {
        if constexpr (!is_near<Spot::size>) {
            if (tensor.layout)
                return Neighbours<1>{0}.store(group.param, far_param(tensor, array, spot.element(0)), tensor.dtype);
        }
        spot.store(group.param, array, param_dtype(tensor));
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void load_slot(const Tensor& tensor, const Places& places, const Spot& spot,
                                      Group<Spot::size>& group) {
        if constexpr (is_read<K>) spot.load(group.state[K], places.state[K], slot_type<K>(tensor));
    }
    template <std::size_t K, class Spot>
    ADAMCORE_FN static void store_slot(const Tensor& tensor, const Places& places, const Spot& spot,
                                       const Group<Spot::size>& group) {
        if constexpr (is_written<K>) spot.store(group.state[K], places.state[K], slot_type<K>(tensor));
    }
    template <class Spot>
    ADAMCORE_FN static void load_kept(const Tensor& tensor, const Places& places, const Spot& spot,
                                      Group<Spot::size>& group) {
        if constexpr (std::is_same_v<Spot, Neighbours<Spot::size>>) {
            group.kept.load_from(places.extra, tensor.weights, spot.begin);
        } else {
            group.kept.load_at(places.extra, tensor.weights, spot);
        }
    }
    template <std::size_t K>
    ADAMCORE_FN static void look_up_one(const Tensor& tensor, const Cell& cell, T& to) {
        if constexpr (!Operand<Rule, K>::is_of_elements && (Access::reads & Operand<Rule, K>::bit) != 0) {
            const T* const from = global(static_cast<const T*>(tensor.state[Operand<Rule, K>::place]));
            to = from[Operand<Rule, K>::is_of_rows ? cell.row : cell.begin + cell.column];
        }
    }
};

}  // namespace adamcore::cuda
