#pragma once

#include <pybind11/pybind11.h>

#if defined(__GLIBCXX__)
#include <cxxabi.h>
#endif

namespace adamcore::python {

// Until 3.13, Python ends a thread that requests the GIL after the interpreter has ended, or while it is ending: it
// calls pthread_exit(), which unwinds the stack through destructors that must not throw, or that release Python objects
// without the GIL. With this class such a thread sleeps until the process ends, as in Python 3.14.

[[noreturn]] void sleep_for_ever();

/// Releases the GIL during its lifetime. (py::gil_scoped_release aborts the process if the interpreter ends first.)
class GilRelease {
public:
    GilRelease() noexcept : thread_(PyEval_SaveThread()) {}
    ~GilRelease();
    GilRelease(const GilRelease&) = delete;
    GilRelease& operator=(const GilRelease&) = delete;

private:
    PyThreadState* thread_;
};

/// Calls `f`, which may run Python code that releases the GIL.
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
