#include <adamcore/adamcore.hpp>
#include <cstddef>
#include <cstdio>
#include <vector>

/// Prints what optimizers make of a vector and a matrix: the rule, and all numbers. tests/package compares with Python.
namespace {

void print_trajectory(const char* rule, adamcore::NamedNumbers hyper) {
    adamcore::NamedOptimizer opt(rule, hyper);
    std::vector<float> vector(5), matrix(12);
    for (std::size_t i = 0; i < vector.size(); ++i) vector[i] = 1 + static_cast<float>(i) / 8;
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = 2 - static_cast<float>(i) / 8;
    opt.add(vector.data(), vector.size());
    opt.add(matrix.data(), {3, 4});
    for (int t = 1; t <= 5; ++t) {
        std::vector<float> vector_grads(vector.size()), matrix_grads(matrix.size());
        for (std::size_t i = 0; i < matrix.size(); ++i) {
            const float grad = static_cast<float>((7 * i + 3 * static_cast<std::size_t>(t)) % 11) / 8 - 0.5f;
            matrix_grads[i] = grad;
            if (i < vector.size()) vector_grads[i] = grad;
        }
        if (t == 2) {
            opt.step({nullptr, matrix_grads});
        } else {
            opt.step({vector_grads, matrix_grads});
        }
    }
    std::printf("%s", rule);
    for (const float x : vector) std::printf(" %a", static_cast<double>(x));
    for (const float x : matrix) std::printf(" %a", static_cast<double>(x));
    std::printf("\n");
}

}  // namespace

int main() {
    print_trajectory("adamw", {{"lr", 0.125}, {"weight_decay", 0.25}});
    print_trajectory("adagrad", {{"lr", 0.125}, {"initial_accumulator_value", 0.5}});
    print_trajectory("sgd_momentum", {{"lr", 0.125}, {"momentum", 0.75}});
    print_trajectory("lamb", {{"lr", 0.125}});
    print_trajectory("prodigy", {{"d0", 0.125}});
    print_trajectory("adafactor", {{"lr", 0.125}});
}
