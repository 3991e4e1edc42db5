#include "common/variant.hpp"
#include "library/kernel.hpp"

namespace adamcore::experiments {
namespace {

using Update = cuda::StoredUpdate<AdamW, float>;

/// The same with room for more registers.
struct Update2 : Update {
    static constexpr int resident = 2;
};

template <class Body>
Variant engine(std::string name, bool constants_by_host) {
    Variant variant{std::move(name)};
    variant.is_engine = true;
    variant.constants_by_host = constants_by_host;
    variant.update = library::kernel_in_phases<Body>();
    return variant;
}

}  // namespace

Variants stored_engine_variants() {
    return {engine<Update>("engine", true), engine<Update>("engine+tables", false), engine<Update2>("engine+2", true)};
}

}  // namespace adamcore::experiments
