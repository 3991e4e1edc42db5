"""bench/gpu.sh without a GPU: what it leaves behind whenever it is killed, and what it makes of prepared things.

Its parts are stand-ins, which take a moment and write down what they have finished. The script, and what keeps its
record, are the real ones.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pairs import EXHAUSTIVE
from places import ROOT

TOOLS = ("bash", "timeout", "mkfifo", "sha256sum")
pytestmark = [
    pytest.mark.skipif(not EXHAUSTIVE, reason="takes 45 seconds: ADAMCORE_EXHAUSTIVE=1, as in CI, runs it"),
    pytest.mark.skipif(not (ROOT / "bench").exists(), reason="the benchmarks are not in the source distribution"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the script is for Linux"),
    pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"the script needs {', '.join(TOOLS)}"),
]
SOURCES = (
    "CMakeLists.txt pyproject.toml README.md LICENSE cmake/a cpp/CMakeLists.txt cpp/include/a cpp/src/rule_registry.cpp"
)
SOURCES += " cuda/CMakeLists.txt cuda/include/a cuda/src/a python/a"
BUILT = Path("build/gpu-library/cuda/libadamcore_cuda.a")
TESTS = ["test-graphs", "test", "test-parity"]
WHOLE = ["build", *TESTS, "experiments", "compare", "compare-launches"]

PYTHON = """#!/bin/sh
case "$*" in
  "-m device.launches"*) ;;
  "-m device."* | "-c "* | "bench/device/needs.py") exec {python} "$@" ;;
esac
exec {python} -S {stand_in} "$@"
"""

STAND_IN = """
import os, random, signal, sys, time
from pathlib import Path

words = " ".join(sys.argv[1:])
rng = random.Random(words + os.environ["STAND_IN_SEED"])

def finished(what):
    with open(os.environ["STAND_IN_JOURNAL"], "a") as journal:
        journal.write(what + "\\n")

def interrupted(*_):
    print("=== 1 failed, 2 passed in 0.1s ===", flush=True)
    sys.exit(2)

print(words, flush=True)
if "-m pip" in words:
    package = Path(sys.argv[sys.argv.index("--target") + 1], "adamcore")
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_cuda.py").touch()
    print("library:", os.environ["ADAMCORE_CUDA_LIBRARY"], "for", os.environ["ADAMCORE_CUDA_ARCHITECTURES"])
    print("commit:", os.environ.get("ADAMCORE_COMMIT"), flush=True)
    time.sleep(rng.uniform(0, 0.1))
    finished("build")
elif "-m pytest" in words:
    signal.signal(signal.SIGINT, interrupted)
    time.sleep(float(os.environ.get("STAND_IN_TEST", rng.uniform(0, 0.1))))
    if "streams" in words and "STAND_IN_STICKY" in os.environ:
        sys.exit("RuntimeError: " + os.environ["STAND_IN_STICKY"])
    print("=== 3 passed in 0.1s ===", flush=True)
    finished("test-parity" if "parity" in words else "test-graphs" if "test_graphs" in words else "test")
elif "bench/gpu.py" in words:
    sys.path.insert(0, "bench")
    import keep
    cases = []
    for k in range(5):
        time.sleep(rng.uniform(0, 0.05))
        cases.append({"name": str(k), "timings": ["x" * 50] * 1000})
        keep.update(Path(sys.argv[sys.argv.index("--json") + 1]), lambda record: record.update(cases=cases))
        finished(f"case {k}")
    finished("compare")
elif "device.launches" in words:
    finished("compare-launches")
