#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <pybind11/pybind11.h>

#include "adamcore/cuda/memory.hpp"
#include "adamcore/cuda/sequence.hpp"
#include "adamcore/cuda/table.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {

namespace py = pybind11;

/// A LossScaler's numbers in device memory, where steps update them.
class Scaler {
public:
    /// `memory` owns the memory at `address`, which has room for LossScaling.
    Scaler(int device, py::object memory, std::uintptr_t address)
        : device_(device), memory_(std::move(memory)), place_(reinterpret_cast<cuda::LossScaling*>(address)) {
        const cuda::DeviceScope scope(device);
        sequence_ = std::make_shared<cuda::Sequence>();
    }

    static std::size_t size() { return sizeof(cuda::LossScaling); }
    /// The offset of the scale, as a float32.
    static std::size_t multiplier_offset() { return offsetof(cuda::LossScaling, multiplier); }

    /// Loads LossScaler's numbers, in the order of a stream, between the steps that use them.
    void write(const py::dict& numbers, cuda::Stream stream) {
        const auto number = [&](const char* name) { return numbers[name].cast<double>(); };
        cuda::LossScaling s{};
        s.scale = number("scale");
        s.growth_factor = number("growth_factor");
        s.backoff_factor = number("backoff_factor");
        s.min_scale = number("min_scale");
        s.largest = number("largest");
        s.growth_interval = numbers["growth_interval"].cast<std::int64_t>();
        s.clean_steps = numbers["clean_steps"].cast<std::int64_t>();
        s.multiplier = static_cast<float>(s.scale);
        const GilRelease release;  // a full queue may wait for work that needs it
        const cuda::DeviceScope scope(device_);
        if (cuda::is_capturing(stream))
            throw cuda::Error(
                "LossScaler: its numbers cannot be set while a CUDA graph is being captured, because each replay would "
                "set them again");
        const auto uses = sequence();
        uses->follow(stream);
        cuda::Staging::of(device_).send(place_, &s, sizeof s, stream);
        uses->advance(stream);
    }

    /// scale, clean_steps, and whether a gradient has overflowed at the floor since the last call. Waits for the latest
    /// step.
    py::tuple read() {
        cuda::LossScaling s{};
        {
            const GilRelease release;  // what is waited for may need it
            const cuda::DeviceScope scope(device_);
            cuda::copy_to_host(&s, place_, sizeof s, sequence()->latest());
            constexpr std::int32_t none = 0;
            if (s.failed) cuda::copy_to_device_now(&place_->failed, &none, sizeof none);
        }
        const bool failed = s.failed != 0;
        return py::make_tuple(s.scale, s.clean_steps, failed);
    }

    /// Makes the steps of this sequence use the scaler from now on. The first of them, on `stream`, comes after earlier
    /// writes.
    void join(const std::shared_ptr<cuda::Sequence>& steps, cuda::Stream stream) {
        const auto before = sequence();
        if (before == steps) return;
        before->follow(stream);
        const std::scoped_lock lock(lock_);
        sequence_ = steps;
    }

    cuda::LossScaling* on_device() const { return place_; }
    int device() const { return device_; }
    py::object memory() const { return memory_; }

private:
    int device_;
    py::object memory_;
    cuda::LossScaling* place_;
    std::shared_ptr<cuda::Sequence> sequence_;  ///< of what writes to it; threads without the GIL come here
    std::mutex lock_;

    std::shared_ptr<cuda::Sequence> sequence() {
        const std::scoped_lock lock(lock_);
        return sequence_;
    }
};

}  // namespace adamcore::python
