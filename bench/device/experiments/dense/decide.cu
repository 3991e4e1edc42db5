#include "dense/decide.hpp"

#include "common/variant.hpp"

namespace adamcore::experiments {
namespace {

struct Lanes : DecideBase {
    static constexpr bool lanes = true;
};

struct PerRule : DecideBase {
    static constexpr bool per_rule = true;
};

struct PerRuleLanes : PerRule {
    static constexpr bool lanes = true;
};

struct PerRuleLanesCached : PerRuleLanes {
    static constexpr bool cached = true;
};

template <class C, Release when>
struct Releases : C {
    static constexpr Release release = when;
};

struct FromArguments : DenseBase {
    static constexpr Source source = Source::arguments;
};

/// What E1 and E2 may come to together.
struct FlatFromArguments : FromArguments {
    static constexpr Rows rows = Rows::flat;
    static constexpr bool early = true;
};

/// Waits for Decide with its first elements under way: Decide itself has waited for the update before.
struct AwaitsWithData : DenseBase {
    static constexpr Source source = Source::awaited;
    static constexpr bool early = true;
};

struct FlatAwaitsWithData : AwaitsWithData {
    static constexpr Rows rows = Rows::flat;
};

/// Waits for Decide with its tables read, and nothing that the update before writes. The next Decide waits meanwhile.
struct AwaitsWithTables : DenseBase {
    static constexpr Source source = Source::awaited;
    static constexpr bool releases = true;
};

template <class C>
Variant behind(Variant update) {
    update.decide = kernel_in_phases<Decide<C>>();
    return update;
}

template <class C>
Variant step(std::string name) {
    return behind<C>(before_variant(std::move(name)));
}

template <class C>
Variant by_host(std::string name) {
    Variant variant = dense_variant<C>(std::move(name));
    variant.constants_by_host = true;
    return variant;
}

template <class C, class Update = AwaitsWithData>
Variant dependent(std::string name) {
    Variant variant = behind<Releases<C, Release::at_start>>(dense_variant<Update>(std::move(name)));
    variant.update_is_dependent = true;
    variant.needs = 9;
    return variant;
}

template <class C>
Variant chained(std::string name) {
    Variant variant = behind<Releases<C, Release::after_wait>>(dense_variant<AwaitsWithTables>(std::move(name)));
    variant.update_is_dependent = variant.decide_is_dependent = true;
    variant.needs = 9;
    return variant;
}

}  // namespace

Variants decide_variants() {
    return {
        step<DecideBase>("base"),
        step<Lanes>("lanes"),
        step<PerRule>("rule"),
        step<PerRuleLanes>("rule+lanes"),
        step<PerRuleLanesCached>("rule+lanes+cached"),
        by_host<FromArguments>("host"),
        by_host<FlatFromArguments>("host+flat+early"),
        dependent<DecideBase>("pdl"),
        dependent<PerRuleLanesCached>("rule+lanes+cached+pdl"),
        dependent<PerRuleLanesCached, FlatAwaitsWithData>("rule+lanes+cached+pdl+flat"),
        chained<DecideBase>("chain"),
        chained<PerRuleLanesCached>("rule+lanes+cached+chain"),
        engine_with_arguments(),
        engine_with_decide(),
    };
}

}  // namespace adamcore::experiments
