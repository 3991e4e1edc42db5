#include "adamcore/adamcore.hpp"

bool first_unit_steps();

namespace {

bool second_unit_steps() {
    float param[3] = {1, 2, 3}, grad[3] = {1, -1, 1}, exp_avg[3] = {}, exp_avg_sq[3] = {};
    const adamcore::Tensor tensor = adamcore::tensor<float>(param, grad, 3, 1, exp_avg, exp_avg_sq);
    adamcore::cpu::step<adamcore::AdamW>(&tensor, 1, adamcore::AdamW::Hyper{});
    return exp_avg[0] > 0 && exp_avg[1] < 0 && exp_avg_sq[2] > 0;
}

}  // namespace

int main() { return first_unit_steps() && second_unit_steps() && adamcore::cpu::all_rules().size() > 0 ? 0 : 1; }
