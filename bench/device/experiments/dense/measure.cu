#include "dense/measure.hpp"

#include "dense/shapes.hpp"

namespace adamcore::experiments {
namespace {

template <int Leaves>
Variant measured(std::string name) {
    Variant variant{std::move(name)};
    variant.measure = kernel_in_phases<Measure<Leaves>>();
    variant.leaves = Leaves;
    return variant;
}

template <class C>
Variant forward(std::string name) {
    Variant variant = measured<8>(std::move(name));
    variant.update = kernel_alone<Dense<C>>();
    return variant;
}

template <class C>
Variant in_reverse(std::string name) {
    Variant variant = measured<8>(std::move(name));
    variant.update = kernel_alone<Reversed<C>>();
    return variant;
}

}  // namespace

Variants norm_variants() {
    return {
        forward<DenseBase>("base"),
        in_reverse<DenseBase>("reverse"),
        forward<Flat>("flat"),
        in_reverse<Flat>("flat+reverse"),
    };
}

Variants measure_variants() { return {measured<8>("base"), measured<4>("leaves4"), measured<2>("leaves2")}; }

}  // namespace adamcore::experiments
