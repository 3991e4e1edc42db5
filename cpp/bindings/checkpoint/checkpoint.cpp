#include "checkpoint/checkpoint.hpp"

#include <algorithm>
#include <string_view>

#include "adamcore/dtype.hpp"
#include "adamcore/rule_registry.hpp"
#include "checkpoint/entries.hpp"
#include "gate/arrays.hpp"
#include "gate/foreign.hpp"
#include "runtime/text.hpp"
#include "state/layout.hpp"

namespace adamcore::python {
namespace {

using py::detail::array_proxy;

/// A position in a checkpoint. Its text is created only for an error.
struct Place {
    const Names& names;
    std::size_t tensor;
    const StateArray* array = nullptr;
    const char* key = nullptr;

    std::string text() const {
        std::string text = "state_dict['state'][" + repr_of(names.key(tensor)) + "]";
        if (array) text += "[" + repr_of(array->name) + "]";
        if (key) text += std::string("['") + key + "']";
        return text;
    }
};

std::string text_of(const Place& where) { return where.text(); }
const std::string& text_of(const std::string& where) { return where; }

py::array empty_like(const StateArray& array) { return {array.dtype, array.shape, array.strides}; }

/// The maximum number of updates. One per nanosecond for a century stays below it.
constexpr std::int64_t most_steps = std::int64_t{1} << 62;

std::int64_t read_count(py::handle value, const Place& where) {
    const auto number = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
    if (!number) {
        PyErr_Clear();
        throw py::type_error(where.text() + ": expected an int, got " + repr_of(value));
    }
    int overflow = 0;
    const long long count = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    if (overflow != 0 || count < 0 || count > most_steps)
        throw py::value_error(where.text() + ": expected a number of steps from 0 to 2**62, got " + repr_of(number));
    return count;
}

bool read_flag(py::handle value, const Place& where) {
    const std::int64_t flag = read_count(value, where);
    if (flag > 1) throw py::value_error(where.text() + ": expected 0 or 1, got " + std::to_string(flag));
    return flag != 0;
}

bool is_laid_out_like(const py::array& array, const StateArray& like) {
    for (std::size_t i = 0; i < like.shape.size(); ++i) {
        if (like.shape[i] != 1 && array.strides(static_cast<py::ssize_t>(i)) != like.strides[i]) return false;
    }
    return true;
}

/// A NumPy array that can be examined without running foreign code.
template <class Where>
py::object prepared(const py::object& given, const py::function& to_numpy, const Where& where) {
    if (is_exactly_numpy(given)) return given;
    const bool is_numpy = py::isinstance<py::array>(given);
    if (!is_numpy && !is_one_array(given))
        throw py::type_error(text_of(where) + ": expected a NumPy array, got " + type_name(given));
    const py::object array = is_numpy ? given : to_numpy(given);
    if (!is_exactly_numpy(array)) require_no_mask(array, text_of(where));
    return array;
}

/// Raises an error unless the array has the dtype and the shape of the state array.
template <class Where>
void require_like(const py::array& array, const StateArray& like, const Where& where) {
    const py::dtype dtype = array.dtype();
    if (!dtype.is(like.dtype) && !dtype.equal(like.dtype))
        throw py::type_error(text_of(where) + ": dtype " + py::str(dtype).cast<std::string>() +
                             " does not match the optimizer's, which is " + py::str(like.dtype).cast<std::string>());
    const auto ndim = static_cast<int>(like.shape.size());
    if (array.ndim() != ndim || !std::equal(like.shape.begin(), like.shape.end(), array.shape()))
        throw py::value_error(text_of(where) + ": shape " + tuple_text(array.shape(), static_cast<int>(array.ndim())) +
                              " does not match the optimizer's, which is " + tuple_text(like.shape.data(), ndim));
}

/// The array itself, or a copy in the layout of the state array if its layout differs or if its memory will be written.
py::object laid_out(const py::array& array, const StateArray& like, const Regions& written) {
    const auto begin = reinterpret_cast<std::uintptr_t>(array.data());
    const bool aligned = array_proxy(array.ptr())->flags & py::detail::npy_api::NPY_ARRAY_ALIGNED_;
    const bool is_written = written.find_overlap({begin, begin + like.bytes, -1, nullptr}, nullptr).has_value();
    if (aligned && is_laid_out_like(array, like) && !is_written) return array;
    py::array copy = empty_like(like);
    copy[py::ellipsis()] = array;
    return std::move(copy);
}

/// What is wrong with the numbers of an array.
enum Fault : int { none = 0, is_nan = 1, is_negative = 2 };

/// It compares bits, so the floating-point environment does not matter.
template <class Bits>
int faults_in(const void* data, std::size_t count, Bits infinity, bool nonnegative) {
    const auto* const bits = static_cast<const Bits*>(data);
    constexpr Bits sign = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
    Bits nan = 0, negative = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const Bits magnitude = static_cast<Bits>(bits[i] & ~sign);
        nan |= static_cast<Bits>(magnitude > infinity);
        negative |= static_cast<Bits>(bits[i] > sign);
    }
    return (nan ? is_nan : none) | (nonnegative && negative ? is_negative : none);
}

int faults_of(const void* data, const StateArray& array) {
    const auto item = static_cast<std::size_t>(array.dtype.itemsize() / (array.dtype.kind() == 'c' ? 2 : 1));
    const std::size_t count = array.bytes / item;
    if (array.dtype.kind() == 'u') return none;
    if (item == 8) return faults_in<std::uint64_t>(data, count, 0x7ff0000000000000u, array.nonnegative);
    if (item == 4) return faults_in<std::uint32_t>(data, count, 0x7f800000u, array.nonnegative);
    const auto infinity = static_cast<std::uint16_t>(array.dtype.kind() == 'f' ? 0x7c00u : 0x7f80u);
    return faults_in<std::uint16_t>(data, count, infinity, array.nonnegative);
}

void require_numbers(const std::vector<py::object>& sources, const StateArrays& arrays, const Names& names) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        for (const StateArray& array : arrays[i]) {
            const int faults = faults_of(array_proxy(sources[at++].ptr())->data, array);
            if (faults & is_nan) throw py::value_error(Place{names, i, &array}.text() + ": there is NaN in it");
            if (faults & is_negative)
                throw py::value_error(
                    Place{names, i, &array}.text() +
                    ": there are numbers below 0, but averages and sums of squares cannot be negative");
        }
    }
}

