#pragma once

#include <mutex>

#include "adamcore/cuda/engine.hpp"

namespace adamcore::cuda {

/// Memory on the device for the results of steps. It is reused when nobody can ask for a result any more.
class Engine::Reports {
public:
    Reports(int device, std::optional<Stream> stream) : device_(device), stream_(stream) {}

    /// The memory of a captured step is never reused, because the graph may live longer than any object we know.
    Report make(const std::shared_ptr<Reports>& self, bool for_ever, const std::shared_ptr<const Sequence>& steps);

private:
    static constexpr std::size_t places = 256;

    int device_;
    std::optional<Stream> stream_;
    std::vector<std::unique_ptr<Block>> blocks_;
    std::vector<Outcome*> free_;
    std::mutex lock_;  ///< reports are dropped by any thread
};

}  // namespace adamcore::cuda
