#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <pybind11/pybind11.h>

#include "schedules/evaluator.hpp"

namespace adamcore::python {

/// A schedule that is a part of another one. It is owned elsewhere.
struct Part {
    const Evaluator* evaluator;

    double operator()(double t) const { return (*evaluator)(t); }
};

/// What a formula refers to: objects that keep it alive, and the memory of its lists.
struct Holdings {
    std::vector<py::object> objects;
    std::vector<std::unique_ptr<const Evaluator>> own;  ///< of parts that have no evaluator as Python objects
    std::vector<std::vector<double>> lists;
    std::vector<std::vector<Part>> parts;

    int traverse(visitproc visit, void* arg) const;
};

/// The arguments of a schedule by name, which Python has checked.
class Arguments {
public:
    struct List {
        const double* data;
        std::size_t size;
    };

    Arguments(std::string name, py::dict values) : name_(std::move(name)), values_(std::move(values)) {}

    const std::string& name() const { return name_; }
    bool has(const char* name) const;
    double number(const char* name) const;
    double number(const char* name, double otherwise) const { return has(name) ? number(name) : otherwise; }
    bool flag(const char* name) const;
    py::object object(const char* name) const;

    /// Which of the choices was made. They are listed in the order of the enumerators of E.
    template <class E, std::size_t n>
    E choice(const char* name, const std::array<const char*, n>& choices) const {
        const auto chosen = object(name).cast<std::string>();
        for (std::size_t i = 0; i < n; ++i) {
            if (chosen == choices[i]) return static_cast<E>(i);
        }
        throw py::value_error(name_ + ": there is no " + name + " named '" + chosen + "'");
    }

    List list(const char* name);
    /// Element i of each tuple in a list.
    List column(const char* name, std::size_t i);
    Part part(const char* name) { return part_of(object(name)); }
    const Part* parts(const char* name);

    Holdings take() { return std::move(holdings_); }

    /// How many schedules are nested in each other, this one included.
    int depth() const { return depth_; }

private:
    List keep(std::vector<double> numbers);
    Part part_of(const py::object& schedule);
    Part keep(std::unique_ptr<const Evaluator> part);

    std::string name_;
    py::dict values_;
    Holdings holdings_;
    int depth_ = 1;
};

}  // namespace adamcore::python
