#pragma once

#include <string>

#include <pybind11/numpy.h>

#include "gate/view.hpp"

namespace adamcore::python {

/// An array over memory that the CPU cannot read and never will: for NumPy to tell whether strided arrays overlap.
inline py::array shadow_of(const ArrayView& view) {
    return py::array(py::dtype("V" + std::to_string(view.item_size())),
                     py::array::ShapeContainer(view.shape, view.shape + view.ndim),
                     py::array::StridesContainer(view.strides, view.strides + view.ndim), view.data, py::none());
}

}  // namespace adamcore::python
