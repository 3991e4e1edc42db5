#include "adamcore/adamcore.hpp"

/// One of two translation units that include everything and use the same templates.
bool first_unit_steps() {
    float param[3] = {1, 2, 3}, grad[3] = {1, -1, 1}, exp_avg[3] = {}, exp_avg_sq[3] = {};
    const adamcore::Tensor tensor = adamcore::tensor<float>(param, grad, 3, 1, exp_avg, exp_avg_sq);
    adamcore::cpu::step<adamcore::AdamW>(&tensor, 1, adamcore::AdamW::Hyper{});
    return param[0] < 1 && param[1] > 2 - 1e-3f && param[2] < 3;
}
