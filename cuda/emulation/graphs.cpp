// Captures, and what they do not allow (CUDA C++ programming guide, "Creating a graph using stream capture").

#include <algorithm>

#include "world.hpp"

namespace adamcore::cuda::emulation {

std::size_t World::add_node(StreamState& state, Node node) {
    Captured& captured = *state.captured;
    if (captured.capture->spoiled) fail(cudaErrorStreamCaptureInvalidated);
    node.after = captured.frontier;
    captured.capture->graph->nodes.push_back(std::move(node));
    const std::size_t place = captured.capture->graph->nodes.size() - 1;
    captured.frontier = {place};
    return place;
}

void World::require_safe_call() {
    if (thread_mode() == CaptureMode::relaxed) return;
    for (const auto& each : captures) {
        const auto capture = each.lock();
        if (!capture || capture->ended || capture->mode == CaptureMode::relaxed) continue;
        const bool own = capture->thread == thread_number();
        if (!own && (capture->mode != CaptureMode::global || thread_mode() != CaptureMode::global)) continue;
        capture->spoiled = true;
        fail(cudaErrorStreamCaptureUnsupported);
    }
}

Capture* World::blocking_capture(int device) {
    for (auto& [key, state] : streams_) {
        if (state.captured && state.blocking && state.device == device) return state.captured->capture.get();
    }
    return nullptr;
}

void World::require_legacy_is_free(const StreamState& state) {
    if (!state.legacy) return;
    if (Capture* const capture = blocking_capture(state.device)) {
        capture->spoiled = true;
        fail(cudaErrorStreamCaptureImplicit);
    }
}

void World::require_no_capture() {
    for (auto& [key, state] : streams_) {
        if (!state.captured || state.device != current_device()) continue;
        state.captured->capture->spoiled = true;
        fail(cudaErrorStreamCaptureUnsupported);
    }
}

bool World::is_captured_anywhere() {
    bool is = false;
    for_each_stream([&](const StreamState& state) { is = is || state.captured; });
    return is;
}

void begin_capture(Stream stream, CaptureMode mode) {
    const auto hold = World::hold();
    World& world = World::get();
    StreamState& state = world.stream(stream);
    if (state.legacy || state.captured) fail(cudaErrorStreamCaptureUnsupported);
    auto capture = std::make_shared<Capture>();
    capture->number = ++world.captures_begun;
    capture->mode = mode;
    capture->origin = stream;
    capture->thread = thread_number();
    world.captures.push_back(capture);
    state.captured = Captured{std::move(capture), {}};
}

namespace {

/// Whether a node is among others, or comes before one of them.
bool is_joined(const Graph& graph, std::size_t node, const std::set<std::size_t>& others) {
    return std::any_of(others.begin(), others.end(), [&](std::size_t other) {
        return other == node || is_joined(graph, node, graph.nodes[other].after);
    });
}

}  // namespace

std::shared_ptr<const Graph> end_capture(Stream stream) {
    const auto hold = World::hold();
    World& world = World::get();
    StreamState& state = world.stream(stream);
    if (!state.captured || state.captured->capture->origin != stream) fail(cudaErrorInvalidValue);
    const Captured captured = *state.captured;
    const std::shared_ptr<Graph> graph = captured.capture->graph;
    bool joined = true;
    world.for_each_stream([&](StreamState& other) {
        if (!other.captured || other.captured->capture != captured.capture) return;
        for (const std::size_t node : other.captured->frontier)
            joined = joined && is_joined(*graph, node, captured.frontier);
        other.captured.reset();
    });
    captured.capture->ended = true;
    if (captured.capture->spoiled) fail(cudaErrorStreamCaptureInvalidated);
    if (!joined) fail(cudaErrorStreamCaptureUnjoined);
    return graph;
}

void launch(const std::shared_ptr<const Graph>& graph, Stream stream) {
    auto hold = World::hold();
    World& world = World::get();
    if (world.pretends) return;
    world.fault_point("launch");
    StreamState& state = world.stream(stream);
    if (state.captured) fail(cudaErrorNotSupported);
    world.require_legacy_is_free(state);
    world.note("graph" + place(stream));
    const Queued start = world.append(hold, state, {}, {graph->last_launch});
    std::vector<Queued> done;
    std::set<EventState*> recorded;
    for (const Node& node : graph->nodes) {
        // CUDA does not define what such a node waits for.
        if (node.waits_for && recorded.count(node.waits_for.get())) fail(cudaErrorNotSupported);
        if (node.records) recorded.insert(node.records.get());
        std::vector<Queued> after{start};
        for (const std::size_t each : node.after) after.push_back(done[each]);
        if (node.waits_for) after.push_back(node.waits_for->recorded);
        const auto work = [each = node.work] {
            if (each && *each) (*each)();
        };
        done.push_back(world.add(work, std::move(after)));
        if (node.records) node.records->recorded = done.back();
    }
    graph->last_launch = world.append(hold, state, {}, done);
}

}  // namespace adamcore::cuda::emulation
