#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// Lets Python's garbage collector see the objects that a T refers to, through T::traverse() and T::clear(), which must
/// not throw. Otherwise a cycle through a parameter, such as a hook that steps its optimizer, would never be freed.
template <class T>
pybind11::custom_type_setup collected() {
    return pybind11::custom_type_setup([](PyHeapTypeObject* heap_type) {
        PyTypeObject& type = heap_type->ht_type;
        type.tp_flags |= Py_TPFLAGS_HAVE_GC;
        type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
            Py_VISIT(Py_TYPE(self));
            if (!pybind11::detail::is_holder_constructed(self)) return 0;
            return pybind11::cast<const T&>(pybind11::handle(self)).traverse(visit, arg);
        };
        type.tp_clear = [](PyObject* self) -> int {
            if (pybind11::detail::is_holder_constructed(self)) pybind11::cast<T&>(pybind11::handle(self)).clear();
            return 0;
        };
    });
}

/// Makes it safe to create instances of T, a pybind11 class, when memory runs out. pybind11 records each instance in a
/// table after it has stopped catching exceptions, and would end the process. A little memory is reserved for this.
template <class T>
void keep_memory_for_instances() {
    using Init = void (*)(pybind11::detail::instance*, const void*);
    static Init original;
    static std::unique_ptr<std::byte[]> reserve;
    constexpr std::size_t size = 4096;
    auto* const type = pybind11::detail::get_type_info(typeid(T), true);
    original = type->init_instance;
    reserve = std::make_unique<std::byte[]>(size);
    type->init_instance = [](pybind11::detail::instance* self, const void* holder) {
        try {
            original(self, holder);
        } catch (const std::bad_alloc&) {
            reserve.reset();
            original(self, holder);
            reserve.reset(new (std::nothrow) std::byte[size]);
        }
    };
}

}  // namespace adamcore::python
