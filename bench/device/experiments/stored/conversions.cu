#include "common/variant.hpp"
#include "stored/raw.hpp"

namespace adamcore::experiments {
namespace {

struct BitsOfFloat16 {
    ADAMCORE_FN static std::uint32_t by_hardware(float x) {
#if defined(__CUDA_ARCH__)
        std::uint16_t bits;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
        return bits;
#else
        return storage::encode<float16>(x).bits;
#endif
    }
    ADAMCORE_FN static std::uint32_t by_library(float x) { return storage::encode<float16>(x).bits; }
};

struct BitsOfBfloat16 {
    ADAMCORE_FN static std::uint32_t by_hardware(float x) { return hardware_pair(x, 0) & 0xffffu; }
    ADAMCORE_FN static std::uint32_t by_library(float x) { return storage::encode<bfloat16>(x).bits; }
};

struct BitsOfFloat {
    ADAMCORE_FN static std::uint32_t by_hardware(float16 x) {
#if defined(__CUDA_ARCH__)
        float wide;
        asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
        return storage::bits_of(wide);
#else
        return storage::bits_of(storage::decode(x));
#endif
    }
    ADAMCORE_FN static std::uint32_t by_library(float16 x) { return storage::bits_of(storage::decode(x)); }
};

ADAMCORE_FN bool is_nan(float x) { return x != x; }
ADAMCORE_FN bool is_nan(float16 x) { return (x.bits & 0x7fffu) > 0x7c00u; }
ADAMCORE_FN bool is_tiny(float x) { return (storage::bits_of(x) & 0x7f800000u) == 0; }
ADAMCORE_FN bool is_tiny(float16 x) { return (x.bits & 0x7c00u) == 0; }

ADAMCORE_FN void make(std::uint32_t bits, float& x) { x = storage::float_of(bits); }
ADAMCORE_FN void make(std::uint32_t bits, float16& x) { x.bits = static_cast<std::uint16_t>(bits); }

template <class Bits, class Number>
__global__ void compare(std::uint64_t count, ConversionCounts* counts) {
    const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
    for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += stride) {
        Number x;
        make(static_cast<std::uint32_t>(i), x);
        if (Bits::by_hardware(x) == Bits::by_library(x)) continue;
        atomicAdd(is_nan(x) ? &counts->nan : is_tiny(x) ? &counts->subnormal : &counts->other, 1ull);
    }
}

template <class Bits, class Number>
void queue_comparison(unsigned blocks, std::uint64_t count, ConversionCounts* counts) {
    void* arguments[] = {&count, &counts};
    cudaLaunchKernel(reinterpret_cast<const void*>(&compare<Bits, Number>), dim3(blocks), dim3(256), arguments, 0,
                     nullptr);
}

}  // namespace

void count_conversions_to_bfloat16(ConversionCounts* counts) {
    queue_comparison<BitsOfBfloat16, float>(1024, std::uint64_t{1} << 32, counts);
}

void count_conversions_to_float16(ConversionCounts* counts) {
    queue_comparison<BitsOfFloat16, float>(1024, std::uint64_t{1} << 32, counts);
}

void count_conversions_from_float16(ConversionCounts* counts) {
    queue_comparison<BitsOfFloat, float16>(64, std::uint64_t{1} << 16, counts);
}

}  // namespace adamcore::experiments
