#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>

#include "support/queue_test.hpp"
#include "support/twins.hpp"

/// What is queued, in which order it may run, what is waited for, and what a capture allows.
namespace adamcore::test {
namespace {

namespace emulation = cuda::emulation;
using cuda::Stream;

class CudaStreams : public QueueTest {
protected:
    static auto captured(Twins& twins, Stream stream, const cuda::StepRequest& request) {
        emulation::begin_capture(stream);
        twins.step_there(request);
        return emulation::end_capture(stream);
    }
};

TEST_F(CudaStreams, CapturesOnABlockingStreamWithGradientsOfTheDefaultOne) {
    const Stream blocking = emulation::make_stream(true);
    for (const Stream other : {Stream{0}, Stream{1}}) {
        Twins twins;
        twins.step_there({blocking});
        cuda::StepRequest request{blocking};
        request.others = {other};
        const auto graph = captured(twins, blocking, request);
        emulation::launch(graph, blocking);
        for (int k = 0; k < 2; ++k) twins.step_here();
        EXPECT_TRUE(twins.agree());
    }
}

TEST_F(CudaStreams, SaysWhatToDoAboutTheDefaultStreamAmidACapture) {
    const Stream blocking = emulation::make_stream(true), free = emulation::make_stream(false);
    Twins twins;
    twins.step_there({free});
    emulation::begin_capture(blocking);
    cuda::StepRequest mixed{free};
    mixed.others = {1};
    EXPECT_THROW(twins.step_there({1}), cuda::Error);
    EXPECT_THROW(twins.step_there(mixed), cuda::Error);
    try {
        twins.step_there({1});
    } catch (const cuda::Error& error) {
        EXPECT_NE(std::string(error.what()).find("capture on a non-blocking stream"), std::string::npos);
    }
    emulation::queue(blocking, "something", [] {});
    EXPECT_NO_THROW(emulation::end_capture(blocking));  // it has not been spoiled
    twins.step_here();
    EXPECT_TRUE(twins.agree());
}

TEST_F(CudaStreams, ReadsWithoutWaitingForOtherStreams) {
    const Stream own = emulation::make_stream(false), other = emulation::make_stream(false);
    cuda::Settings settings;
    settings.clip = Clip::norm;
    settings.limit = 1e30;
    Twins twins(settings);
    bool ran = false;
    emulation::queue(other, "another's work", [&] { ran = true; });
    const auto report = twins.engine.step({own});
    twins.step_here();
    EXPECT_GT(report->read().norm, 0);
    EXPECT_EQ(twins.engine.steps(0), 1);
    EXPECT_EQ(twins.engine.completed(), 1);
    EXPECT_EQ(scale::value(twins.engine.control().scale()), 1);
    EXPECT_FALSE(ran);
    EXPECT_EQ(logged("wait for the device"), 0);
    EXPECT_TRUE(twins.agree());
}

TEST_F(CudaStreams, ReadsWhileOthersCapture) {
    const Stream own = emulation::make_stream(false), other = emulation::make_stream(false);
    for (const auto mode : {emulation::CaptureMode::global, emulation::CaptureMode::relaxed}) {
        Twins twins;
        cuda::StepRequest request{own};
        request.check = true;
        twins.step_there(request);
        std::thread([&] { emulation::begin_capture(other, mode); }).join();
        EXPECT_EQ(twins.engine.steps(1), 1);
        EXPECT_EQ(twins.engine.completed(), 1);
        for (int k = 0; k < 3; ++k) twins.step_there(request);
        const std::vector<std::byte> much(std::size_t{1} << (mode == emulation::CaptureMode::global ? 21 : 22));
        const cuda::Block block(0, much.size());
        cuda::Staging::of(0).send(block.data(), much.data(), much.size(), own);  // pinned memory is allocated
        EXPECT_NO_THROW(emulation::end_capture(other));
        for (int k = 0; k < 4; ++k) twins.step_here();
        EXPECT_TRUE(twins.agree());
    }
}

TEST_F(CudaStreams, AllCountsAreOneCopyAndAreAskedForOnce) {
    const Stream stream = emulation::make_stream(false);
    Twins twins;
    cuda::StepRequest request{stream};
    request.check = true;
    twins.step_there(request);
    emulation::take_log();
    for (std::size_t i = 0; i < Twins::count; ++i) EXPECT_EQ(twins.engine.steps(i), 1);
    EXPECT_EQ(twins.engine.steps(), std::vector<std::int64_t>(Twins::count, 1));
    EXPECT_EQ(twins.engine.completed(), 1);
    EXPECT_EQ(logged("copy to the host"), 1);
}

TEST_F(CudaStreams, AReplayThatIsStillQueuedKeepsItsRate) {
    const Stream first = emulation::make_stream(false), second = emulation::make_stream(false);
    Twins twins;
    twins.step_there({first});
    twins.step_here();
    const auto graph = captured(twins, first, {first});
    emulation::launch(graph, first);
    twins.step_here();
    twins.set_rate(0.5);
    const auto other = captured(twins, second, {second});  // brings the rate at once
    emulation::launch(other, second);
    twins.step_here();
    EXPECT_TRUE(twins.agree());
}

TEST_F(CudaStreams, StepsAndUploadsFollowReplaysOnOtherStreams) {
    const Stream first = emulation::make_stream(false), second = emulation::make_stream(false);
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
        use(emulation::Schedule::random, seed);
        Twins twins;
        twins.step_there({first});
        twins.step_here();
        const auto graph = captured(twins, first, {first});
        for (int k = 0; k < 3; ++k) {
            emulation::launch(graph, first);
            twins.step_here();
            twins.set_rate(0.1 * (k + 1));
            twins.engine.upload(second);
            emulation::launch(graph, first);
            twins.step_here();
            twins.step_there({second});
            twins.step_here();
        }
        ASSERT_TRUE(twins.agree()) << seed;
    }
}

TEST_F(CudaStreams, SeveralStepsOfAGraphFollowEachOther) {
    const Stream first = emulation::make_stream(false), second = emulation::make_stream(false);
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        use(emulation::Schedule::random, seed);
        Twins twins;
        twins.step_there({first});
        twins.step_here();
        cuda::Event fork, join;
        emulation::begin_capture(first);
        twins.step_there({first});
        fork.record(first);
        fork.hold(second);
        twins.step_there({second});
        twins.step_there({first});
        join.record(second);
        join.hold(first);
        const auto graph = emulation::end_capture(first);
        for (int k = 0; k < 3; ++k) {
            emulation::launch(graph, k % 2 ? first : second);
            for (int step = 0; step < 3; ++step) twins.step_here();
        }
        ASSERT_TRUE(twins.agree()) << seed;
    }
}

