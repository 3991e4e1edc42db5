// CUDA's runtime API on the emulation: devices, streams and events. (memory.cpp contains allocations and copies.)

#include <cuda_runtime_api.h>

#include <cstring>
#include <utility>

#include "calls.hpp"
#include "world.hpp"

using adamcore::cuda::emulation::call;
using adamcore::cuda::emulation::Captured;
using adamcore::cuda::emulation::CaptureMode;
using adamcore::cuda::emulation::EventState;
using adamcore::cuda::emulation::fail;
using adamcore::cuda::emulation::handle_of;
using adamcore::cuda::emulation::place;
using adamcore::cuda::emulation::Queued;
using adamcore::cuda::emulation::StreamState;
using adamcore::cuda::emulation::World;

using State = std::shared_ptr<EventState>;

struct cudaEventOfTheEmulation {
    State state = std::make_shared<EventState>();
};

namespace adamcore::cuda {

bool has_kernels(int) { return true; }

}  // namespace adamcore::cuda

namespace emulation = adamcore::cuda::emulation;

cudaError_t cudaGetDeviceCount(int* count) {
    *count = emulation::devices;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    const std::string name = "emulated device " + std::to_string(device);
    *properties = {{}, 9, 0};
    std::strncpy(properties->name, name.c_str(), sizeof properties->name - 1);
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
    *device = emulation::current_device();
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
    emulation::set_device(device);
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
    return call("wait", [](World& world, World::Hold& hold) {
        world.require_no_capture();
        world.note("wait for the device");
        world.run_until(hold, nullptr);
    });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    return call("stream", [&](World& world, World::Hold&) {
        world.require_safe_call();
        *stream = handle_of(world.add_stream(flags != cudaStreamNonBlocking));
    });
}

namespace {

void require_uncaptured(const StreamState& stream) {
    if (!stream.captured) return;
    stream.captured->capture->spoiled = true;
    fail(cudaErrorStreamCaptureUnsupported);
}

}  // namespace

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call("wait", [&](World& world, World::Hold& hold) {
        world.require_safe_call();
        const StreamState& state = world.stream(handle_of(stream));
        require_uncaptured(state);
        world.note("wait for the stream" + place(handle_of(stream)));
        if (const Queued last = state.last) world.run_until(hold, last);
    });
}

cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long* identity) {
    return call("", [&](World& world, World::Hold&) {
        require_uncaptured(world.stream(handle_of(stream)));  // as CUDA 13.0 does
        *identity = world.identity(handle_of(stream));
    });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    *mode =
        static_cast<cudaStreamCaptureMode>(std::exchange(emulation::thread_mode(), static_cast<CaptureMode>(*mode)));
    return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    return call("", [&](World& world, World::Hold&) {
        const StreamState& state = world.stream(handle_of(stream));
        *status = state.captured ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
        if (state.legacy && world.blocking_capture(state.device)) fail(cudaErrorStreamCaptureImplicit);
    });
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                     unsigned long long* identity) {
    return call("", [&](World& world, World::Hold&) {
        const StreamState& state = world.stream(handle_of(stream));
        *status = state.captured ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
        if (state.captured) *identity = state.captured->capture->number;
    });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
    return call("event", [&](World& world, World::Hold&) {
        world.require_safe_call();
        *event = new cudaEventOfTheEmulation;
        (*event)->state->number = ++world.events;
    });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    const cudaError_t status = call("", [](World& world, World::Hold&) { world.require_safe_call(); });
    if (status != cudaErrorStreamCaptureUnsupported) delete event;  // after an error that stays, it is never used again
    return status;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return cudaEventRecordWithFlags(event, stream, 0);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
    return call("event", [&](World& world, World::Hold& hold) {
        if (world.pretends) return;
        EventState& known = *event->state;
        StreamState& state = world.stream(handle_of(stream));
        world.require_legacy_is_free(state);
        const bool external = (flags & cudaEventRecordExternal) != 0;
        world.note((external ? "record at each replay " : "record ") + std::to_string(known.number) +
                   place(handle_of(stream)));
        if (external) {
            if (!state.captured) fail(cudaErrorInvalidValue);
            world.add_node(state, {"record", {}, {}, nullptr, event->state});
        } else if (state.captured) {
            known.captured = *state.captured;
        } else {
            known.captured.reset();
            known.recorded = world.append(hold, state, {});
        }
    });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    return call("event", [&](World& world, World::Hold& hold) {
        if (world.pretends) return;
        const EventState& known = *event->state;
        StreamState& state = world.stream(handle_of(stream));
        world.require_legacy_is_free(state);
        const bool external = (flags & cudaEventWaitExternal) != 0;
        world.note((external ? "hold at each replay for " : "hold for ") + std::to_string(known.number) +
                   place(handle_of(stream)));
        if (external) {
            if (!state.captured) fail(cudaErrorInvalidValue);
            world.add_node(state, {"hold", {}, {}, event->state, nullptr});
        } else if (known.captured) {
            if (known.captured->capture->ended) fail(cudaErrorCapturedEvent);
            if (!state.captured) state.captured = Captured{known.captured->capture, {}};
            state.captured->frontier.insert(known.captured->frontier.begin(), known.captured->frontier.end());
        } else if (state.captured) {
            state.captured->capture->spoiled = true;
            fail(cudaErrorStreamCaptureIsolation);
        } else {
            world.append(hold, state, {}, {known.recorded});
        }
    });
}

namespace {

void require_not_captured(const EventState& event) {
    if (!event.captured) return;
    event.captured->capture->spoiled = true;
    fail(cudaErrorCapturedEvent);
}

}  // namespace

cudaError_t cudaEventQuery(cudaEvent_t event) {
    return call("", [&](World& world, World::Hold&) {
        world.require_safe_call();
        require_not_captured(*event->state);
        if (event->state->recorded && !event->state->recorded->done) fail(cudaErrorNotReady);
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call("wait", [&](World& world, World::Hold& hold) {
        world.require_safe_call();
        require_not_captured(*event->state);
        world.note("wait for " + std::to_string(event->state->number));
        if (const Queued recorded = event->state->recorded) world.run_until(hold, recorded);
    });
}
