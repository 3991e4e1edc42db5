// The yardstick: AdamW's traffic without its arithmetic. Four arrays are read and three of them written, in place.

#include <cstdint>

struct Stream {
    float* p;
    const float* g;
    float* m;
    float* v;
    std::int64_t size;
    std::int32_t threads;
};

extern "C" void stream_step(const Stream* stream) {
    // Locals, since the stores below could otherwise change what `stream` points at.
    float* const p = stream->p;
    const float* const g = stream->g;
    float* const m = stream->m;
    float* const v = stream->v;
    const std::int64_t size = stream->size;
    const int threads = stream->threads;
    const auto update = [=](std::int64_t i) {
        m[i] = 0.875f * m[i] + 0.125f * g[i];
        v[i] = 0.875f * v[i] + 0.0625f * g[i];
        p[i] = p[i] - 0.0009765625f * m[i];
    };
    // An OpenMP region costs a microsecond even where its if clause keeps it on one thread.
    if (size < 32768) {
#pragma omp simd
        for (std::int64_t i = 0; i < size; ++i) update(i);
    } else {
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (std::int64_t i = 0; i < size; ++i) update(i);
    }
}

/// LAMB's traffic: both moments are updated while the parameter is read, and then the parameter is, 40 bytes an element.
/// Returns a sum that depends on what was only read.
extern "C" double stream_lamb(float* p, const float* g, float* m, float* v, std::int64_t size, std::int32_t threads) {
    float weights = 0;
#pragma omp parallel for simd schedule(static) num_threads(threads) reduction(+ : weights)
    for (std::int64_t i = 0; i < size; ++i) {
        m[i] = 0.875f * m[i] + 0.125f * g[i];
        v[i] = 0.875f * v[i] + 0.0625f * g[i];
        weights += p[i];
    }
#pragma omp parallel for simd schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < size; ++i) p[i] = p[i] - 0.0009765625f * (m[i] + v[i]);
    return double(weights);
}

/// Adafactor's traffic: the gradient is read, then the parameter and the gradient, and then the parameter is updated, 24
/// bytes an element. Returns a sum that depends on all that was read.
extern "C" double stream_adafactor(float* p, const float* g, std::int64_t size, std::int32_t threads) {
    float first = 0, second = 0;
#pragma omp parallel for simd schedule(static) num_threads(threads) reduction(+ : first)
    for (std::int64_t i = 0; i < size; ++i) first += g[i];
#pragma omp parallel for simd schedule(static) num_threads(threads) reduction(+ : second)
    for (std::int64_t i = 0; i < size; ++i) second += p[i] + g[i];
#pragma omp parallel for simd schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < size; ++i) p[i] = p[i] - 0.0009765625f * g[i];
    return double(first) + double(second);
}
