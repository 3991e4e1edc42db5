#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/queue_test.hpp"
#include "support/twins.hpp"

/// Hyper-parameters that change from step to step in captured steps.
namespace adamcore::test {
namespace {

namespace emulation = cuda::emulation;
using cuda::Stream;

constexpr std::size_t lr = 0, beta1 = 1, beta2 = 2, weight_decay = 4;

/// A model of two groups on both sides. Both follow one schedule of rates, and the first follows three more.
class Scheduled {
public:
    explicit Scheduled(Stream stream, const cuda::StepRequest& request = {})
        : twins({}, 2), stream_(stream), request_(request) {
        request_.stream = stream;
    }

    static double value(std::size_t row, std::int64_t t) {
        const auto x = static_cast<double>(t);
        const double values[] = {0.1 / (1 + x), 0.5 + 0.4 * std::sin(x), 0.9 + 0.001 * static_cast<double>(t % 7),
                                 0.01 * static_cast<double>(t % 3)};
        return values[row];
    }
    static cuda::Forecast forecast(std::int64_t begin, std::int64_t count) {
        cuda::Forecast forecast{begin, count, {}, {{0, lr, 0}, {1, lr, 0}, {0, beta1, 1}, {0, beta2, 2}}};
        forecast.fields.push_back({0, weight_decay, 3});
        for (std::size_t row = 0; row < 4; ++row) {
            for (std::int64_t k = 0; k < count; ++k) forecast.values.push_back(value(row, begin + k));
        }
        return forecast;
    }

    /// The values that the next step on the CPU uses: those after `t` steps.
    void follow_here(std::int64_t t) {
        for (const cuda::ScheduledField& each : forecast(0, 1).fields)
            twins.set_here(static_cast<std::size_t>(each.group), static_cast<std::size_t>(each.field),
                           value(static_cast<std::size_t>(each.row), t));
    }
    /// The same for a step of the engine that is not captured.
    void follow_there(std::int64_t t) {
        follow_here(t);
        twins.set_there();
    }

    void eager(Stream stream) {
        follow_there(twins.steps());
        cuda::StepRequest request = request_;
        request.stream = stream;
        twins.step_there(request);
        twins.step_here();
    }
    auto captured() {
        emulation::begin_capture(stream_);
        twins.step_there(request_);
        return emulation::end_capture(stream_);
    }
    void upload(std::int64_t count, Stream stream) {
        twins.engine.set_forecast(forecast(twins.steps(), count));
        twins.engine.upload(stream);
        last_ = twins.steps() + count - 1;
    }
    void replay(const std::shared_ptr<const emulation::Graph>& graph, Stream stream) {
        emulation::launch(graph, stream);
        follow_here(std::min(twins.steps(), last_));
        overruns_ += twins.steps() > last_;
        twins.step_here();
    }
    bool agree() { return twins.agree() && twins.engine.overruns() == overruns_; }

