// Adam with a scheduled learning rate and weight decay. It builds as adamw.cpp does.
//
// A schedule is a struct of its arguments, with the names and defaults of Python's adamcore.schedules. Calling it with the
// number of completed steps gives the number for the next one.

#include <adamcore/adamcore.hpp>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

namespace schedules = adamcore::schedules;

constexpr int steps = 1000;

/// Weights to be found from gradients that are noisy, as those of mini-batches are.
class Problem {
public:
    explicit Problem(std::size_t size) : weights_(size), grads_(size) { opt_.add(weights_.data(), size); }

    template <class Rate, class Decay>
    void step(const Rate& rate, const Decay& weight_decay) {
        for (std::size_t i = 0; i < weights_.size(); ++i) grads_[i] = weights_[i] - target + noise_(random_);
        const auto completed = static_cast<double>(opt_.completed());
        opt_.hyper().lr = rate(completed);
        opt_.hyper().weight_decay = weight_decay(completed);
        opt_.step(grads_);
    }

    /// The root mean square of the weights' errors.
    double error() const {
        double sum = 0;
        for (const float weight : weights_) sum += std::pow(static_cast<double>(weight - target), 2);
        return std::sqrt(sum / static_cast<double>(weights_.size()));
    }

private:
    static constexpr float target = 1;

    std::mt19937 random_{7};
    std::normal_distribution<float> noise_;
    std::vector<float> weights_, grads_;
    adamcore::Optimizer<adamcore::AdamW> opt_;
};

template <class Rate>
double error_after_training(const Rate& rate) {
    const schedules::Linear weight_decay{1e-2, 0, steps};
    Problem problem(1000);
    for (int step = 0; step < steps; ++step) problem.step(rate, weight_decay);
    return problem.error();
}

int main() {
    // A warm-up of 50 steps, a constant rate, and a cool-down over the last 300.
    const schedules::WSD rate{0.03, steps, /*warmup=*/50, /*decay=*/300};
    for (const int t : {0, 49, 699, 850, steps - 1}) std::printf("rate after %3d steps: %.6f\n", t, rate(t));

    // Schedules are built of others: half a cosine that follows a warm-up, and is never below 1e-4.
    using Cosine = schedules::Warmup<schedules::Cosine>;
    const schedules::Clip<Cosine> cosine{{{0.03, 0, steps - 50}, 50}, 1e-4, 1};

    const double constant = error_after_training(schedules::Constant{0.03});
    const double wsd = error_after_training(rate), clipped = error_after_training(cosine);
    std::printf("error with a constant rate %.4f, with WSD %.4f, with a cosine %.4f\n", constant, wsd, clipped);
    return wsd < 0.7 * constant && clipped < 0.7 * constant ? 0 : 1;
}
