#include "cpu/dispatch.hpp"

#include <atomic>
#include <cstdlib>

#include <pybind11/pybind11.h>

namespace adamcore::python {
namespace {

namespace py = pybind11;

const cpu::Kernels& find_kernels(const std::string& name, const std::string& source) {
    for (const cpu::Isa isa : cpu::all_isas) {
        if (name != cpu::name_of(isa)) continue;
        if (const cpu::Kernels* found = cpu::kernels_for(isa)) return *found;
        throw py::value_error(source + ": this processor or this build has no '" + name + "' path");
    }
    throw py::value_error(source + ": unknown instruction set '" + name + "'; use baseline, avx2, avx512 or neon");
}

const cpu::Kernels& initial_kernels() {
    const char* forced = std::getenv("ADAMCORE_ISA");
    return forced && *forced ? find_kernels(forced, "ADAMCORE_ISA") : cpu::best_kernels();
}

std::atomic<const cpu::Kernels*>& current_kernels() {
    static std::atomic<const cpu::Kernels*> current{&initial_kernels()};
    return current;
}

std::atomic<int>& current_threads() {
    static std::atomic<int> current{cpu::usable_threads()};
    return current;
}

}  // namespace

const cpu::Kernels& kernels() { return *current_kernels().load(std::memory_order_relaxed); }

void set_isa(const std::string& name) { current_kernels().store(&find_kernels(name, "set_isa")); }

cpu::Threads pool() { return {cpu::is_forked_child() ? 1 : current_threads().load(std::memory_order_relaxed)}; }

void set_num_threads(int threads) {
    if (threads < 1)
        throw py::value_error("set_num_threads: the number of threads must be at least 1, got " +
                              std::to_string(threads));
    current_threads().store(threads);
}

}  // namespace adamcore::python
