#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include "adamcore/cuda/runtime.hpp"

namespace adamcore::cuda {

/// Work that comes one piece after the other, whatever streams the pieces go to. A piece is follow(), what is queued on
/// that stream, advance(). For several threads.
class Sequence {
public:
    /// What is queued on `stream` from now on comes after all pieces so far.
    void follow(Stream stream);
    void advance(Stream stream);

    /// The same of a piece that is captured: it takes its place in the sequence each time the graph is launched.
    void follow_when_replayed(Stream stream);
    void advance_when_replayed(Stream stream);

    /// Behind the latest piece.
    const Event& latest() const { return latest_; }

private:
    std::mutex lock_;
    Event latest_;
    std::optional<std::uint64_t> stream_;   ///< of the latest piece; replays may have gone to any
    std::optional<std::uint64_t> capture_;  ///< the latest in which a piece has been captured
    std::uint64_t captured_stream_ = 0;     ///< of that capture's latest piece
    std::optional<Event> within_;           ///< behind it, for the capture itself
};

}  // namespace adamcore::cuda
