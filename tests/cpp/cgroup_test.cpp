// Quotas of control groups, read from folders that are laid out as Linux does.

#include "src/cgroup.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace adamcore::cpu {
namespace {

/// A root of hierarchies, and the file that says which groups a process is in.
class Cgroup : public testing::Test {
protected:
    Cgroup() { std::filesystem::create_directories(root_); }
    ~Cgroup() override { std::filesystem::remove_all(folder_); }

    void write(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root_ / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text << "\n";
    }

    void write_v1(const std::string& folder, const std::string& quota, const std::string& period = "100000") const {
        write(folder + "/cpu.cfs_quota_us", quota);
        write(folder + "/cpu.cfs_period_us", period);
    }

    /// For a process whose /proc/self/cgroup says this.
    double quota(const std::string& groups) const {
        std::ofstream(folder_ / "cgroup") << groups;
        return cgroup::least_quota_of((folder_ / "cgroup").string(), root_.string());
    }

private:
    std::filesystem::path folder_ =
        std::filesystem::temp_directory_path() / ("adamcore-cgroup-" + std::to_string(getpid()));
    std::filesystem::path root_ = folder_ / "root";
};

TEST_F(Cgroup, NothingLimitsWhatIsNotThere) {
    EXPECT_EQ(quota(""), 0);
    EXPECT_EQ(quota("0::/\n"), 0);
    EXPECT_EQ(quota("0::/user.slice\n4:cpu,cpuacct:/user.slice\n"), 0);
    EXPECT_EQ(cgroup::least_quota_of("/nowhere/cgroup", "/nowhere"), 0);
}

TEST_F(Cgroup, V2) {
    write("a/cpu.max", "150000 100000");
    EXPECT_EQ(quota("0::/a\n"), 1.5);
    EXPECT_EQ(quota("0::/a"), 1.5) << "a last line without an end";
    EXPECT_EQ(quota("0::/b\n"), 0);
    write("b/cpu.max", "max 100000");
    EXPECT_EQ(quota("0::/b\n"), 0);
    write("c/cpu.max", "max");
    EXPECT_EQ(quota("0::/c\n"), 0);
    write("d/cpu.max", "50000 200000");
    EXPECT_EQ(quota("0::/d\n"), 0.25);
    write("e/cpu.max", "");
    EXPECT_EQ(quota("0::/e\n"), 0);
    write("f/cpu.max", "100000 0");
    EXPECT_EQ(quota("0::/f\n"), 0);
}

TEST_F(Cgroup, TheLeastOfThoseAboveCounts) {
    write("a/cpu.max", "200000 100000");
    write("a/b/cpu.max", "max 100000");
    write("a/b/c/cpu.max", "300000 100000");
    EXPECT_EQ(quota("0::/a/b/c\n"), 2);
    EXPECT_EQ(quota("0::/a/b\n"), 2);
    write("a/b/c/cpu.max", "100000 100000");
    EXPECT_EQ(quota("0::/a/b/c\n"), 1);
    write("cpu.max", "50000 100000");
    EXPECT_EQ(quota("0::/a/b/c\n"), 0.5);
    EXPECT_EQ(quota("0::/a/b/c/gone (deleted)\n"), 0.5);
}

TEST_F(Cgroup, V1) {
    write_v1("cpu/a", "250000");
    EXPECT_EQ(quota("4:cpu:/a\n"), 2.5);
    EXPECT_EQ(quota("4:cpuset:/a\n5:cpuacct:/a\n1:name=cpu:/a\n"), 0) << "other controllers";
    write_v1("cpu", "100000");
    EXPECT_EQ(quota("4:cpu:/a\n"), 1);
    write_v1("cpu", "-1");
    EXPECT_EQ(quota("4:cpu:/a\n"), 2.5);
    EXPECT_EQ(quota("4:cpu:/\n"), 0) << "-1 is no limit";
    write("cpu/b/cpu.cfs_quota_us", "100000");
    EXPECT_EQ(quota("4:cpu:/b\n"), 0) << "no period";
}

TEST_F(Cgroup, V1WithSeveralControllersInOneHierarchy) {
    write_v1("cpu,cpuacct/a", "300000");
    EXPECT_EQ(quota("4:cpu,cpuacct:/a\n"), 3) << "no folder but that of both names";
    write_v1("cpuacct,cpu/a", "200000", "50000");
    EXPECT_EQ(quota("4:cpuacct,cpu:/a\n"), 4);
    write_v1("cpu/b", "100000");
    EXPECT_EQ(quota("4:cpu,cpuacct:/b\n"), 1) << "a link named cpu";
}

TEST_F(Cgroup, V2BesideV1) {
    write_v1("cpu/a", "300000");
    EXPECT_EQ(quota("4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/a\n"), 3);
    write("unified/a/cpu.max", "200000 100000");
    EXPECT_EQ(quota("4:cpu,cpuacct:/a\n1:name=systemd:/a\n0::/a\n"), 2);
    EXPECT_EQ(quota("0::/a\n4:cpu,cpuacct:/\n"), 2);
}

TEST_F(Cgroup, ContainersSeeTheirOwnGroupAtTheRoot) {
    write_v1("cpu", "150000");
    EXPECT_EQ(quota("4:cpu,cpuacct:/docker/0123456789ab\n"), 1.5);
    write("cpu.max", "125000 100000");
    EXPECT_EQ(quota("0::/system.slice/docker-0123.scope\n"), 1.25);
    EXPECT_EQ(quota("0::/../../elsewhere\n"), 1.25);
    EXPECT_EQ(quota("0::/..\n"), 1.25);
    EXPECT_EQ(quota("4:cpu:/..\n"), 1.5);
    write("../cpu.max", "1000 100000");
    EXPECT_EQ(quota("0::/..\n"), 1.25) << "what lies beside the mount is no group";
}

TEST_F(Cgroup, NamesAreTakenAsTheyAre) {
    write(R"(system-a\x2db.slice/x y:z..service/cpu.max)", "175000 100000");
    EXPECT_EQ(quota("0::/system-a\\x2db.slice/x y:z..service\n"), 1.75);
    EXPECT_EQ(quota("0::/system-a\\x2db.slice\n"), 0);
}

}  // namespace
}  // namespace adamcore::cpu
