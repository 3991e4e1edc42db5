#pragma once

#include <cstdint>

#include "adamcore/cuda/access.hpp"
#include "adamcore/gradient.hpp"
#include "adamcore/storage/rounding.hpp"
#include "common/before.hpp"
#include "common/kernel.hpp"

/// E3, as the engine had it: arrays of any type, each decoded before the next is asked for. Strided arrays are left out.
namespace adamcore::experiments {

inline constexpr int eight = 8;
inline constexpr int stored_tile = 4096;

ADAMCORE_FN bool counts_from_start(WeightPolicy weights) {
    return weights == WeightPolicy::remainder || weights == WeightPolicy::stochastic;
}

/// Of eight elements the first `count`.
template <class T>
ADAMCORE_FN void load_some(const T* from, int count, T (&to)[eight]) {
    if (count == eight) return cuda::load(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < eight; ++k) {
        if (k < count) to[k] = from[k];
    }
}

template <class T>
ADAMCORE_FN void store_some(const T (&from)[eight], int count, T* to) {
    if (count == eight) return cuda::store(from, to);
    ADAMCORE_UNROLL
    for (int k = 0; k < eight; ++k) {
        if (k < count) to[k] = from[k];
    }
}

/// One block's part of a tensor, and what is known of the step.
struct StoredPart {
    const Tensor* tensor;
    const void* grad;
    const Constants* constants;
    double scale, limit;
    std::uint64_t seed;
    bool by_units;
    std::int64_t first, count;
    int head;

    /// The engine divides by the size of an item, which takes a hundred instructions; a shift does the same.
    template <bool divides>
    ADAMCORE_FN static StoredPart of(const UpdateArguments& a, Tile tile) {
        const Tensor& tensor = a.tensors[tile.tensor];
        const double scale = a.tensor_factors ? a.control->scale * a.tensor_factors[tile.tensor] : a.control->scale;
        const bool free_start = !(is_half(tensor.dtype) && counts_from_start(tensor.weights));
        const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(tensor.param));
        const auto item = static_cast<std::int64_t>(size_of(tensor.dtype));
        const std::int64_t place = divides ? address / item : address >> (is_half(tensor.dtype) ? 1 : 2);
        const std::int64_t before = free_start ? (eight - place % eight) % eight : 0;
        const std::int64_t head = math::min(before, tensor.size);
        const std::int64_t first = head + std::int64_t{tile.index} * stored_tile;
        return {&tensor,
                a.grads[tile.tensor],
                a.constants + tensor.group,
                scale,
                a.limit,
                a.seed,
                a.by_units,
                first,
                math::min<std::int64_t>(stored_tile, tensor.size - first),
                tile.index == 0 ? static_cast<int>(head) : 0};
    }

    ADAMCORE_FN bool prepares() const { return by_units || limit < Treatment::no_limit; }

    /// Scales gradients, by units if they have factors, and holds them to their limit.
    template <int N>
    ADAMCORE_FN void prepare(std::int64_t begin, float (&g)[N]) const {
        const float most = gradient::limit_in<float>(limit);
        ADAMCORE_UNROLL
        for (int k = 0; k < N; ++k) {
            const std::int64_t element = math::min(begin + k, tensor->size - 1);
            const double factor =
                by_units ? scale * scale::value(tensor->unit_factors[element / tensor->unit_size]) : scale;
            g[k] = gradient::held(g[k] * static_cast<float>(factor), most);
        }
    }

    ADAMCORE_FN rounding::Stream stream() const {
        return {seed, static_cast<std::uint64_t>(constants->count), tensor->number};
    }
};

struct StoredBase {
    using Arguments = UpdateArguments;

    static constexpr int threads = 256, resident = 2;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (a.control->skip) return;
        const Tile tile = a.tiles[at.block];
        if (!a.grads[tile.tensor]) return;
        run(StoredPart::of<true>(a, tile), at.thread);
    }

    /// All of a part.
    ADAMCORE_FN static void run(const StoredPart& part, int thread) {
        for (std::int64_t begin = std::int64_t{thread} * eight; begin < part.count; begin += threads * eight)
            update(part, part.first + begin, static_cast<int>(math::min<std::int64_t>(eight, part.count - begin)));
        if (part.head > 0 && thread == threads - 1) update(part, 0, part.head);
    }