    Twins twins;

private:
    Stream stream_;
    cuda::StepRequest request_;
    std::int64_t last_ = -1, overruns_ = 0;
};

class CudaSchedules : public QueueTest {};

TEST_F(CudaSchedules, AReplayTakesTheValuesOfItsClock) {
    const Stream stream = emulation::make_stream(false);
    for (const bool backwards : {false, true}) {
        emulation::run_backwards(backwards);
        Scheduled model(stream);
        model.eager(stream);
        const auto graph = model.captured();
        for (const std::int64_t window : {1, 5, 3, 40, 2}) {
            model.upload(window, stream);
            for (std::int64_t k = 0; k < window; ++k) model.replay(graph, stream);
            ASSERT_TRUE(model.agree()) << window;
        }
    }
}

TEST_F(CudaSchedules, ReplaysBeyondTheLastValueKeepItAndAreCounted) {
    const Stream stream = emulation::make_stream(false);
    Scheduled model(stream);
    model.eager(stream);
    const auto graph = model.captured();
    for (const int beyond : {3, 0, 2}) {
        model.upload(4, stream);
        for (int k = 0; k < 4 + beyond; ++k) model.replay(graph, stream);
        ASSERT_TRUE(model.agree()) << beyond;
    }
    EXPECT_EQ(model.twins.engine.overruns(), 5);
}

TEST_F(CudaSchedules, AnUploadBeforeTheFirstStepOrTheCaptureCounts) {
    const Stream stream = emulation::make_stream(false);
    for (const bool before_first : {true, false}) {
        Scheduled model(stream);
        if (before_first) model.upload(9, stream);
        model.eager(stream);
        if (!before_first) model.upload(8, stream);
        model.eager(stream);
        const auto graph = model.captured();
        for (int k = 0; k < 7; ++k) model.replay(graph, stream);
        EXPECT_TRUE(model.agree());
        EXPECT_EQ(model.twins.engine.overruns(), 0);
    }
}

TEST_F(CudaSchedules, ASkippedStepDoesNotAdvanceThem) {
    const Stream stream = emulation::make_stream(false);
    cuda::StepRequest request;
    request.check = true;
    Scheduled model(stream, request);
    model.eager(stream);
    const auto graph = model.captured();
    model.upload(5, stream);
    for (int k = 0; k < 8; ++k) {
        emulation::synchronize();
        model.twins.set_gradient(std::numeric_limits<float>::quiet_NaN());
        emulation::launch(graph, stream);
        emulation::synchronize();
        model.twins.set_gradient(0.5f);
        model.replay(graph, stream);
        ASSERT_TRUE(model.agree()) << k;
    }
    EXPECT_EQ(model.twins.engine.overruns(), 3);
}

TEST_F(CudaSchedules, GraphsShareOneTable) {
    const Stream first = emulation::make_stream(false), second = emulation::make_stream(false);
    Scheduled model(first);
    model.eager(first);
    const auto one = model.captured();
    model.upload(3, second);
    model.replay(one, first);
    const auto other = model.captured();
    for (int k = 0; k < 4; ++k) model.replay(k % 2 ? one : other, k % 3 ? first : second);
    model.upload(500, first);
    for (int k = 0; k < 20; ++k) model.replay(k % 2 ? one : other, k % 3 ? first : second);
    EXPECT_TRUE(model.agree());
}

TEST_F(CudaSchedules, NumbersTakeTheirPlace) {
    const Stream stream = emulation::make_stream(false);
    Scheduled model(stream);
    model.eager(stream);
    const auto graph = model.captured();
    model.upload(10, stream);
    for (int k = 0; k < 3; ++k) model.replay(graph, stream);
    model.twins.engine.set_forecast({});
    model.follow_there(0);  // with values that the host has had before
    model.twins.engine.upload(stream);
    for (int k = 0; k < 3; ++k) {
        emulation::launch(graph, stream);
        model.twins.step_here();
    }
    EXPECT_TRUE(model.agree());
    model.upload(10, stream);
    for (int k = 0; k < 3; ++k) model.replay(graph, stream);
    EXPECT_TRUE(model.agree());
}

/// A step that is not captured uses the values that the host has, even if it has had them before.
TEST_F(CudaSchedules, StepsBetweenReplaysUseTheHostsValues) {
    const Stream stream = emulation::make_stream(false);
    Scheduled model(stream);
    model.eager(stream);
    const auto graph = model.captured();
    model.upload(100, stream);
    for (int k = 0; k < 20; ++k) {
        if (k % 3 == 2) {
            model.follow_there(0);
            model.twins.step_there({stream});
            model.twins.step_here();
        } else {
            model.replay(graph, stream);
        }
        ASSERT_TRUE(model.agree()) << k;
    }
}

TEST_F(CudaSchedules, CapturesBringWhatHasNotBeenUploaded) {
    const Stream stream = emulation::make_stream(false);
    Scheduled model(stream);
    model.eager(stream);
    for (const std::int64_t count : {30, 5, 600, 2000}) {  // other tables are released amid a capture
        const std::int64_t t = model.twins.steps();
        model.twins.engine.set_forecast(Scheduled::forecast(t, count));
        const auto graph = model.captured();
        emulation::launch(graph, stream);
        model.follow_here(t);
        model.twins.step_here();
    }
    EXPECT_TRUE(model.agree());
}

/// Without schedules there is nothing more to copy.
TEST_F(CudaSchedules, NumbersCostNothing) {
    const Stream stream = emulation::make_stream(false);
    Twins twins;
    twins.step_there({stream});
    emulation::begin_capture(stream);
    twins.step_there({stream});
    emulation::end_capture(stream);
    emulation::synchronize();
    twins.engine.set_forecast({});
    emulation::take_log();
    twins.engine.upload(stream);
    EXPECT_EQ(logged("copy"), 0);
    twins.set_rate(0.5);
    twins.engine.upload(stream);
    EXPECT_EQ(logged("copy"), 1);
}

TEST_F(CudaSchedules, AForecastMustBeComplete) {
    Twins twins;
    const double nothing[] = {0.1, 0.2};
    const std::vector<double> values(std::begin(nothing), std::end(nothing));
    for (const cuda::Forecast& wrong :
         {cuda::Forecast{0, 2, values, {{1, 0, 0}}}, cuda::Forecast{0, 2, values, {{0, 16, 0}}},
          cuda::Forecast{0, 2, values, {{0, 0, 1}}}, cuda::Forecast{0, 2, values, {{0, 0, -1}}},
          cuda::Forecast{0, 3, values, {{0, 0, 0}}}, cuda::Forecast{0, 0, values, {{0, 0, 0}}}})
        EXPECT_THROW(twins.engine.set_forecast(wrong), cuda::Error);
    EXPECT_TRUE(twins.engine.forecast().fields.empty());
}

/// If an upload fails, replays go on with the values that they have, and it can be made again.
TEST_F(CudaSchedules, AnUploadThatFailsCanBeMadeAgain) {
    for (const std::string kind : {"allocate", "event", "copy", "stream"}) {
        for (int nth = 1;; ++nth) {
            const Stream stream = emulation::make_stream(false);
            Scheduled model(stream);
            model.eager(stream);
            const auto graph = model.captured();
            model.upload(300, stream);
            model.replay(graph, stream);
            emulation::synchronize();
            emulation::inject_fault(kind, nth, false);
            bool failed = false;
            try {
                model.upload(300, stream);
            } catch (const cuda::Error&) {
                failed = true;
            }
            const bool happened = emulation::clear_faults();
            if (failed) {
                model.replay(graph, stream);
                model.upload(300, stream);
            }
            for (int k = 0; k < 5; ++k) model.replay(graph, stream);
            ASSERT_TRUE(model.agree()) << kind << " " << nth;
            if (!happened) break;
            ASSERT_LT(nth, 100);
        }
    }
}

/// Replays, uploads of any length and steps that are not captured, on any stream.
TEST_F(CudaSchedules, AnyProgramIsAsIfStepsCameOneAfterTheOther) {
    for (std::uint32_t seed = 0; seed < 100; ++seed) {
        use(seed % 4 ? emulation::Schedule::random : emulation::Schedule::lazy, seed);
        std::mt19937 random(seed);
        const auto one_of = [&](auto&& values) { return values[random() % std::size(values)]; };
        const Stream streams[] = {1, 2, emulation::make_stream(true), emulation::make_stream(false)};
        Scheduled model(streams[3]);
        model.eager(one_of(streams));
        model.eager(streams[3]);
        std::vector<std::shared_ptr<const emulation::Graph>> graphs{model.captured()};
        model.upload(4, one_of(streams));
        for (int k = 0; k < 25; ++k) {
            switch (random() % 8) {
                case 0: model.upload(1 + random() % 9, one_of(streams)); break;
                case 1: model.eager(one_of(streams)); break;
                case 2: graphs.push_back(model.captured()); break;
                case 3: ASSERT_EQ(model.twins.engine.completed(), model.twins.steps()) << seed; break;
                default: model.replay(one_of(graphs), one_of(streams));
            }
        }
        ASSERT_TRUE(model.agree()) << seed;
    }
}

}  // namespace
}  // namespace adamcore::test
