#include "adamcore/rule/tensor.hpp"
#include "adamcore/rules/all.hpp"

/// Compiled with a macro that is one of these calls. State of the wrong number or type must not compile.
void use() {
    using namespace adamcore;
    [[maybe_unused]] float p[3] = {}, g[3] = {}, a[3] = {}, b[3] = {}, c[3] = {};
    [[maybe_unused]] double wide[3] = {};
    [[maybe_unused]] bfloat16 half[3] = {}, other[3] = {};
    [[maybe_unused]] const Tensor made[] = {
        // Right: in the order of the slots, where half precision is allowed, and with numbers of the tensor.
        tensor<Sgd>(p, g, 3, 1),
        tensor<AdamW>(p, g, 3, 1, a, b),
        tensor<AdamW>(p, g, 3, 1, half, other),
        tensor<AdamW>(wide, g, 3, 1, wide, wide),
        tensor<AdamW>(half, g, 3, 1, a, b),
        tensor<Prodigy>(half, g, 3, 1, half, half, half, a),
        tensor<NovoGrad>(p, g, 3, 1, a, wide),
        tensor<float>(p, g, 3, 1, a, b, c),
#if defined(ADAMCORE_WRONG)
        ADAMCORE_WRONG,
#endif
    };
}
