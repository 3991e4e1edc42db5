#pragma once

#include <string>

#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/parallel.hpp"

/// What is set for the whole process: the instruction set and the number of threads.
namespace adamcore::python {

/// The kernels in use: the processor's best, or what ADAMCORE_ISA or set_isa() says.
const cpu::Kernels& kernels();

/// Raises ValueError if this build or this processor has no such path.
void set_isa(const std::string& name);

/// The library's threads: as many as set_num_threads() says, or as the process may use; one in a forked child.
cpu::Threads pool();
void set_num_threads(int threads);

}  // namespace adamcore::python
