#pragma once

#include "adamcore/rules/adafactor.hpp"
#include "adamcore/rules/adagrad.hpp"
#include "adamcore/rules/adam.hpp"
#include "adamcore/rules/adamw.hpp"
#include "adamcore/rules/adan.hpp"
#include "adamcore/rules/lamb.hpp"
#include "adamcore/rules/lars.hpp"
#include "adamcore/rules/lion.hpp"
#include "adamcore/rules/novograd.hpp"
#include "adamcore/rules/prodigy.hpp"
#include "adamcore/rules/rmsprop.hpp"
#include "adamcore/rules/schedule_free_adamw.hpp"
#include "adamcore/rules/sgd.hpp"
#include "adamcore/rules/stable_adamw.hpp"

namespace adamcore::rules {

/// All rules. Engines iterate over this list and never name a rule.
using All = rule::List<Adam, AdamAmsgrad, AdamW, AdamWAmsgrad, Sgd, SgdMomentum, SgdNesterov, RmsProp, RmsPropMomentum,
                       RmsPropCentered, RmsPropCenteredMomentum, Adagrad, Lamb, Lars, LarsMomentum, LarsNesterov,
                       NovoGrad, NovoGradAmsgrad, Adafactor, AdafactorVector, Prodigy, AdamWCautious,
                       AdamWAmsgradCautious, Adan, Lion, LionCautious, StableAdamW, ScheduleFreeAdamW>;

}  // namespace adamcore::rules
