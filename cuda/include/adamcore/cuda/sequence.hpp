#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "adamcore/cuda/runtime.hpp"

namespace adamcore::cuda {

/// Orders pieces of work one after another, even on different streams. A piece consists of follow(), the work that is
/// queued on the stream, and advance(). Thread-safe.
class Sequence {
public:
    /// Makes work that is queued on `stream` from now on come after all pieces so far.
    void follow(Stream stream);
    void advance(Stream stream);

    /// The same for a captured piece, which takes its place in the sequence each time the graph is launched.
    void follow_when_replayed(Stream stream);
    void advance_when_replayed(Stream stream);

    /// The event behind the latest piece.
    const Event& latest() const { return latest_; }

private:
    std::mutex lock_;
    Event latest_;
    std::optional<std::uint64_t> stream_;   ///< the stream of the latest piece; replays may have used others
    std::optional<std::uint64_t> capture_;  ///< the latest capture that contains a piece
    std::optional<Event> within_;           ///< the event behind the latest piece in that capture
};

}  // namespace adamcore::cuda
