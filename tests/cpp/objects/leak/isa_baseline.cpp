#include "adamcore/cpu/isa.hpp"

/// An object that breaks the rule, for check_symbols.py to find: beside a table and a function with the tag, it
/// defines a template's instance and a function that any other object's of the same name would be replaced by.
namespace adamcore::cpu {

template <class Tag>
int tagged() {
    return 1;
}

template <class T>
T untagged_template(T x) {
    return x + x;
}

template int untagged_template(int);

int untagged_function() { return tagged<isa::Baseline>() + untagged_template(1); }

extern int baseline_kernels;
int baseline_kernels = 0;

}  // namespace adamcore::cpu
