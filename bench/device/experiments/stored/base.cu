#include "stored/base.hpp"

#include "common/variant.hpp"

namespace adamcore::experiments {
namespace {

template <class Body>
Variant stored(std::string name) {
    Variant variant{std::move(name)};
    variant.update = kernel_alone<Body>();
    return variant;
}

}  // namespace

Variants stored_base_variants() { return {stored<StoredBase>("base"), stored<StoredBase3>("base+3")}; }

}  // namespace adamcore::experiments
