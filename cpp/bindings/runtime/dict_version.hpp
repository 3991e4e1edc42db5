#pragma once

#include <cstdint>

#include <pybind11/pybind11.h>

namespace adamcore::python {

/// Recognises a dict that has not changed since it was looked through. Until Python 3.11, every change of a dict gives it a
/// number that no dict ever had before. Later versions do not tell, so nothing is recognised there.
class DictVersion {
public:
    bool is_of([[maybe_unused]] PyObject* dict) const noexcept {
#if PY_VERSION_HEX < 0x030C0000
        return reinterpret_cast<PyDictObject*>(dict)->ma_version_tag == tag_;
#else
        return false;
#endif
    }

    void note([[maybe_unused]] PyObject* dict) noexcept {
#if PY_VERSION_HEX < 0x030C0000
        tag_ = reinterpret_cast<PyDictObject*>(dict)->ma_version_tag;
#endif
    }

    void forget() noexcept { tag_ = 0; }

private:
    std::uint64_t tag_ = 0;  ///< 0 is no dict's
};

}  // namespace adamcore::python
