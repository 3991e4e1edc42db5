#include "common/support.hpp"

#include "common/variant.hpp"

namespace adamcore::experiments {

Kernel copy_kernel() { return kernel_alone<Copy>(); }
Kernel fill_kernel() { return kernel_alone<Fill>(); }
Kernel reset_kernel() { return kernel_alone<Reset>(); }
Kernel delay_kernel() { return kernel_alone<Delay>(); }

}  // namespace adamcore::experiments