TEST_F(CudaStreams, TheRuleStaysWhatAGraphKnows) {
    const Stream stream = emulation::make_stream(false);
    const Group group = distinct_group(index_of<SgdMomentum>(), false, 1.0);
    std::vector<float> p(100, 1), g(100, 1), m(100);
    cuda::Engine engine(0, {});
    engine.add_group(group);
    cuda::Entry entry;
    entry.tensor = adamcore::tensor(p.data(), static_cast<const float*>(g.data()), 100, 0, m.data());
    engine.add(entry);
    engine.step({stream});
    Group nesterov = group;
    nesterov.rule = index_of<SgdNesterov>();
    engine.set_group(0, nesterov);
    engine.step({stream});
    emulation::begin_capture(stream);
    engine.step({stream});
    const auto graph = emulation::end_capture(stream);
    EXPECT_THROW(engine.set_group(0, group), cuda::Error);
    emulation::launch(graph, stream);
    EXPECT_EQ(engine.steps(0), 3);
}

TEST_F(CudaStreams, AnUploadLeavesTheCountsWithTheHost) {
    const Stream stream = emulation::make_stream(false);
    Twins twins;
    twins.step_there({stream});
    twins.engine.upload(stream);
    emulation::take_log();
    twins.step_there({stream});
    EXPECT_EQ(logged("kernel"), 1);
}

TEST_F(CudaStreams, AnErrorLeavesNothingThatTerminates) {
    const Stream own = emulation::make_stream(false), other = emulation::make_stream(false);
    std::vector<float> values(5000, 1.0f);
    const cuda::Rescaled array{values.data(), Dtype::float32, 5000, {}};
    emulation::inject_fault("launch", 1, true);
    EXPECT_THROW(
        {
            cuda::Ordered ordered(0, own, {other});
            cuda::rescale_arrays(0, {array}, 0.5, 1.0, own);
            ordered.finish();
        },
        cuda::Error);
    EXPECT_TRUE(emulation::clear_faults());
}

