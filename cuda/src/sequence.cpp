#include "adamcore/cuda/sequence.hpp"

namespace adamcore::cuda {

void Sequence::follow(Stream stream) {
    const std::scoped_lock lock(lock_);
    const std::uint64_t identity = identity_of(stream);
    if (capture_ || (stream_ && *stream_ != identity)) latest_.hold(stream);
}

void Sequence::advance(Stream stream) {
    const std::scoped_lock lock(lock_);
    stream_ = identity_of(stream);
    latest_.record(stream);
}

/// One waiting node is enough for a graph. CUDA does not define what a node waits for if its event was recorded earlier
/// in the same graph. Later pieces wait for the event behind the last one, whose stream cannot be compared with theirs:
/// CUDA does not tell the identity of a stream that is being captured.
void Sequence::follow_when_replayed(Stream stream) {
    const std::scoped_lock lock(lock_);
    const std::uint64_t capture = capture_of(stream);
    if (capture_ == capture) {
        within_->hold(stream);
        return;
    }
    within_.emplace();
    latest_.hold_at_each_replay(stream);
    capture_ = capture;
}

void Sequence::advance_when_replayed(Stream stream) {
    const std::scoped_lock lock(lock_);
    latest_.record_at_each_replay(stream);
    within_->record(stream);
}

}  // namespace adamcore::cuda
