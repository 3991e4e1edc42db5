#pragma once

#include <mutex>

#include "adamcore/cuda/engine.hpp"

namespace adamcore::cuda {

/// Places on the device for what steps report. A place is used again when nobody can ask for it any more.
class Engine::Reports {
public:
    Reports(int device, std::optional<Stream> stream) : device_(device), stream_(stream) {}

    /// A captured step's is never used again, since the graph may outlive all that we know of.
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
