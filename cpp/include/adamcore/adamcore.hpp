#pragma once

/// Includes all of adamcore that does not need CUDA.

#include "adamcore/cpu/engine.hpp"
#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/norm.hpp"
#include "adamcore/cpu/parallel.hpp"
#include "adamcore/optimizer.hpp"
#include "adamcore/optimizer/by_name.hpp"
#include "adamcore/plan.hpp"
#include "adamcore/rule.hpp"
#include "adamcore/rule/tensor.hpp"
#include "adamcore/rules/all.hpp"
#include "adamcore/schedule.hpp"
#include "adamcore/tensor.hpp"
#include "adamcore/tree.hpp"
#include "adamcore/version.hpp"
