#pragma once

#include <fstream>
#include <string>

/// The processor time that Linux's control groups allow this process.
namespace adamcore::cpu::cgroup {

/// quota / period of the group in one folder, or 0 if it sets no limit.
inline double quota_of(const std::string& folder) {
    double quota = 0, period = 0;
    const auto ratio = [&] { return quota > 0 && period > 0 ? quota / period : 0; };  // v1 uses -1 for no limit
    if (std::ifstream v2(folder + "/cpu.max"); v2 >> quota >> period) return ratio();
    std::ifstream v1_quota(folder + "/cpu.cfs_quota_us"), v1_period(folder + "/cpu.cfs_period_us");
    return v1_quota >> quota && v1_period >> period ? ratio() : 0;
}

/// The smallest quota of the group `path` below the folder `mount` and of the groups above it, or 0.
///
/// A container sees its own group as the root of the mount. The path that it reads may start at the root of the host,
/// or elsewhere ("/../.."). Folders that do not exist set no limit, and the root of the mount is always read.
inline double least_quota(const std::string& mount, std::string path) {
    if ((path + "/").find("/../") != std::string::npos) path.clear();
    double least = 0;
    for (;; path.resize(path.rfind('/'))) {
        const double quota = quota_of(mount + path);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        if (path.find('/') == std::string::npos) return least;
    }
}

/// The smallest quota of the groups that the file `groups` (/proc/self/cgroup) lists, or 0. Their hierarchies are
/// mounted below `root` (/sys/fs/cgroup). It reads v2, and the controller "cpu" of v1.
inline double least_quota_of(const std::string& groups, const std::string& root) {
    double least = 0;
    const auto look_at = [&](const std::string& mount, const std::string& path) {
        const double quota = least_quota(mount, path);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    };
    std::ifstream lines(groups);
    for (std::string line; std::getline(lines, line);) {  // number:controllers:path, and the path may have colons
        const auto first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
        if (controllers.empty()) {
            for (const char* mount : {"", "/unified"})
                look_at(root + mount, path);  // beside v1 there is a folder for v2
        } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
            for (const std::string& mount : {std::string("cpu"), controllers}) look_at(root + "/" + mount, path);
        }
    }
    return least;
}

}  // namespace adamcore::cpu::cgroup
