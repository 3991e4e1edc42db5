#include "overruns.hpp"

#include <utility>

namespace adamcore::python {
namespace {

std::string list_of(const std::set<std::string>& keys) {
    std::string text;
    std::size_t left = keys.size();
    for (const std::string& key : keys) text += key + (--left > 1 ? ", " : left == 1 ? " and " : "");
    return text;
}

}  // namespace

void Overruns::end_stretch(std::int64_t total) {
    if (told_ || total == begin_) return;
    untold_keys_.insert(keys_.begin(), keys_.end());
    untold_ += total - begin_;
    begin_ = total;
}

void Overruns::uploaded(std::int64_t total, std::set<std::string> keys) {
    end_stretch(total);
    keys_ = std::move(keys);
    begin_ = total;
    told_ = false;
}

std::string Overruns::tell(std::int64_t total) {
    const bool is_of_this = !told_ && total != begin_;
    end_stretch(total);
    if (untold_ == 0) return {};
    const std::string steps = std::to_string(untold_) + (untold_ == 1 ? " captured step" : " captured steps");
    const std::string keys = untold_keys_.empty() ? "schedules" : "the schedules of " + list_of(untold_keys_);
    std::string text = steps + " came after the last uploaded values of " + keys +
                       " and used them again; call upload() more often, or with more `steps`";
    told_ |= is_of_this;
    untold_ = 0;
    untold_keys_.clear();
    return text;
}

}  // namespace adamcore::python