/// Any call of CUDA's may fail; what raises before something has been launched has changed nothing.
TEST_F(CudaStreams, AStepThatFailsCanBeMadeAgain) {
    for (const std::string kind : {"allocate", "event", "copy", "stream"}) {
        for (int nth = 1;; ++nth) {
            const Stream stream = emulation::make_stream(false);
            cuda::Settings settings;
            settings.clip = Clip::norm;
            settings.limit = 1e30;
            Twins twins(settings);
            emulation::inject_fault(kind, nth, false);
            bool failed = false;
            for (int k = 0; k < 3; ++k) {
                try {
                    twins.step_there({stream});
                } catch (const cuda::Error&) {
                    ASSERT_FALSE(failed) << kind << " " << nth;
                    failed = true;
                    --k;
                }
            }
            if (!emulation::clear_faults()) break;
            for (int k = 0; k < 3; ++k) twins.step_here();
            // The last event of a step may fail when all of it has been queued.
            ASSERT_TRUE(kind == "event" || twins.agree()) << kind << " " << nth;
            ASSERT_LT(nth, 200);
        }
    }
}

TEST_F(CudaStreams, MemoryStaysUntilWhatUsesItIsDone) {
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        use(seed % 2 ? emulation::Schedule::random : emulation::Schedule::lazy, seed);
        const Stream stream = emulation::make_stream(false);
        std::vector<float> p(3000, 1), g(3000, 0.5f), m(3000), v(3000), expected = p, m2 = m, v2 = v;
        const Group group = distinct_group(index_of<AdamW>(), true, 1.0);
        {
            cuda::Engine engine(0, {});
            engine.add_group(group);
            cuda::Entry entry;
            entry.tensor = adamcore::tensor(p.data(), static_cast<const float*>(g.data()), 3000, 0, m.data(), v.data());
            engine.add(entry);
            cuda::StepRequest request{stream};
            request.check = true;
            engine.step(request);
        }
        emulation::synchronize();
        dispatch(
            cpu::best_kernels(), {group},
            {adamcore::tensor(expected.data(), static_cast<const float*>(g.data()), 3000, 1, m2.data(), v2.data())},
            cpu::Serial{});
        ASSERT_EQ(p, expected) << seed;
    }
}

/// Eager steps that the host or the device prepares, replays, uploads and counts that are read, on any stream.
TEST_F(CudaStreams, AnyProgramIsAsIfStepsCameOneAfterTheOther) {
    for (std::uint32_t seed = 0; seed < 150; ++seed) {
        use(seed % 4 ? emulation::Schedule::random : emulation::Schedule::lazy, seed);
        std::mt19937 random(seed);
        const auto one_of = [&](auto&& values) { return values[random() % std::size(values)]; };
        const Stream streams[] = {1, 2, emulation::make_stream(true), emulation::make_stream(false)};
        const Stream quiet = streams[3];
        Twins twins;
        const auto eager = [&](Stream stream) {
            cuda::StepRequest request{stream};
            request.check = random() % 2 == 0;
            twins.step_there(request);
            twins.step_here();
        };
        eager(one_of(streams));
        std::vector<std::shared_ptr<const emulation::Graph>> graphs;
        for (int k = 0; k < 25; ++k) {
            switch (random() % 7) {
                case 0:
                    twins.set_rate(0.01 * static_cast<double>(1 + random() % 50));
                    twins.engine.upload(one_of(streams));
                    break;
                case 1:
                    if (k < 12) break;
                    twins.step_there({quiet});  // one of the kind comes before
                    twins.step_here();
                    graphs.push_back(captured(twins, quiet, {quiet}));
                    break;
                case 2: ASSERT_EQ(twins.engine.completed(), twins.steps()) << seed; break;
                case 3: ASSERT_EQ(twins.engine.steps(1), twins.steps()) << seed; break;
                case 4:
                case 5:
                    if (!graphs.empty()) {
                        emulation::launch(graphs.back(), one_of(streams));
                        twins.step_here();
                        break;
                    }
                    [[fallthrough]];
                default: eager(one_of(streams));
            }
        }
        ASSERT_TRUE(twins.agree()) << seed;
    }
}

}  // namespace
}  // namespace adamcore::test
