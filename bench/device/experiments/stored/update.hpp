#pragma once

#include <cstdint>
#include <type_traits>

#include "stored/raw.hpp"

/// E3's kernels of raw loads, in three forms that differ in who computes random words. Parts that are not whole eights of
/// aligned arrays go the base's way. Float64 gradients of float32 weights and compensated weights are left out.
namespace adamcore::experiments {

/// The base's way, out of line so that it takes no registers from the other. (By value: what a call is given the address
/// of has to lie in memory.)
ADAMCORE_AWAY inline void run_away(StoredPart part, int thread) { StoredBase::run(part, thread); }

template <class C>
struct StoredCommon {
    using Arguments = UpdateArguments;

    static constexpr int threads = C::threads, resident = C::resident, width = C::width;

    /// Random words of as many elements.
    using Words = std::uint32_t[width / 2];

    ADAMCORE_FN static bool is_idle(const Arguments& a, Place at) {
        return a.control->skip || !a.grads[a.tiles[at.block].tensor];
    }

    ADAMCORE_FN static bool rounds_at_random(const Tensor& tensor) {
        return weights_of(tensor) == WeightPolicy::stochastic && is_half(param_type(tensor));
    }

    struct Arrays {
        RawArray grad, param, first, second, extra;

        ADAMCORE_FN static Arrays of(const StoredPart& part) {
            const Tensor& t = *part.tensor;
            const WeightPolicy weights = is_half(param_type(t)) ? weights_of(t) : WeightPolicy::plain;
            const int extra = weights == WeightPolicy::master ? 4 : weights == WeightPolicy::remainder ? 2 : 0;
            return {RawArray::of(part.grad, grad_type(t)),
                    RawArray::of(t.param, param_type(t)),
                    RawArray::of(t.state[0], state_type(t)),
                    RawArray::of(t.state[1], state_type(t)),
                    {cuda::global(static_cast<char*>(t.extra[0])), extra}};
        }

        ADAMCORE_FN bool are_plain(const StoredPart& part) const {
            return part.head == 0 && part.count % eight == 0 && grad.is_wide(part.first) && param.is_wide(part.first) &&
                   first.is_wide(part.first) && second.is_wide(part.first) && extra.is_wide(part.first);
        }
    };

    /// What a thread has asked for.
    struct Asked {
        Raw<width> grad, param, first, second, extra;
        unsigned ties;

        ADAMCORE_FN static Asked of(const Arrays& arrays, const Tensor& tensor, std::int64_t begin) {
            Asked asked;
            asked.ties = 0;
            arrays.grad.ask(begin, asked.grad);
            arrays.param.ask(begin, asked.param);
            arrays.first.ask(begin, asked.first);
            arrays.second.ask(begin, asked.second);
            arrays.extra.ask(begin, asked.extra);
            if (weights_of(tensor) == WeightPolicy::remainder)
                asked.ties = static_cast<const std::uint8_t*>(tensor.extra[1])[begin / 8] >> (begin % 8);
            return asked;
        }
    };

    /// From what was asked for to what is stored; `words(of)` gives random words.
    template <class GetWords>
    ADAMCORE_FN static void finish(const StoredPart& part, const Arrays& arrays, const Asked& asked, std::int64_t begin,
                                   GetWords&& words) {
        const Tensor& tensor = *part.tensor;
        float param[width], grad[width], first[width], second[width];
        recover(tensor, asked, param);
        asked.grad.decode(grad_type(tensor), grad);
        asked.first.decode(state_type(tensor), first);
        asked.second.decode(state_type(tensor), second);
        const bool prepares = part.prepares();
        if (prepares) part.prepare(begin, grad);
        const double scale = prepares ? part.constants->grad_scale : part.constants->grad_scale * part.scale;
        const auto step = *reinterpret_cast<const AdamW::Step<float>*>(part.constants->step.bytes);
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k)
            AdamW::update<float>(step, grad[k] * static_cast<float>(scale), param[k], first[k], second[k]);
        put(arrays.first, begin, state_type(tensor), first);
        put(arrays.second, begin, state_type(tensor), second);
        if (!rounds_at_random(tensor)) {
            put(arrays.param, begin, param_type(tensor), param);
            return keep(tensor, arrays.extra, begin, param);
        }
        Words of;
        words(of);
        Raw<width> raw;
        if (param_type(tensor) == Dtype::bfloat16) {
            round_at_random<bfloat16>(param, of, raw);
        } else {
            round_at_random<float16>(param, of, raw);
        }
        arrays.param.put(begin, raw);
    }

