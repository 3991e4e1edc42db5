#pragma once

#include <pybind11/pybind11.h>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace adamcore::python {

// Until 3.13, Python ends a thread that asks for the GIL when the interpreter has ended, or is about to: by
// pthread_exit(), which unwinds the stack, through destructors that must not throw, or let go of Python's objects
// without the GIL. Here such a thread sleeps until the process is gone, as Python 3.14 has it.

[[noreturn]] void sleep_for_ever();

/// Lets go of the GIL for as long as it lives. (py::gil_scoped_release ends the process where the interpreter ends first.)
class GilRelease {
public:
    GilRelease() noexcept : thread_(PyEval_SaveThread()) {}
    ~GilRelease();
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

private:
    PyThreadState* thread_;
};

/// Calls `f`, which may run Python code, where the GIL changes hands.
template <class F>
auto run_python(F&& f) {
#if defined(__GLIBCXX__)
    try {
        return f();
    } catch (const abi::__forced_unwind&) {
        sleep_for_ever();
    }
#else
    return f();
#endif
}

}  // namespace adamcore::python
