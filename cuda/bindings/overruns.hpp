#pragma once

#include <cstdint>
#include <set>
#include <string>

namespace adamcore::python {

/// What is to be said about overruns: captured steps that came after the last uploaded value of a schedule. They come in
/// stretches, each between two uploads, and each stretch is told once.
class Overruns {
public:
    /// An upload begins another stretch. `total` is the number of all overruns, and `keys` have schedules in it.
    void uploaded(std::int64_t total, std::set<std::string> keys);
    /// A warning, or nothing if all has been told.
    std::string tell(std::int64_t total);

private:
    void end_stretch(std::int64_t total);

    std::set<std::string> keys_;
    std::int64_t begin_ = 0;  ///< the total when the stretch began
    bool told_ = false;       ///< whether this stretch has been told

    std::int64_t untold_ = 0;  ///< overruns of earlier stretches
    std::set<std::string> untold_keys_;
};

}  // namespace adamcore::python
