#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

/// What errors say.
namespace adamcore::test {

/// Calls `f`, which throws std::invalid_argument, and returns the message.
template <class F>
std::string message_of(F&& f) {
    try {
        f();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    ADD_FAILURE() << "nothing was thrown";
    return {};
}

inline bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace adamcore::test
