"""`History`: columns that grow, and the files and pictures that are made of them."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
import pickle
import struct
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adamcore as ac
from adamcore._history.columns import History
from places import ROOT

NAN, INF = math.nan, math.inf
TYPES = {"step": "q", "loss": "d", "skipped": "b"}


def make_history(losses=(0.1, 1 / 3, NAN, 2.0)):
    history = History(TYPES)
    for step, loss in enumerate(losses, 1):
        history.append({"step": step, "loss": loss, "skipped": step == 2})
    return history


def test_columns():
    history = make_history()
    assert list(history) == ["step", "loss", "skipped"]
    assert (len(history), history.rows) == (3, 4)
    assert {name: history[name].dtype for name in history} == {"step": np.int64, "loss": float, "skipped": bool}
    assert history.loss.tobytes() == np.array([0.1, 1 / 3, NAN, 2.0]).tobytes()
    assert history.skipped.tolist() == [False, True, False, False]
    history["loss"][0] = 9
    assert history["loss"][0] == 0.1
    assert "loss" in dir(history)
    assert repr(history) == "<History of 4 steps: step, loss, skipped>"
    assert History({}).rows == 0


def test_unknown_columns():
    history = make_history()
    with pytest.raises(KeyError, match="there is no column 'los'; did you mean 'loss'"):
        history["los"]
    with pytest.raises(AttributeError, match="'History' object has no attribute 'los'"):
        _ = history.los
    assert "los" not in history
    assert history.get("los") is None


def test_a_column_may_begin_in_the_middle():
    history = make_history()
    history.append({"step": 5, "loss": 0.0, "skipped": False, "val_loss": 0.5})
    history.append({"step": 6, "skipped": True})
    history.amend({"loss": 7.0, "val_acc": 0.25})
    assert history["val_loss"][4] == 0.5
    assert history["val_acc"][5] == 0.25
    assert np.isnan(history["val_loss"][[0, 1, 2, 3, 5]]).all()
    assert np.isnan(history["val_acc"][:5]).all()
    assert {len(history[name]) for name in history} == {6}
    assert history["loss"][5] == 7.0


@pytest.mark.parametrize(
    "row",
    [
        {"step": 5, "loss": "x", "skipped": False},
        {"step": 5, "loss": 0.5},
        {"loss": 0.5, "skipped": False},
        {"step": 0.5, "loss": 0.5, "skipped": False},
        {"step": 2**63, "loss": 0.5, "skipped": False},
        {"step": 5, "loss": 0.5, "skipped": False, "val_loss": None},
    ],
)
def test_a_bad_row_changes_nothing(row):
    history = make_history()
    with pytest.raises((TypeError, ValueError, OverflowError)):
        history.append(row)
    assert history == make_history()
    with pytest.raises((TypeError, OverflowError)):
        history.amend({"new": 0.5, **row, "loss": "x"})
    assert history == make_history()


def test_there_must_be_a_row_to_amend():
    with pytest.raises(IndexError, match="there is no row yet"):
        History(TYPES).amend({"loss": 1.0})


def test_equality_is_of_bits():
    assert make_history() == make_history()
    assert make_history([0.0]) != make_history([-0.0])
    assert make_history([NAN]) == make_history([NAN])
    assert make_history() != make_history([0.1])
    assert make_history() != {"step": 1}
    assert History({"loss": "d"}) != History({"loss": "q"})
    with pytest.raises(TypeError):
        hash(make_history())


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, History.copy, lambda h: pickle.loads(pickle.dumps(h))])  # noqa: S301
def test_copies(twin):
    history = make_history()
    history.began = 5.0
    other = twin(history)
    assert other == history
    assert other.began == 5.0
    if twin is not copy.copy:
        other.append({"step": 9, "skipped": False})
        assert history == make_history()


def read_csv(text):
    header, *rows = csv.reader(io.StringIO(text))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


@given(st.lists(st.floats(), min_size=1, max_size=20))
def test_csv_and_json_are_exact(losses):
    history = make_history(losses)
    read = read_csv(history.to_csv())
    assert [int(text) for text in read["step"]] == list(range(1, len(losses) + 1))
    back = [float(text) if text else NAN for text in read["loss"]]
    for value, loss in zip(back, losses, strict=True):
        assert struct.pack("d", value) == struct.pack("d", loss) or (math.isnan(value) and math.isnan(loss))

    def refuse(text):
        raise AssertionError(text)

    found = json.loads(history.to_json(), parse_constant=refuse)
    assert found["loss"] == [loss if math.isfinite(loss) else None for loss in losses]
    assert found["skipped"] == [i == 1 for i in range(len(losses))]
    assert found["step"] == list(range(1, len(losses) + 1))


def test_names_and_files(tmp_path):
    history = make_history()
    history.amend({'val_"a, b"\n': 0.5})
    assert read_csv(history.to_csv(tmp_path / "a.csv"))['val_"a, b"\n'] == ["", "", "", "0.5"]
    assert (tmp_path / "a.csv").read_text() == history.to_csv()
    assert (tmp_path / "a.json").exists() is False
    history.to_json(str(tmp_path / "a.json"))
    assert json.loads((tmp_path / "a.json").read_text())['val_"a, b"\n'] == [None, None, None, 0.5]
    assert History(TYPES).to_csv() == "step,loss,skipped\n"
    assert History(TYPES).to_json() == '{"step": [], "loss": [], "skipped": []}'


def test_state_round_trip(tmp_path):
    history = make_history()
    history.amend({"val_loss": 0.5})
    history.began = 3.5
    for state in (history.state_dict(), json.loads(json.dumps(history.state_dict(), default=np.ndarray.tolist))):
        other = History(TYPES)
        other.load_state_dict(state)
        assert other == history
        assert other.began == 3.5
    opt, other = ac.SGD(np.ones(1)), History(TYPES)
    ac.save(tmp_path / "run", opt, history=history)
    ac.load(tmp_path / "run", opt, history=other)
    assert other == history


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"loss": ...}, "column 'loss' is missing"),
        ({"loss": [1.0]}, "columns must have the same length"),
        ({"loss": "x"}, "loss must be a list of numbers, got 'x'"),
        ({"loss": ["1.0"] * 4}, "loss must be a list of numbers, got "),
        ({"loss": [1j] * 4}, "loss must be a list of numbers, got "),
        ({"loss": [[1.0]] * 4}, "loss must be a list of numbers, got "),
        ({"loss": [[1.0], [], 2, 3]}, "loss must be "),
        ({"loss": None}, "loss must be a list of numbers, got None"),
        ({"step": [1.0, 2.0, 3.0, 4.5]}, "step must be a list of ints, got "),
        ({"step": [NAN] * 4}, "step must be a list of ints, got "),
        ({"skipped": [0, 1, 2, 3]}, "skipped must be a list of True and False, got "),
        ({3: [1.0] * 4}, "the names of columns must be texts, got 3"),
    ],
)
def test_a_bad_state_changes_nothing(columns, message):
    history = make_history()
    state = {**history.state_dict()["columns"], **columns}
    state = {name: values for name, values in state.items() if values is not ...}
    with pytest.raises((TypeError, ValueError)) as caught:
        history.load_state_dict({"began": 1.0, "columns": state})
    assert str(caught.value).startswith(f"History: state_dict: {message}")
    assert history == make_history()
    assert history.began is None


@pytest.mark.parametrize("state", [None, [], {}, {"columns": 3}, {**make_history().state_dict(), "began": "x"}])
def test_what_is_no_state_is_refused(state):
    with pytest.raises(TypeError, match="History: state_dict"):
        make_history().load_state_dict(state)


def read_events(folder):
    """Return (tag, step, value, time) of all scalars, by TensorBoard's format: length, its CRC, data, their CRC."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (file,) = folder.iterdir()
    content, found, place = file.read_bytes(), [], 0
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = event_pb2.Event.FromString(content[place + 12 : place + 12 + length])
        found += [(value.tag, event.step, value.simple_value, event.wall_time) for value in event.summary.value]
        place += 12 + length + 4
    return found


