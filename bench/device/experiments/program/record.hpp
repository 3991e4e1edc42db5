#pragma once

#include <string>
#include <vector>

#include "program/check.hpp"
#include "program/timing.hpp"

/// What a run found, as JSON, written anew after every case.
namespace adamcore::experiments {

std::string quoted(const std::string& text);

/// Writes a file beside it and gives that its name: whoever reads finds the old text or the new.
void write_file(const std::string& path, const std::string& text);

class Record {
public:
    Record(std::string path, std::string experiment, DeviceFacts device)
        : path_(std::move(path)), experiment_(std::move(experiment)), device_(std::move(device)) {}

    void add(const Findings& findings);
    /// Once for each variant: registers, local memory, blocks of a multiprocessor.
    void add_kernels(const std::vector<Trial>& trials);
    void add(const Trial& trial, const Timings& timings);
    void fail(const std::string& error) { error_ = error; }
    void finish() { is_complete_ = true; }

    /// Nothing without a path.
    void save() const;

private:
    std::string text() const;

    std::string path_, experiment_, error_;
    DeviceFacts device_;
    bool is_complete_ = false;
    Findings findings_;
    std::vector<std::string> kernels_, cases_;
};

}  // namespace adamcore::experiments
