#include "runtime/gil.hpp"

#include <chrono>
#include <thread>

namespace adamcore::python {

void sleep_for_ever() {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

GilRelease::~GilRelease() {
    try {
        PyEval_RestoreThread(thread_);
    } catch (...) {  // unwinding by pthread_exit(); Python throws nothing else
        sleep_for_ever();
    }
}

}  // namespace adamcore::python
