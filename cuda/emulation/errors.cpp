#include "calls.hpp"

namespace {

struct Text {
    const char *name, *words;
};

Text text_of(cudaError_t error) {
    switch (error) {
        case cudaSuccess: return {"cudaSuccess", "no error"};
        case cudaErrorMemoryAllocation: return {"cudaErrorMemoryAllocation", "out of memory"};
        case cudaErrorInitializationError: return {"cudaErrorInitializationError", "initialization error"};
        case cudaErrorInvalidDevice: return {"cudaErrorInvalidDevice", "invalid device ordinal"};
        case cudaErrorInvalidValue: return {"cudaErrorInvalidValue", "invalid argument"};
        case cudaErrorNotReady: return {"cudaErrorNotReady", "device not ready"};
        case cudaErrorNotSupported: return {"cudaErrorNotSupported", "operation not supported"};
        case cudaErrorIllegalAddress: return {"cudaErrorIllegalAddress", "an illegal memory access was encountered"};
        case cudaErrorLaunchOutOfResources:
            return {"cudaErrorLaunchOutOfResources", "too many resources requested for launch"};
        case cudaErrorStreamCaptureUnsupported:
            return {"cudaErrorStreamCaptureUnsupported", "operation not permitted when stream is capturing"};
        case cudaErrorStreamCaptureInvalidated:
            return {"cudaErrorStreamCaptureInvalidated", "operation failed due to a previous error during capture"};
        case cudaErrorStreamCaptureUnjoined:
            return {"cudaErrorStreamCaptureUnjoined", "capture was not ended in the same stream as it began"};
        case cudaErrorStreamCaptureIsolation:
            return {"cudaErrorStreamCaptureIsolation", "dependency created on uncaptured work in another stream"};
        case cudaErrorStreamCaptureImplicit:
            return {"cudaErrorStreamCaptureImplicit",
                    "operation would make the legacy stream depend on a capturing blocking stream"};
        case cudaErrorCapturedEvent:
            return {"cudaErrorCapturedEvent",
                    "operation not permitted on an event last recorded in a capturing stream"};
    }
    return {"cudaErrorUnknown", "unknown error"};
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).words; }

cudaError_t cudaGetLastError() { return std::exchange(adamcore::cuda::emulation::last_error(), cudaSuccess); }

namespace adamcore::cuda::emulation {

cudaError_t& last_error() {
    thread_local cudaError_t error = cudaSuccess;
    return error;
}

void fail(cudaError_t code) { throw Failure(code); }

Failure::Failure(cudaError_t failed)
    : Error(std::string("CUDA: ") + cudaGetErrorString(failed) + " (" + cudaGetErrorName(failed) + ")"), code(failed) {}

}  // namespace adamcore::cuda::emulation
