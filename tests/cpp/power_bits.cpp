// Whether power.hpp, compiled as users compile it, gives the bits that it gives everywhere.

#include <cinttypes>
#include <cstdio>

#include "support/powers.hpp"

int main() {
    using namespace adamcore::test;
    const PowerHashes hashes = power_hashes();
    bool is_same = true;
    for (int i = 0; i < 4; ++i) {
        std::printf("0x%016" PRIx64 "u\n", hashes.of[i]);
        is_same = is_same && hashes.of[i] == power_hashes_everywhere.of[i];
    }
    return is_same ? 0 : 1;
}
