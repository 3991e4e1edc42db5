#include "checkpoint/weights.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "checkpoint/entries.hpp"
#include "runtime/text.hpp"

namespace adamcore::python {
namespace {

/// The bytes from an array's first element in memory to its last.
struct Span {
    const char *begin, *end;
};

Span span_of(const StateArray& array) {
    const char* begin = static_cast<const char*>(array.data);
    const char* end = begin + array.dtype.itemsize();
    for (std::size_t axis = 0; axis < array.shape.size(); ++axis) {
        const Py_ssize_t reach = (array.shape[axis] - 1) * array.strides[axis];
        (reach < 0 ? begin : end) += reach;
    }
    return {begin, end};
}

/// Copies the elements of an array, `item` bytes each, between any strides.
void copy_elements(char* to, const Py_ssize_t* to_strides, const char* from, const Py_ssize_t* from_strides,
                   const Py_ssize_t* shape, std::size_t ndim, std::size_t item) noexcept {
    if (ndim == 0) {
        std::memcpy(to, from, item);
        return;
    }
    for (Py_ssize_t i = 0; i < *shape; ++i)
        copy_elements(to + i * *to_strides, to_strides + 1, from + i * *from_strides, from_strides + 1, shape + 1,
                      ndim - 1, item);
}

std::string place_of(const Names& names, std::size_t i) {
    return "the checkpoint's parameter " + repr_of(names.key(i));
}

}  // namespace

NewWeights NewWeights::read(const py::object& contents, std::vector<WeightArray> arrays, const Names& names,
                            const Regions& written, const py::function& to_numpy) {
    NewWeights found;
    const py::dict given = as_dict(contents, "the checkpoint's parameters");
    std::vector<py::object> keys;
    for (std::size_t i = 0; i < arrays.size(); ++i) keys.emplace_back(names.key(i));
    require_names(given, keys, "the checkpoint's parameters");
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        StateArray& array = arrays[i].array;
        const std::string where = place_of(names, i);
        const py::object plain = plain_array(given[names.key(i)], to_numpy, where);
        found.sources_.push_back(read_strided(plain, array, arrays[i].is_dense, where, written));
        const auto source = py::reinterpret_borrow<py::array>(found.sources_.back());
        if (array.bytes == 0) continue;
        if (arrays[i].is_dense) {
            found.dense_.push_back({array.data, source.data(), array.bytes});
        } else {
            const auto* const from = static_cast<const char*>(source.data());
            found.rest_.push_back({std::move(array), from, {source.strides(), source.strides() + source.ndim()}});
        }
    }
    return found;
}

Copies NewWeights::dense() const { return dense_; }

void NewWeights::Rest::copy_to(char* to) const noexcept {
    copy_elements(to, array.strides.data(), from, from_strides.data(), array.shape.data(), array.shape.size(),
                  static_cast<std::size_t>(array.dtype.itemsize()));
}

void NewWeights::overlay() const noexcept {
    for (const Rest& each : rest_) each.copy_to(static_cast<char*>(each.array.data));
}

NewWeights::Spans NewWeights::spans() const {
    std::vector<Span> merged;
    for (const Rest& each : rest_) merged.push_back(span_of(each.array));
    std::sort(merged.begin(), merged.end(), [](const Span& a, const Span& b) { return a.begin < b.begin; });
    std::size_t count = 0;
    for (const Span& span : merged) {
        if (count > 0 && span.begin < merged[count - 1].end)
            merged[count - 1].end = std::max(merged[count - 1].end, span.end);
        else
            merged[count++] = span;
    }
    Spans spans;
    for (std::size_t k = 0; k < count; ++k) {
        const auto bytes = static_cast<std::size_t>(merged[k].end - merged[k].begin);
        spans.blocks.emplace_back(bytes);
        spans.out.push_back({spans.blocks.back().data(), merged[k].begin, bytes});
        spans.back.push_back({const_cast<char*>(merged[k].begin), spans.blocks.back().data(), bytes});
    }
    return spans;
}

void NewWeights::overlay_on(const Spans& spans) const noexcept {
    for (const Rest& each : rest_) {
        const auto* const data = static_cast<const char*>(each.array.data);
        for (const Copy& copy : spans.out) {
            const auto* const begin = static_cast<const char*>(copy.from);
            if (data < begin || data >= begin + copy.bytes) continue;
            each.copy_to(static_cast<char*>(copy.to) + (data - begin));
        }
    }
}

py::array copy_with_gaps(const StateArray& array, Copies& copies) {
    if (array.bytes == 0) return {array.dtype, array.shape};
    const Span span = span_of(array);
    const auto bytes = span.end - span.begin;
    py::array block(py::dtype("uint8"), std::vector<Py_ssize_t>{bytes});
    auto* const at = static_cast<char*>(block.mutable_data());
    copies.push_back({at, span.begin, static_cast<std::size_t>(bytes)});
    return {array.dtype, array.shape, array.strides, at + (static_cast<const char*>(array.data) - span.begin), block};
}

}  // namespace adamcore::python
