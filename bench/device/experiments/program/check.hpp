#pragma once

#include <map>
#include <string>
#include <vector>

#include "program/device.hpp"
#include "program/trials.hpp"

/// Whether variants give the base's bits.
namespace adamcore::experiments {

inline const std::string same_bits = "same bits";

/// By "experiment detail: variant"; more of the base: on the device whether it gives the host's bits, there the library's.
using Findings = std::map<std::string, std::string>;

/// Three steps of every variant from equal arrays. On the host where `device` is null.
Findings check(const std::string& experiment, const DeviceFacts* device);

/// What the processor's conversions make otherwise than the library's, in words.
Findings check_conversions(const DeviceFacts& device);

/// Whether a device of this kind runs a variant.
bool is_available(const Variant& variant, const DeviceFacts& device);

std::string key_of(const Trial& trial, const Variant& variant);

}  // namespace adamcore::experiments
