#pragma once

#include <cstdint>

#include "stored/update.hpp"

/// E3: a counter's four random words belong to different threads. Whoever computes it gives the others' away.
namespace adamcore::experiments {

/// A block computes the words of its tile first.
template <class C>
struct StoredByTile : StoredCommon<C> {
    using Base = StoredCommon<C>;
    using typename Base::Arguments;

    /// By element: words[i / 2] belongs to elements i and i + 1 of the tile.
    struct Shared {
        alignas(16) std::uint32_t words[stored_tile / 2];
    };

    ADAMCORE_FN static int phases(const Arguments& a, Place at) {
        return Base::rounds_at_random(a.tensors[a.tiles[at.block].tensor]) ? 2 : 1;
    }

    ADAMCORE_FN static void run(const Arguments& a, Place at, int phase, Shared& shared) {
        if (Base::is_idle(a, at)) return;
        const StoredPart part = StoredPart::of<false>(a, a.tiles[at.block]);
        if (phase == 0 && Base::rounds_at_random(*part.tensor)) return fill(part, at.thread, shared);
        Base::sweep(part, at.thread, [&](std::int64_t begin, typename Base::Words& of) {
            cuda::load_wide(shared.words + (begin - part.first) / 2, of);
        });
    }

private:
    ADAMCORE_FN static void fill(const StoredPart& part, int thread, Shared& shared) {
        constexpr int row = static_cast<int>(rounding::row);
        for (int counter = thread; counter < stored_tile / eight; counter += Base::threads) {
            const int block = counter / row, lane = counter % row;
            if (std::int64_t{block} * rounding::block >= part.count) break;
            std::uint32_t words[4];
            rounding::random_words(part.stream(), part.first / rounding::block + block,
                                   static_cast<std::uint32_t>(lane), words);
            ADAMCORE_UNROLL
            for (int w = 0; w < 4; ++w) shared.words[block * 4 * row + w * row + lane] = words[w];
        }
    }
};

/// Four threads of a warp compute a counter each while their arrays are on the way, and exchange words.
template <class C>
struct StoredByWarp : StoredCommon<C> {
    using Base = StoredCommon<C>;
    using typename Base::Arguments;
    using typename Base::Words;

    static_assert(Base::width == eight);

    struct Shared {
        alignas(16) std::uint32_t words[4 * Base::threads];
    };

    ADAMCORE_FN static void run(const Arguments& a, Place at, Shared& shared) {
        if (Base::is_idle(a, at)) return;
        const StoredPart part = StoredPart::of<false>(a, a.tiles[at.block]);
        const typename Base::Arrays arrays = Base::Arrays::of(part);
        if (!Base::rounds_at_random(*part.tensor) || !arrays.are_plain(part))
            return Base::sweep(part, at.thread, [](std::int64_t, Words&) {});
        // All threads of a warp go round as often: those without elements compute words for the others.
        for (std::int64_t warp = at.thread / 32 * 32 * eight; warp < part.count; warp += Base::threads * eight) {
            const std::int64_t place = warp + at.thread % 32 * eight, begin = part.first + place;
            typename Base::Asked asked;
            if (place < part.count) asked = Base::Asked::of(arrays, *part.tensor, begin);
            Words words;
            exchange(part.stream(), begin, at.thread, shared, words);
            if (place >= part.count) continue;
            Base::finish(part, arrays, asked, begin, [&](Words& of) {
                ADAMCORE_UNROLL
                for (int k = 0; k < 4; ++k) of[k] = words[k];
            });
        }
    }

private:
    ADAMCORE_FN static void exchange(const rounding::Stream& stream, std::int64_t begin, int thread, Shared& shared,
                                     Words& of) {
        constexpr int row = static_cast<int>(rounding::row);
        const Counters counters = Counters::of(begin);
        const int lane = counters.lane + counters.word;
        std::uint32_t* const words = shared.words + thread / row * 4 * row;
        std::uint32_t mine[4];
        rounding::random_words(stream, counters.block, static_cast<std::uint32_t>(lane), mine);
        meet();
        ADAMCORE_UNROLL
        for (int w = 0; w < 4; ++w) words[w * row + lane] = mine[w];
        meet();
        cuda::load_wide(words + 4 * (thread % row), of);
    }

    ADAMCORE_FN static void meet() {
#if defined(__CUDA_ARCH__)
        __syncwarp();
#endif
    }
};

}  // namespace adamcore::experiments