/// The dtype of this name, from NumPy or ml_dtypes.
py::dtype dtype_named(const char* name) {
    return name == std::string_view("bfloat16") ? numpy_dtype({Dtype::bfloat16}) : py::dtype(name);
}

py::dtype dtype_of(const StateSlot& slot, const Tensor& tensor, bool is_complex) {
    if (slot.is_extra) return dtype_named(slot.dtype);
    return numpy_dtype({slot_dtype(tensor, slot.slot), is_complex && slot.slot.shape == rule::Shape::elements});
}

/// Sets the shape and the strides of an array, given its dtype. Where a parameter has no elements, neither has its
/// state, but for numbers.
void lay_out_like(StateArray& array, rule::Shape kind, const Tensor& tensor, const ShapeAndStrides& param,
                  const Order& order) {
    array.shape.clear();
    array.strides.clear();
    if (kind == rule::Shape::number) return;
    std::vector<Py_ssize_t> shape(param.shape(), param.shape() + param.ndim);
    if (tensor.size > 0 && kind == rule::Shape::rows) shape[shape.size() - 1] = 1;
    if (tensor.size > 0 && kind == rule::Shape::columns) shape[shape.size() - 2] = 1;
    const Py_ssize_t part = array.dtype.itemsize() / (param.is_complex ? 2 : 1);
    const auto own_ndim = static_cast<std::size_t>(param.own_ndim());
    array.strides = dense_strides(param.ndim, shape.data(), order, part);
    array.strides.resize(own_ndim);
    shape.resize(own_ndim);
    array.shape = std::move(shape);
}

}  // namespace

std::vector<StateArray> arrays_of(const Tensor& tensor, const RuleSlots& slots, const SlotArrays& slot_arrays,
                                  const ShapeAndStrides& shape, const Order& order) {
    std::vector<StateArray> arrays;
    for (const StateSlot& slot : state_slots(tensor, slots)) {
        StateArray array{py::reinterpret_borrow<py::str>(interned(slot.slot.name)),
                         dtype_of(slot, tensor, shape.is_complex),
                         {static_cast<Py_ssize_t>(slot.bytes)},
                         {1},
                         slot.is_extra ? tensor.extra[slot.index] : slot_arrays[slot.index],
                         slot.bytes,
                         slot.slot.is_nonnegative()};
        if (!slot.is_bits) lay_out_like(array, slot.slot.shape, tensor, shape, order);
        arrays.push_back(std::move(array));
    }
    return arrays;
}

py::array copy_of(const StateArray& array, const std::function<std::string()>& where, Copies& copies) {
    try {
        py::array copy = empty_like(array);
        copies.push_back({array_proxy(copy.ptr())->data, array.data, array.bytes});
        return copy;
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_MemoryError)) throw;
        const std::string message = "state_dict: no memory for a copy of " + where() + ", " + size_text(array.bytes);
        py::raise_from(error, PyExc_MemoryError, message.c_str());
        throw py::error_already_set();
    }
}

py::array view_of(const StateArray& array) { return {array.dtype, array.shape, array.strides, array.data, py::none()}; }

