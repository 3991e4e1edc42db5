#pragma once

#include <cstdint>

#include "gate/dlpack.hpp"

/// The structures of DLPack, versions 0.x and 1.x, with the layout of the specification.
namespace adamcore::python::dlpack::abi {

struct DataType {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
};

struct Tensor {
    void* data;
    Device device;
    std::int32_t ndim;
    DataType dtype;
    std::int64_t* shape;
    std::int64_t* strides;  ///< in elements; null for C order
    std::uint64_t byte_offset;
};

/// The contents of "dltensor" capsules.
struct Managed {
    static constexpr const char* name = "dltensor";
    static constexpr const char* used_name = "used_dltensor";

    Tensor tensor;
    void* context;
    void (*deleter)(Managed*);
};

struct Version {
    std::uint32_t major;
    std::uint32_t minor;
};

/// The contents of "dltensor_versioned" capsules. In every version `version`, `context` and `deleter` have these
/// offsets. What follows them may differ in other major versions.
struct ManagedVersioned {
    static constexpr const char* name = "dltensor_versioned";
    static constexpr const char* used_name = "used_dltensor_versioned";

    Version version;
    void* context;
    void (*deleter)(ManagedVersioned*);
    std::uint64_t flags;
    Tensor tensor;
};

inline constexpr std::uint32_t major_version = 1;
inline constexpr std::uint64_t read_only_flag = 1, copied_flag = 2;

enum Code : std::uint8_t { signed_int = 0, unsigned_int = 1, floating = 2, bfloat = 4, complex = 5, boolean = 6 };

}  // namespace adamcore::python::dlpack::abi
