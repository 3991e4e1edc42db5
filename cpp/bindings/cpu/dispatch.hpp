#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "adamcore/cpu/kernels.hpp"
#include "adamcore/cpu/parallel.hpp"

/// Settings of the whole process: the instruction set and the number of threads.
namespace adamcore::python {

/// The kernels in use: the best for this processor, or those selected by ADAMCORE_ISA or set_isa().
const cpu::Kernels& kernels();

/// Raises ValueError if this build or this processor does not have this path.
void set_isa(const std::string& name);

/// The library's threads. Their number is that of set_num_threads() or the number that the process may use. It is one
/// in a forked child.
cpu::Threads pool();
void set_num_threads(int threads);

/// The number of elements from which an update of so many arrays releases the GIL. Shorter updates are done before
/// another thread would have begun.
inline std::int64_t worth_releasing(std::size_t tensors) { return 4096 + 512 * static_cast<std::int64_t>(tensors); }

}  // namespace adamcore::python