"""

CMAKE = """#!/bin/sh
mkdir -p {folder} && echo code >{built}
echo runtime >libcudart_static.a && echo CUDA_cudart_static_LIBRARY:FILEPATH=libcudart_static.a >{tree}/CMakeCache.txt
"""

EXPERIMENTS = """#!/bin/sh
touch "$4.E1" "$4.E1.part"
sleep 0.1
echo '{"E1": {"measured": 1}}' >"$4"
echo experiments >>"$STAND_IN_JOURNAL"
"""


class Script:
    """A copy of the benchmarks among stand-ins for everything else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.journal = folder, folder / "out", folder / "journal"
        for name in SOURCES.split():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
        shutil.copytree(ROOT / "bench", folder / "bench", ignore=shutil.ignore_patterns("results", "__pycache__"))
        shutil.copytree(ROOT / "tests" / "gpu", folder / "tests" / "gpu", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        stand_in = folder / "stand_in.py"
        stand_in.write_text(STAND_IN)
        self.put("path/python3", PYTHON.format(python=sys.executable, stand_in=stand_in))
        self.put("path/cmake", CMAKE.format(built=BUILT, folder=BUILT.parent, tree=BUILT.parents[1]))
        self.put("path/nvidia-smi", 'case "$2" in *compute_cap*) echo 9.0 ;; *) echo "Made-up 9000" ;; esac\n')
        self.put("bench/device/experiments/build.sh", 'mkdir -p "$1" && cp experiments.sh "$1/experiments"\n')
        self.put("experiments.sh", EXPERIMENTS)

    def put(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if text.startswith("#!") else "#!/bin/sh\n" + text)
        path.chmod(0o755)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ADAMCORE_")}
        ours = {
            "PATH": f"{self.folder / 'path'}:{kept['PATH']}",
            "OUT": str(self.out),
            "ADAMCORE_GPU_WORK": str(self.folder / "work"),
            "STAND_IN_JOURNAL": str(self.journal),
            "STAND_IN_SEED": "0",
            "GIT_CEILING_DIRECTORIES": str(self.folder.parent),
        }
        return subprocess.Popen(
            ["env", "--default-signal=INT", "bash", "bench/gpu.sh", *arguments],
            cwd=self.folder,
            env={**kept, **ours, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, status: int = 0, **environment: str) -> str:
        process = self.start(*arguments, **environment)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == status, output
        return output

    def record(self) -> dict[str, Any]:
        path = self.out / "gpu.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def statuses(self) -> dict[str, int]:
        return {part["name"]: part["status"] for part in self.record().get("parts", [])}

    def summaries(self) -> dict[str, str]:
        return {part["name"]: part["summary"] for part in self.record()["parts"]}

    def finished(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def holds_what_was_finished(self, output: str) -> None:
        """Compare the record, and the files beside it, with the journal and the script's output."""
        files = [path for path in self.out.rglob("*") if path.is_file()]
        assert len(files) <= 8
        assert all(re.fullmatch(r"[\w.-]+", path.name) for path in files)
        finished = self.finished()
        cases = [what.removeprefix("case ") for what in finished if what.startswith("case ")]
        assert [case["name"] for case in self.record().get("cases", [])][: len(cases)] == cases
        said = {name: int(status) for name, status in re.findall(r"^-- ([a-z_-]+): (\d+)$", output, re.MULTILINE)}
        assert said.items() <= self.statuses().items()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def kill_session(leader: int) -> None:
    """Kill all that a process has started, as a machine does that is taken away."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(stat.read_text().rpartition(")")[2].split()[3])
        except (OSError, ValueError):
            continue
        if session == leader:
            os.kill(int(stat.parent.name), signal.SIGKILL)


def test_a_whole_run(script: Script) -> None:
    script.run("prepare")
    output = script.run()
    assert script.statuses() == dict.fromkeys(WHOLE, 0), output
    script.holds_what_was_finished(output)
    record = script.record()
    assert len(record["cases"]) == 5
    assert record["experiments"] == {"E1": {"measured": 1}}
    assert record["facts"]["device"]["name"] == "Made-up 9000"
    assert script.summaries()["test"] == "3 passed in 0.1s"
    assert {path.name for path in script.out.iterdir()} == {
        *("build.log", "test.log", "experiments.log", "compare.log"),
        *("gpu.json", "experiments.json"),
    }
    log = (script.out / "test.log").read_text()
    order = re.findall(r"test_(\w+)\.py", log)
    assert order[:8] == ["graphs", "captures", "streams", "process", "lifetimes", "torch", "arrays", "large"]
    assert order[-1] == "parity"
    assert sorted(order) == sorted(path.stem.removeprefix("test_") for path in (ROOT / "tests/gpu").glob("test_*.py"))
    assert f"library: {script.folder}/.gpu/libadamcore_cuda.a for 90" in (script.out / "build.log").read_text()


def test_what_is_prepared_is_of_these_sources(script: Script) -> None:
    script.run("prepare")
    prepared = {"libadamcore_cuda.a", "libcudart_static.a", "experiments", "stamp"}
    assert {path.name for path in (script.folder / ".gpu").iterdir()} == prepared
    assert "was built from these sources" in script.run("prepare")
    (script.folder / "cuda/src/a").write_text("another kernel")
    output = script.run("build", "experiments", status=1)
    assert "not used: it was built from other sources; nvcc compiles everything" in output
    assert "library:  for 90" in output
    assert "The experiments in .gpu were built from other sources: bash bench/gpu.sh prepare" in output
    assert script.statuses() == {"build": 0, "experiments": 127}
    script.run("prepare")
    (script.folder / "work" / "built").unlink()
    assert "library is used" in script.run("build")


def test_a_package_that_was_prepared(script: Script) -> None:
    """It is used if it was built from these sources for this Python, and can be loaded here."""
    output = script.run("prepare", str(script.folder / "path" / "python3"))
    assert f"library: {script.folder}/.gpu/libadamcore_cuda.a for 90" in output
    was_prepared = f"The build in {script.folder}/.gpu/site was prepared from these sources."
    assert was_prepared in script.run("build")
    assert not (script.folder / "work" / "site").exists()
    stamp = script.folder / ".gpu" / "stamp"
    of_this_python = stamp.read_text()
    stamp.write_text(of_this_python.replace("cpython", "other"))
    assert was_prepared not in script.run("build")
    stamp.write_text(of_this_python)
    (script.folder / ".gpu" / "site" / "adamcore" / "_cuda.py").write_text("import no_such_library")
    output = script.run("build")
    assert "No module named 'no_such_library'" in output
    assert "The build in" in output
    assert was_prepared not in output


def test_a_second_call_adds_to_the_record(script: Script) -> None:
    script.put("path/compute-sanitizer", 'echo "$@"; echo "========= ERROR SUMMARY: 0 errors"\n')
    script.run("test")
    script.run("sanitize")
    script.run("sanitize", "initcheck", "graphs")
    assert script.statuses() == dict.fromkeys(
        ["build", *TESTS, "sanitize-memcheck", "sanitize-racecheck", "sanitize-initcheck"], 0
    )
    log = (script.out / "sanitize.log").read_text()
    assert "--tool racecheck --error-exitcode 1 python3 tests/gpu/sanitize.py clipping scaling many graphs rules" in log
    assert "--tool initcheck --error-exitcode 1 python3 tests/gpu/sanitize.py graphs\n" in log
    assert script.summaries()["sanitize-memcheck"] == "ERROR SUMMARY: 0 errors"
    assert "Build, test" in script.run("no-such-part", status=2)


def test_a_part_that_runs_out_of_time_says_what_failed(script: Script) -> None:
    output = script.run("test", "compare", status=1, STAND_IN_TEST="60", ADAMCORE_GPU_SECONDS="4")
    left = dict.fromkeys(["test", "test-parity", "compare", "compare-launches"], 125)
    assert script.statuses() == {"build": 0, "test-graphs": 124, **left}
    assert script.summaries()["test-graphs"] == "1 failed, 2 passed in 0.1s"
    assert "out of time" in output
    assert "no time left" in output


def test_after_an_error_that_stays_with_a_process_each_file_has_its_own(script: Script) -> None:
    script.run("test", status=1, STAND_IN_STICKY="an illegal memory access was encountered", STAND_IN_TEST="0")
    statuses = script.statuses()
    assert (statuses["test-graphs"], statuses["test"], statuses["test-streams"], statuses["test-process"]) == (
        0,
        1,
        1,
        0,
    )
    assert len(statuses) == 2 + len(list((ROOT / "tests" / "gpu").glob("test_*.py")))
    assert script.summaries()["test-large"] == "3 passed in 0.1s"


def test_after_other_errors_no_file_runs_again(script: Script) -> None:
    """torch adds this hint to each of its errors."""
    hint = "CUDA error\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
    script.run("test", status=1, STAND_IN_STICKY=hint, STAND_IN_TEST="0")
    assert script.statuses() == {"build": 0, "test-graphs": 0, "test": 1, "test-parity": 0}


@pytest.mark.parametrize("seed", range(3 if EXHAUSTIVE else 1))
@pytest.mark.parametrize("way", ["TERM", "INT", "KILL", "all killed"])
def test_killed_at_any_moment(script: Script, way: str, seed: int) -> None:
    script.run("prepare")
    process = script.start(STAND_IN_SEED=str(seed))
    time.sleep(random.Random(f"{way} {seed}").uniform(0, 1.5))  # noqa: S311
    if way == "all killed":
        kill_session(process.pid)
    else:
        process.send_signal(signal.Signals[f"SIG{way}"])
    output, _ = process.communicate(timeout=60)  # the end of its children's output too
    script.holds_what_was_finished(output)
    if way in ("TERM", "INT") and process.returncode not in (0, 1):
        assert process.returncode in (128 + signal.Signals[f"SIG{way}"], -signal.Signals[f"SIG{way}"])
        assert {what for what in script.finished() if what in WHOLE} <= script.statuses().keys()


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the comparison needs torch")
@pytest.mark.parametrize("way", ["", "TERM", "INT", "KILL"] if EXHAUSTIVE else [""])
def test_on_the_emulation(emulation: Path, tmp_path: Path, way: str) -> None:
    """The script as it is, with the tests of graphs for all tests, and two tiny cases."""
    ours = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OUT": str(tmp_path / "out"),
        "ADAMCORE_GPU_WORK": str(tmp_path / "work"),
        "ADAMCORE_GPU_EMULATION": str(emulation),
        "PYTEST_ADDOPTS": "-k 'test_rates_that_change or test_per_thread_default_streams'",
    }
    process = subprocess.Popen(
        ["env", "--default-signal=INT", "bash", ROOT / "bench" / "gpu.sh", "test", "compare"],
        env={**os.environ, **ours},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if way:
        time.sleep(random.Random(way).uniform(0, 20))  # noqa: S311
        process.send_signal(signal.Signals[f"SIG{way}"])
    output, _ = process.communicate(timeout=300)
    path = tmp_path / "out" / "gpu.json"
    record = json.loads(path.read_text()) if path.exists() else {}
    parts = {part["name"]: part["status"] for part in record.get("parts", [])}
    assert len(list((tmp_path / "out").iterdir())) <= 8
    said = {name: int(status) for name, status in re.findall(r"^-- ([a-z-]+): (\d+)$", output, re.MULTILINE)}
    assert said.items() <= parts.items()
    cases = re.findall(r"^(tiny_\d+): ", output, re.MULTILINE)
    assert set(cases) <= {case["name"] for case in record.get("cases", [])}
    if not way:
        assert (parts["test"], parts["compare"], len(cases)) == (0, 0, 2), output
