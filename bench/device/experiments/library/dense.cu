#include "common/variant.hpp"
#include "dense/decide.hpp"
#include "library/kernel.hpp"

namespace adamcore::experiments {
namespace {

using EngineUpdate = cuda::DenseUpdate<AdamW, float>;
using EngineDecide = cuda::Decide<AdamW, float, static_cast<int>(detail::adamw_place)>;

Variant engine(std::string name) {
    Variant variant{std::move(name)};
    variant.is_engine = true;
    variant.update = library::kernel_alone<EngineUpdate>();
    return variant;
}

}  // namespace

Variant engine_with_tables() { return engine("engine+tables"); }

Variant engine_with_arguments() {
    Variant variant = engine("engine");
    variant.constants_by_host = true;
    return variant;
}

Variant engine_with_decide() {
    Variant variant = engine("engine+decide");
    variant.decide = library::kernel_in_phases<EngineDecide>();
    return variant;
}

}  // namespace adamcore::experiments
