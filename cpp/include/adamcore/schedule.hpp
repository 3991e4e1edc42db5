#pragma once

/// Schedules: numbers that depend on the clock, such as learning rates.
///
/// A schedule is a struct of its arguments. `schedule(t)` is the value that the update after `t` completed ones uses, so
/// the first update uses `schedule(0)`. It is a pure function of the arguments and `t`, has the same bits on every
/// processor, and allocates nothing. `t` may be fractional. Nothing is checked here: arguments and `t` must be what the
/// comments ask for. Names, arguments and defaults are those of Python's `adamcore.schedules`.
///
///     const schedules::Warmup<schedules::Cosine> rate{{0.1, 0.01, 900}, 100};
///     hyper.lr = rate(completed);

#include "adamcore/schedules/combinations.hpp"
#include "adamcore/schedules/cycles.hpp"
#include "adamcore/schedules/decays.hpp"
#include "adamcore/schedules/phases.hpp"
#include "adamcore/schedules/ramps.hpp"