    /// All of a part.
    template <class GetWords>
    ADAMCORE_FN static void sweep(const StoredPart& part, int thread, GetWords&& words) {
        const Arrays arrays = Arrays::of(part);
        if (!arrays.are_plain(part)) return run_away(part, thread);
        const auto update = [&](std::int64_t begin) {
            const Asked asked = Asked::of(arrays, *part.tensor, begin);
            if constexpr (C::forgets) {
                cuda::forget();
                finish(part, Arrays::of(part), asked, begin, [&](Words& of) { words(begin, of); });
            } else {
                finish(part, arrays, asked, begin, [&](Words& of) { words(begin, of); });
            }
        };
        if constexpr (width == eight) {
            for (std::int64_t at = std::int64_t{thread} * eight; at < part.count; at += threads * eight)
                update(part.first + at);
        } else {
            // As in the engine: eight remainders share a byte of ties, so a thread takes both fours.
            const int chunk = weights_of(*part.tensor) == WeightPolicy::remainder ? eight : width;
            std::int64_t at = std::int64_t{thread} * chunk;
            ADAMCORE_ROLLED
            while (at < part.count) {
                update(part.first + at);
                at += width;
                if (at % chunk == 0) at += (threads - 1) * chunk;
            }
        }
    }

private:
    ADAMCORE_FN static Dtype param_type(const Tensor& tensor) {
        if constexpr (C::fixed) return C::param_type;
        return tensor.dtype;
    }

    ADAMCORE_FN static Dtype grad_type(const Tensor& tensor) {
        if constexpr (C::fixed) return C::grad_type;
        return tensor.grad_dtype;
    }

    ADAMCORE_FN static Dtype state_type(const Tensor& tensor) {
        if constexpr (C::fixed) return C::state_type;
        return tensor.state_dtype;
    }

    ADAMCORE_FN static WeightPolicy weights_of(const Tensor& tensor) {
        if constexpr (C::fixed) return C::weights;
        return tensor.weights;
    }

    ADAMCORE_FN static void put(const RawArray& array, std::int64_t begin, Dtype dtype, const float (&from)[width]) {
        Raw<width> raw;
        raw.template encode<C::conversion>(dtype, from);
        array.put(begin, raw);
    }

