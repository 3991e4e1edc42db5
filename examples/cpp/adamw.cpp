// AdamW for all parameters of a model, on your own thread pool.
//
//     dir=$(python -c "import adamcore; print(adamcore.get_cmake_dir())")
//     cmake -S examples/cpp -B build/example -Dadamcore_DIR="$dir"
//     cmake --build build/example && build/example/adamw

#include <adamcore/adamcore.hpp>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

/// A pool whose threads sleep between calls of run(). adamcore requires only size() and run().
class ThreadPool {
public:
    /// The calling thread works too, so this starts one thread fewer.
    explicit ThreadPool(int threads) {
        for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    }

    ~ThreadPool() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (std::thread& worker : workers_) worker.join();
    }

    int size() const { return static_cast<int>(workers_.size()) + 1; }

    /// Calls body(0) ... body(parts - 1), and returns when all of them have. Only one thread may call run() at a time.
    template <class Body>
    void run(int parts, Body&& body) const {
        std::unique_lock<std::mutex> lock(mutex_);
        body_ = std::ref(body);
        next_ = 0;
        parts_ = unfinished_ = parts;
        wake_.notify_all();
        take_parts(lock);
        done_.wait(lock, [this] { return unfinished_ == 0; });
    }

private:
    void take_parts(std::unique_lock<std::mutex>& lock) const {
        while (next_ < parts_) {
            const int part = next_++;
            lock.unlock();
            body_(part);
            lock.lock();
            if (--unfinished_ == 0) done_.notify_one();
        }
    }

    void work() const {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!stopping_) {
            take_parts(lock);
            wake_.wait(lock, [this] { return stopping_ || next_ < parts_; });
        }
    }

    mutable std::mutex mutex_;
    mutable std::condition_variable wake_, done_;
    mutable std::function<void(int)> body_;
    mutable int next_ = 0, parts_ = 0, unfinished_ = 0;
    bool stopping_ = false;
    std::vector<std::thread> workers_;
};

/// A parameter of your model, with its gradient. The optimizer has the rest.
struct Parameter {
    explicit Parameter(std::size_t size) : value(size, 1.0f), grad(size, 0.5f) {}

    std::vector<float> value, grad;
};

int main() {
    std::vector<Parameter> model;
    for (const std::size_t size : {784u * 256u, 256u, 256u * 10u, 10u}) model.emplace_back(size);

    adamcore::AdamW::Hyper hyper;
    hyper.lr = 1e-3;
    hyper.weight_decay = 1e-2;
    adamcore::Optimizer<adamcore::AdamW> opt(hyper);
    for (Parameter& parameter : model) opt.add(parameter.value.data(), parameter.value.size());

    std::vector<const float*> grads;
    for (const Parameter& parameter : model) grads.push_back(parameter.grad.data());
    const ThreadPool pool(2);
    opt.step(grads, pool);

    // In the first step the normalized gradient is 1, so each parameter becomes 1 - lr * (1 + weight_decay * 1).
    const float expected = 0.99899f;
    for (const Parameter& parameter : model) {
        for (const float value : parameter.value) {
            if (std::fabs(value - expected) > 1e-6f) {
                std::printf("wrong: %.7f instead of %.7f\n", static_cast<double>(value), static_cast<double>(expected));
                return 1;
            }
        }
    }
    std::printf("each of %zu tensors went from 1 to %.5f\n", model.size(), static_cast<double>(expected));
}
