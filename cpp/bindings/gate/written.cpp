#include "gate/written.hpp"

#include "gate/foreign.hpp"
#include "runtime/gil.hpp"

namespace adamcore::python {
namespace {

/// torch._C._increment_version, which is C; the public function is a Python wrapper around it. It takes many tensors
/// from PyTorch 2.6 on, and one tensor before that.
struct Increment {
    py::object native, one_by_one;

    Increment() {
        const py::module_ torch = py::module_::import("torch");
        native = py::getattr(torch.attr("_C"), "_increment_version", py::none());
        one_by_one = torch.attr("autograd").attr("graph").attr("increment_version");
    }

    void operator()(const py::list& tensors) const {
        if (!native.is_none()) {
            try {
                native(tensors);
                return;
            } catch (py::error_already_set& error) {
                if (!error.matches(PyExc_TypeError) && !error.matches(PyExc_RuntimeError)) throw;
            }
        }
        for (const py::handle tensor : tensors) one_by_one(tensor);
    }
};

/// The function, which is found when the first array that counts writes is bound, and not after a write.
const Increment& increment() {
    static const auto* const found = new Increment;  // never destroyed, because it lives as long as Python
    return *found;
}

}  // namespace

bool counts_writes(py::handle array) {
    static const py::handle version = interned("_version"), is_inference = interned("is_inference");
    if (!is_torch(array) || !find_attr(array, is_inference)) return false;
    return run_python([&] {
        const bool counts = !array.attr(is_inference)().cast<bool>() && find_attr(array, version);
        if (counts) (void)increment();
        return counts;
    });
}

void note_written(const py::list& arrays) {
    if (arrays.empty()) return;
    run_python([&] { increment()(arrays); });
}

void note_written_among(const py::list& arrays) {
    py::list counting;
    for (const py::handle array : arrays) {
        if (counts_writes(array)) counting.append(array);
    }
    if (!counting.empty()) note_written(counting);
}

}  // namespace adamcore::python