def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboardX")
    history = History({"step": "q", "wall": "d", "loss": "d", "skipped": "b"})
    history.append({"step": 3, "wall": 0.5, "loss": 0.25, "skipped": False})
    history.append({"step": 4, "wall": 1.5, "loss": INF, "skipped": True, "val_loss": 0.75})
    history.append({"step": 5, "wall": 2.5, "loss": NAN, "skipped": False})
    history.began = 1000.0
    history.to_tensorboard(tmp_path / "timed")
    assert read_events(tmp_path / "timed") == [
        ("loss", 3, 0.25, 1000.5),
        ("loss", 4, INF, 1001.5),
        ("skipped", 3, 0.0, 1000.5),
        ("skipped", 4, 1.0, 1001.5),
        ("skipped", 5, 0.0, 1002.5),
        ("val_loss", 4, 0.75, 1001.5),
    ]
    make_history().to_tensorboard(str(tmp_path / "untimed"))
    untimed = [item[1:3] for item in read_events(tmp_path / "untimed") if item[0] == "loss"]
    assert untimed == [(1, np.float32(0.1)), (2, np.float32(1 / 3)), (4, 2.0)]


@pytest.mark.parametrize("losses", [(), (1.0,), (NAN, NAN), (1e-9, 1.0), (-1.0, 1e308), (INF, 1.0)])
def test_pictures(tmp_path, losses):
    figure = pytest.importorskip("matplotlib.figure")
    history = make_history(losses)
    for i in range(9 if losses else 0):
        history.amend({f"val_loss_{i}": 0.5})
    finding = ac.Finding("spike", 1, None, "note", {})
    assert isinstance(history.plot(findings=[finding] * 20), figure.Figure)
    history.plot(tmp_path / "a.png")
    history.plot(str(tmp_path / "a.svg"))
    assert (tmp_path / "a.png").stat().st_size > 1000
    assert "<svg" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(
    ("package", "call", "message"),
    [
        ("tensorboardX", lambda h: h.to_tensorboard("x"), r'pip install "adamcore\[tensorboard\]"'),
        ("matplotlib", lambda h: h.plot(), r'pip install "adamcore\[plot\]"'),
        ("matplotlib", lambda _: ac.Monitor(ac.SGD(np.ones(1))).plot(), r'Monitor.plot needs .*"adamcore\[plot\]"'),
    ],
)
def test_missing_extras_are_named(monkeypatch, tmp_path, package, call, message):
    for module in [name for name in sys.modules if name.partition(".")[0] == package or name.endswith(".picture")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=message):
        call(make_history())


def test_extras_that_messages_name_exist():
    extras = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert {"plot", "tensorboard"} <= {line.partition(" = ")[0] for line in extras.splitlines()}