private:
    ADAMCORE_FN static void update(const StoredPart& part, std::int64_t begin, int count) {
        const Tensor& tensor = *part.tensor;
        float param[eight], grad[eight], first[eight], second[eight];
        read(part.grad, tensor.grad_dtype, begin, count, grad);
        read(tensor.param, tensor.dtype, begin, count, param);
        read(tensor.state[0], tensor.state_dtype, begin, count, first);
        read(tensor.state[1], tensor.state_dtype, begin, count, second);

        const bool prepares = part.prepares();
        if (prepares) part.prepare(begin, grad);
        const double scale = prepares ? part.constants->grad_scale : part.constants->grad_scale * part.scale;
        with_kept(tensor, begin, count, [&](const auto& kept) { kept.recover(param); });
        apply(*part.constants, static_cast<float>(scale), grad, param, first, second);

        write(first, tensor.state[0], tensor.state_dtype, begin, count);
        write(second, tensor.state[1], tensor.state_dtype, begin, count);
        const bool is_kept = with_kept(tensor, begin, count, [&](const auto& kept) { kept.keep(part, param); });
        if (!is_kept) write(param, tensor.param, tensor.dtype, begin, count);
    }

    ADAMCORE_FN static void apply(const Constants& constants, float scale, const float (&grad)[eight],
                                  float (&param)[eight], float (&first)[eight], float (&second)[eight]) {
        const auto step = *reinterpret_cast<const before::AdamW::Step<float>*>(constants.step.bytes);
        const auto with = [&](auto has_l2) {
            ADAMCORE_UNROLL
            for (int k = 0; k < eight; ++k)
                AdamW::update<float>(step, gradient::seen<has_l2.value>(step, grad[k], scale, param[k]), param[k],
                                     first[k], second[k]);
        };
        if (step.l2 != 0) return with(std::true_type{});
        with(std::false_type{});
    }

    template <class F>
    ADAMCORE_FN static bool visit_usual(Dtype dtype, F&& f) {
        if (dtype == Dtype::float32) {
            f(float{});
        } else if (dtype == Dtype::bfloat16) {
            f(bfloat16{});
        } else if (dtype == Dtype::float16) {
            f(float16{});
        } else {
            return false;
        }
        return true;
    }

    ADAMCORE_AWAY static void read_each(const void* data, Dtype dtype, std::int64_t begin, int count, float* to) {
        visit(dtype, [&](auto x) {
            const auto* from = cuda::global(static_cast<const decltype(x)*>(data)) + begin;
            for (int k = 0; k < count; ++k) to[k] = static_cast<float>(storage::decode(from[k]));
        });
    }

    ADAMCORE_AWAY static void write_each(const float* from, void* data, Dtype dtype, std::int64_t begin, int count) {
        visit(dtype, [&](auto x) {
            using Stored = decltype(x);
            if constexpr (sizeof(Stored) < 8) {
                auto* to = cuda::global(static_cast<Stored*>(data)) + begin;
                for (int k = 0; k < count; ++k) to[k] = storage::encode<Stored>(from[k]);
            }
        });
    }

    ADAMCORE_FN static void read(const void* data, Dtype dtype, std::int64_t begin, int count, float (&to)[eight]) {
        const bool is_usual = count == eight && visit_usual(dtype, [&](auto x) {
                                  using Stored = decltype(x);
                                  Stored stored[eight];
                                  cuda::load(cuda::global(static_cast<const Stored*>(data)) + begin, stored);
                                  ADAMCORE_UNROLL
                                  for (int k = 0; k < eight; ++k) to[k] = storage::decode(stored[k]);
                              });
        if (is_usual) return;
        float each[eight] = {};
        read_each(data, dtype, begin, count, each);
        ADAMCORE_UNROLL
        for (int k = 0; k < eight; ++k) to[k] = each[k];
    }

    ADAMCORE_FN static void write(const float (&from)[eight], void* data, Dtype dtype, std::int64_t begin, int count) {
        const bool is_usual = count == eight && visit_usual(dtype, [&](auto x) {
                                  using Stored = decltype(x);
                                  Stored stored[eight];
                                  ADAMCORE_UNROLL
                                  for (int k = 0; k < eight; ++k) stored[k] = storage::encode<Stored>(from[k]);
                                  cuda::store(stored, cuda::global(static_cast<Stored*>(data)) + begin);
                              });
        if (is_usual) return;
        float each[eight];
        ADAMCORE_UNROLL
        for (int k = 0; k < eight; ++k) each[k] = from[k];
        write_each(each, data, dtype, begin, count);
    }

    ADAMCORE_AWAY static std::uint32_t random_word(const rounding::Stream& stream, std::int64_t element) {
        const auto place = static_cast<std::uint32_t>(element % rounding::block);
        std::uint32_t words[4];
        rounding::random_words(stream, element / rounding::block, place % (2 * rounding::row) / 2, words);
        const std::uint32_t word = place / (2 * rounding::row);
        return word < 2 ? (word == 0 ? words[0] : words[1]) : (word == 2 ? words[2] : words[3]);
    }

    template <class Stored>
    struct Kept {
        const Tensor& tensor;
        std::int64_t begin;
        int count;

        ADAMCORE_FN void recover(float (&weights)[eight]) const {
            if (tensor.weights == WeightPolicy::master) {
                float kept[eight] = {};
                load_some(cuda::global(static_cast<const float*>(tensor.extra[0])) + begin, count, kept);
                ADAMCORE_UNROLL
                for (int k = 0; k < eight; ++k)
                    weights[k] = storage::current_master(weights[k], storage::rounded<Stored>(kept[k]), kept[k]);
            } else if (tensor.weights == WeightPolicy::remainder) {
                std::uint16_t kept[eight] = {};
                load_some(cuda::global(static_cast<const std::uint16_t*>(tensor.extra[0])) + begin, count, kept);
                const unsigned ties = static_cast<const std::uint8_t*>(tensor.extra[1])[begin / 8];
                ADAMCORE_UNROLL
                for (int k = 0; k < eight; ++k) {
                    const float near = storage::with_remainder(weights[k], kept[k]);
                    const float whole = math::select((ties >> k & 1u) != 0, storage::as_tie(near), near);
                    weights[k] = storage::current_master(weights[k], storage::rounded<bfloat16>(whole), whole);
                }
            }
        }

        ADAMCORE_FN void keep(const StoredPart& part, const float (&weights)[eight]) const {
            Stored rounded[eight];
            if (tensor.weights == WeightPolicy::stochastic) {
                const rounding::Stream stream = part.stream();
                ADAMCORE_UNROLL
                for (int k = 0; k < eight; k += 2) {
                    const std::uint32_t word = random_word(stream, begin + k);
                    rounded[k] = at_random(weights[k], word & 0xffffu);
                    rounded[k + 1] = at_random(weights[k + 1], word >> 16);
                }
            } else {
                ADAMCORE_UNROLL
                for (int k = 0; k < eight; ++k) rounded[k] = storage::encode<Stored>(weights[k]);
                if (tensor.weights == WeightPolicy::master) {
                    store_some(weights, count, cuda::global(static_cast<float*>(tensor.extra[0])) + begin);
                } else if (tensor.weights == WeightPolicy::remainder) {
                    keep_remainders(weights);
                }
            }
            store_some(rounded, count, cuda::global(static_cast<Stored*>(tensor.param)) + begin);
        }

    private:
        ADAMCORE_FN static Stored at_random(float weight, std::uint32_t random) {
            return storage::encode_exact<Stored>(rounding::stochastic<Stored>(weight, random));
        }

        ADAMCORE_FN void keep_remainders(const float (&weights)[eight]) const {
            std::uint16_t kept[eight];
            unsigned ties = 0;
            ADAMCORE_UNROLL
            for (int k = 0; k < eight; ++k) {
                kept[k] = storage::remainder_of(weights[k]);
                if (k < count && storage::is_tie_rounded_down(weights[k])) ties |= 1u << k;
            }
            store_some(kept, count, cuda::global(static_cast<std::uint16_t*>(tensor.extra[0])) + begin);
            static_cast<std::uint8_t*>(tensor.extra[1])[begin / 8] = static_cast<std::uint8_t>(ties);
        }
    };

    template <class F>
    ADAMCORE_FN static bool with_kept(const Tensor& tensor, std::int64_t begin, int count, F&& f) {
        if (tensor.weights == WeightPolicy::plain || !is_half(tensor.dtype)) return false;
        if (tensor.dtype == Dtype::bfloat16) {
            f(Kept<bfloat16>{tensor, begin, count});
        } else {
            f(Kept<float16>{tensor, begin, count});
        }
        return true;
    }
};

/// The same with another bound on registers.
struct StoredBase3 : StoredBase {
    static constexpr int resident = 3;
};

}  // namespace adamcore::experiments
