#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/kernel.hpp"
#include "dense/before.hpp"
#include "dense/update.hpp"

/// What is timed: up to three launches that make a step.
namespace adamcore::experiments {

struct Variant {
    std::string name;
    Kernel measure{}, decide{}, update{};
    int tile = 4096;
    int leaves = 0;                    ///< that a block of `measure` takes
    bool is_engine = false;            ///< the library's kernels, which have its tables
    bool constants_by_host = false;    ///< in update's arguments
    bool update_is_dependent = false;  ///< launched programmatically behind what comes before
    bool decide_is_dependent = false;
    int needs = 0;  ///< the least major compute capability

    bool uses_dependence() const { return update_is_dependent || decide_is_dependent; }

    std::vector<std::pair<std::string, Kernel>> kernels() const {
        std::vector<std::pair<std::string, Kernel>> found;
        if (measure.function) found.emplace_back("measure", measure);
        if (decide.function) found.emplace_back("decide", decide);
        if (update.function) found.emplace_back("update", update);
        return found;
    }
};

using Variants = std::vector<Variant>;

/// E1.
Variants decide_variants();
/// E2: one factor at a time around the base; rows of their own with the others; after a norm.
Variants dense_variants();
Variants flat_variants();
Variants norm_variants();
/// E3: as is; with raw loads; with random words shared; kernels for one storage alone, of bfloat16; and other
/// widths.
Variants stored_base_variants();
Variants stored_raw_variants();
Variants stored_shared_variants();
Variants stored_fixed_variants(WeightPolicy weights);
Variants stored_width_variants();
Variants stored_width_variants_by_hardware();
/// E4: leaves a block; the engine's update as it was.
Variants measure_variants();
Variant before_update();
/// The library's own, whose constants the host computes ("engine"), Decide, or whoever filled the tables.
Variant engine_with_arguments();
Variant engine_with_decide();
Variant engine_with_tables();
Variants stored_engine_variants();

/// What else a measurement needs.
Kernel copy_kernel();
Kernel fill_kernel();
Kernel reset_kernel();
Kernel delay_kernel();

/// Of 2^32 float32 numbers, how often the processor's conversion gives other bits than the library's.
struct ConversionCounts {
    unsigned long long nan = 0, subnormal = 0, other = 0;
};

/// Queued on the default stream; `counts` is on the device.
void count_conversions_to_bfloat16(ConversionCounts* counts);
void count_conversions_to_float16(ConversionCounts* counts);
/// The same of 2^16 float16 numbers that become float32.
void count_conversions_from_float16(ConversionCounts* counts);

#if defined(__CUDACC__)

template <class C>
Variant dense_variant(std::string name) {
    Variant variant{std::move(name)};
    variant.update = kernel_alone<Dense<C>>();
    variant.tile = C::tile;
    return variant;
}

/// As the engine had it.
template <class = void>
Variant before_variant(std::string name) {
    Variant variant{std::move(name)};
    variant.update = kernel_alone<DenseBefore>();
    return variant;
}

#endif

}  // namespace adamcore::experiments