py::dict make_snapshot(const StateArrays& arrays, const std::vector<Progress>& progress,
                       const std::vector<bool>& begins, const Names& names, const ToNumpy& to_numpy) {
    static const py::handle step_key = interned("step"), begun_key = interned("begun");
    py::dict state;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        py::dict saved;
        saved[step_key] = progress[i].step;
        if (begins[i] && progress[i].step > 0 && !progress[i].has_begun) saved[begun_key] = 0;
        for (const StateArray& array : arrays[i])
            saved[array.name] =
                to_numpy(array, [&] { return "state[" + repr_of(names.key(i)) + "][" + repr_of(array.name) + "]"; });
        state[names.key(i)] = std::move(saved);
    }
    return state;
}

RuleSlots saved_slots(const py::object& given, const Names& names, const std::vector<std::size_t>& members,
                      std::size_t rule, const std::vector<std::size_t>& family) {
    const py::dict state = as_dict(given, "state_dict['state']");
    const py::str begun_key("begun");
    std::vector<py::dict> saved;
    bool may_lack = false;
    for (const std::size_t i : members) {
        if (!state.contains(names.key(i))) continue;  // read_checkpoint() will say so
        saved.push_back(as_dict(state[names.key(i)], Place{names, i}));
        const Place place{names, i, nullptr, "begun"};
        may_lack |= saved.back().contains(begun_key) && !read_flag(py::object(saved.back()[begun_key]), place);
    }
    RuleSlots slots;
    const auto add = [&](const rule::Slot& slot, bool is_needed) {
        const auto is_same = [&](const rule::Slot& other) { return std::string_view(other.name) == slot.name; };
        if (std::any_of(slots.begin(), slots.end(), is_same)) return;
        const py::str key(slot.name);
        const auto is_in = [&](const py::dict& each) { return each.contains(key); };
        if (is_needed || std::any_of(saved.begin(), saved.end(), is_in)) slots.push_back(slot);
    };
    for (const rule::Slot& slot : slots_of(rule)) add(slot, !may_lack);
    for (const std::size_t other : family) {
        for (const rule::Slot& slot : slots_of(other)) add(slot, false);
    }
    return slots;
}

Checkpoint read_checkpoint(const py::object& given, const StateArrays& arrays, const Names& names,
                           const Regions& written, const py::function& to_numpy, bool checked) {
    Checkpoint checkpoint;
    const py::dict state = as_dict(given, "state_dict['state']");
    std::vector<py::object> keys;
    for (std::size_t i = 0; i < arrays.size(); ++i) keys.emplace_back(names.key(i));
    require_names(state, keys, "state_dict['state']");
    const py::str step_key("step"), begun_key("begun");
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        const Place place{names, i};
        const py::dict saved = as_dict(state[names.key(i)], place);
        keys.assign({step_key});
        for (const StateArray& array : arrays[i]) keys.push_back(array.name);
        const bool is_marked = saved.contains(begun_key);
        if (is_marked) keys.push_back(begun_key);
        require_names(saved, keys, place);
        const std::int64_t steps = read_count(py::object(saved[step_key]), Place{names, i, nullptr, "step"});
        const bool has_begun =
            is_marked ? read_flag(py::object(saved[begun_key]), Place{names, i, nullptr, "begun"}) : steps > 0;
        checkpoint.progress.push_back({steps, has_begun});
        for (const StateArray& array : arrays[i])
            checkpoint.sources.push_back(prepared(saved[array.name], to_numpy, Place{names, i, &array}));
    }
    std::size_t at = 0;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
        for (const StateArray& array : arrays[i]) {
            py::object& source = checkpoint.sources[at++];
            const auto found = py::reinterpret_borrow<py::array>(source);
            require_like(found, array, Place{names, i, &array});
            source = laid_out(found, array, written);
        }
    }
    if (checked) require_numbers(checkpoint.sources, arrays, names);
    return checkpoint;
}

py::object plain_array(const py::object& given, const py::function& to_numpy, const std::string& where) {
    return prepared(given, to_numpy, where);
}

py::object read_array(const py::object& array, const StateArray& like, const std::string& where,
                      const Regions& written) {
    const auto found = py::reinterpret_borrow<py::array>(array);
    require_like(found, like, where);
    return laid_out(found, like, written);
}

py::object read_strided(const py::object& array, const StateArray& like, bool is_dense, const std::string& where,
                        const Regions& written) {
    if (is_dense) return read_array(array, like, where, written);
    StateArray in_c_order = like;
    const auto ndim = static_cast<int>(like.shape.size());
    in_c_order.strides = dense_strides(ndim, like.shape.data(), c_order(ndim), like.dtype.itemsize());
    return read_array(array, in_c_order, where, written);
}

Copies copies_of(const Checkpoint& checkpoint, const StateArrays& arrays) {
    Copies copies;
    copies.reserve(checkpoint.sources.size());
    std::size_t at = 0;
    for (const std::vector<StateArray>& each : arrays) {
        for (const StateArray& array : each)
            copies.push_back({array.data, array_proxy(checkpoint.sources[at++].ptr())->data, array.bytes});
    }
    return copies;
}

}  // namespace adamcore::python
