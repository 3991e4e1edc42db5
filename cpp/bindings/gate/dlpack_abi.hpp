#pragma once

#include <cstdint>

#include "gate/dlpack.hpp"
#include "gate/view.hpp"

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

/// DLPack's name of a type that the kernels support.
constexpr DataType data_type_of(Element element) {
    const std::uint8_t code = element.is_complex ? complex : element.dtype == Dtype::bfloat16 ? bfloat : floating;
    return {code, static_cast<std::uint8_t>(8 * element.size()), 1};
}

/// The contents of "dlpack_exchange_api" capsules: C functions that a type of arrays offers since version 1.3. They
/// need the GIL. Those that fail return -1 and set a Python error.
struct ExchangeHeader {
    Version version;
    const ExchangeHeader* previous;  ///< functions of an older version, or null
};

struct Exchange {
    static constexpr const char* name = "dlpack_exchange_api";
    static constexpr const char* attribute = "__dlpack_c_exchange_api__";

    ExchangeHeader header;
    int (*allocate)(Tensor* like, ManagedVersioned** out, void* context,
                    void (*set_error)(void* context, const char* kind, const char* message));
    int (*lend)(void* object, ManagedVersioned** out);
    int (*adopt)(ManagedVersioned* tensor, void** object);
    /// Describes an object's memory, without a loan. Shape and strides belong to the object. May be null.
    int (*describe)(void* object, Tensor* out);
    int (*current_stream)(std::int32_t device_type, std::int32_t device_id, void** stream);
};

}  // namespace adamcore::python::dlpack::abi
