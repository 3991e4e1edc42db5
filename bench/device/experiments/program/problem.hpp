#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/support.hpp"
#include "common/table.hpp"
#include "dense/decide.hpp"
#include "dense/measure.hpp"
#include "program/device.hpp"
#include "program/engine.hpp"

/// The arrays and tables that variants work on.
namespace adamcore::experiments {

/// What is kept of a model's weights.
enum class Storage { dense, master, remainder, stochastic };

struct StorageFacts {
    const char* name;
    Dtype param, grad, state;
    WeightPolicy weights;
    double step_bytes;  ///< that an update moves for each element
};

StorageFacts facts_of(Storage storage);

struct ProblemRequest {
    std::vector<std::int64_t> sizes;
    Storage storage = Storage::dense;
    Filling params = Filling::params, grads = Filling::grads;
    std::int64_t row = 1;     ///< of Filling::zero_rows
    std::int64_t sets = 1;    ///< of all arrays and tables, which take turns so that none is found in a cache
    bool misaligned = false;  ///< whether arrays begin anywhere
    On where = On::device;
    std::vector<int> tiles{4096};  ///< of updates
    std::vector<int> leaves{};     ///< of measuring

    bool operator==(const ProblemRequest& other) const;
    std::int64_t elements() const;
};

class Problem {
public:
    static constexpr std::uint64_t seed = 0x5eed;
    static constexpr AdamW::Hyper hyper{};

    explicit Problem(const ProblemRequest& request);

    const ProblemRequest& request() const { return request_; }
    UpdateArguments update(std::int64_t set, int tile) const;
    std::int64_t update_blocks(int tile) const;
    DecideArguments decide(std::int64_t set) const;
    MeasureArguments measure(std::int64_t set, int leaves) const;
    std::int64_t measure_blocks(int leaves) const;
    const EngineTables& engine(std::int64_t set) const { return sets_[static_cast<std::size_t>(set)].engine; }

    /// Of a set, as the library's CPU engine takes them; for arrays on the host.
    std::vector<Tensor> tensors(std::int64_t set) const;

    /// All arrays as in the beginning.
    void refill();
    /// The next step that is decided is number t; constants are those of t.
    void set_step(std::int64_t t);
    /// Only clocks, by a kernel on the stream.
    void queue_clocks(std::int64_t t) const;
    /// Bits of all that steps write.
    std::vector<std::byte> written() const;

private:
    enum Region { param, grad, first, second, kept, ties, regions };

    struct TileTables {
        const Tile* tiles;
        const Row* rows;
        std::int64_t blocks;
    };

    struct LeafTables {
        const LeafTile* tiles;
        norm::Squares* sums;
        std::int64_t blocks;
    };

    struct SetTables {
        const Tensor* tensors;
        const void* const* grads;
        std::vector<TileTables> tiles;
        std::vector<LeafTables> leaves;
        Clock* clocks;
        Group* groups;
        const std::int32_t* ticks;
        Constants* constants;
        Control* control;
        std::int64_t* completed;
        PowerCache* powers;
        EngineTables engine;
    };

    void place_arrays();
    void pack_tables(std::int64_t t);
    SetTables pack_set(Packer& packer, std::int64_t set, std::int64_t t) const;
    TileTables pack_tiles(Packer& packer, const std::vector<Tensor>& tensors, int tile) const;
    LeafTables pack_leaves(Packer& packer, int leaves) const;
    std::byte* array(Region region, std::int64_t set, std::size_t tensor) const;
    void fill(Region region, Filling filling) const;
    void run(const Kernel& kernel, std::int64_t blocks, const void* arguments) const;

    ProblemRequest request_;
    StorageFacts facts_;
    std::array<double, regions> item_{};  ///< bytes of an element; 1 / 8 of ties
    std::vector<std::int64_t> starts_;    ///< of tensors in a set, in elements
    std::int64_t set_elements_ = 0;
    std::array<Buffer, regions> buffers_;
    Buffer tables_;
    std::int64_t table_stride_ = 0;
    std::vector<SetTables> sets_;
};

}  // namespace adamcore::experiments