    /// The weights that the parameter's values stand for.
    ADAMCORE_FN static void recover(const Tensor& tensor, const Asked& asked, float (&weights)[width]) {
        const Dtype dtype = param_type(tensor);
        asked.param.decode(dtype, weights);
        if (!is_half(dtype)) return;
        float whole[width];
        if (weights_of(tensor) == WeightPolicy::master) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) whole[k] = storage::float_of(asked.extra.word[k]);
        } else if (weights_of(tensor) == WeightPolicy::remainder) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) {
                const float near = storage::with_remainder(weights[k], asked.extra.template half<bfloat16>(k).bits);
                whole[k] = math::select((asked.ties >> k & 1u) != 0, storage::as_tie(near), near);
            }
        } else {
            return;
        }
        // What rounds to the parameter is the weight. Bfloat16 numbers are compared as they are stored.
        Raw<width> rounded;
        rounded.template encode<C::conversion>(dtype, whole);
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) {
            if (dtype == Dtype::bfloat16) {
                const std::uint32_t differs = (rounded.word[k / 2] ^ asked.param.word[k / 2]) >> (k % 2 * 16);
                weights[k] = math::select((differs & 0xffffu) == 0, whole[k], weights[k]);
            } else {
                weights[k] =
                    storage::current_master(weights[k], storage::decode(rounded.template half<float16>(k)), whole[k]);
            }
        }
    }

    /// Keeps of weights what the parameter loses.
    ADAMCORE_FN static void keep(const Tensor& tensor, const RawArray& extra, std::int64_t begin,
                                 const float (&weights)[width]) {
        if (!is_half(param_type(tensor))) return;
        Raw<width> raw;
        if (weights_of(tensor) == WeightPolicy::master) {
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) raw.word[k] = storage::bits_of(weights[k]);
            extra.put(begin, raw);
        } else if (weights_of(tensor) == WeightPolicy::remainder) {
            unsigned ties = 0;
            ADAMCORE_UNROLL
            for (int k = 0; k < width; k += 2)
                raw.word[k / 2] =
                    storage::remainder_of(weights[k]) | std::uint32_t{storage::remainder_of(weights[k + 1])} << 16;
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k) ties |= storage::is_tie_rounded_down(weights[k]) ? 1u << k : 0u;
            extra.put(begin, raw);
            std::uint8_t& byte = static_cast<std::uint8_t*>(tensor.extra[1])[begin / 8];
            if constexpr (width == eight) {
                byte = static_cast<std::uint8_t>(ties);
            } else {
                const auto at = static_cast<unsigned>(begin % 8);
                byte = static_cast<std::uint8_t>((byte & ~(0xfu << at)) | ties << at);
            }
        }
    }

    template <class Half>
    ADAMCORE_FN static void round_at_random(const float (&weights)[width], const Words& words, Raw<width>& to) {
        if constexpr (C::conversion == Conversion::hardware && std::is_same_v<Half, bfloat16>) {
            bool in_range = true;
            ADAMCORE_UNROLL
            for (int k = 0; k < width; ++k)
                in_range &= (storage::bits_of(weights[k]) & 0x7fffffffu) < rounding::largest_bfloat16;
            if (in_range) {
                ADAMCORE_UNROLL
                for (int k = 0; k < width; k += 2) {
                    const std::uint32_t low = storage::bits_of(weights[k]) + (words[k / 2] & 0xffffu);
                    const std::uint32_t high = storage::bits_of(weights[k + 1]) + (words[k / 2] >> 16);
                    to.word[k / 2] = low >> 16 | (high & 0xffff0000u);
                }
                return;
            }
        }
        Half rounded[width];
        ADAMCORE_UNROLL
        for (int k = 0; k < width; ++k) {
            const std::uint32_t random = words[k / 2] >> (k % 2 * 16) & 0xffffu;
            rounded[k] = storage::encode_exact<Half>(rounding::stochastic<Half>(weights[k], random));
        }
        to.set(rounded);
    }
};

/// Each thread computes its own words, each of another counter.
template <class C>
struct Stored : StoredCommon<C> {
    using Base = StoredCommon<C>;
    using typename Base::Arguments;

    ADAMCORE_FN static void run(const Arguments& a, Place at) {
        if (Base::is_idle(a, at)) return;
        const StoredPart part = StoredPart::of<false>(a, a.tiles[at.block]);
        Base::sweep(part, at.thread, [&](std::int64_t begin, typename Base::Words& of) {
            const Counters counters = Counters::of(begin);
            ADAMCORE_UNROLL
            for (int k = 0; k < Base::width / 2; ++k) {
                std::uint32_t words[4];
                const auto lane = static_cast<std::uint32_t>(counters.lane + k);
                rounding::random_words(part.stream(), counters.block, lane, words);
                const int w = counters.word;
                of[k] = w < 2 ? (w == 0 ? words[0] : words[1]) : (w == 2 ? words[2] : words[3]);
            }
        });
    }
};

}  // namespace adamcore::experiments
