"""Tracking: what a run measures reaches the trackers, whole and once, and no tracker can end a run."""

import json
import struct
from pathlib import Path

import pytest

import augmind
from augmind import tracking
from augmind.config import config
from augmind.core.errors import MachineError, UsageError
from augmind.core.run import Events, Run
from augmind.tracking import checked, named, numbers
from runs import TINY, folder


class Memory:
    """A tracker that remembers."""

    def __init__(self, broken: str = "") -> None:
        self.settings, self.values, self.ended, self.broken = dict[str, str](), list[tuple[str, float, int | None]](), False, broken

    def store_init_configuration(self, values):
        if self.broken:
            raise ConnectionError(self.broken)
        self.settings = values

    def log(self, values, step=None):
        self.values += [(k, v, step) for k, v in values.items()]

    def finish(self):
        self.ended = True


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return folder(tmp_path_factory.mktemp("data") / "digits", per_class=8, classes=3)


def scalars(path: Path) -> list[tuple[str, float, int]]:
    """(tag, value, step) of a TensorBoard file: records of length, checksum, protocol buffer, checksum."""
    from tensorboard.compat.proto.event_pb2 import Event

    found, raw, at = [], path.read_bytes(), 0
    while at < len(raw):
        (size,) = struct.unpack("<Q", raw[at : at + 8])
        event = Event.FromString(raw[at + 12 : at + 12 + size])
        found += [(v.tag, v.simple_value, event.step) for v in event.summary.value]
        at += size + 16
    return found


def test_curves_and_figures_reach_every_tracker_whole_and_once(data, tmp_path, monkeypatch):
    kept = {name: Memory() for name in ("mlflow", "wandb")}
    real = tracking.made
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    monkeypatch.setattr(tracking, "made", lambda name, folder: kept.get(name) or real(name, folder))
    tiny = {**TINY, "seeds": 1}
    run = augmind.expand(data, tmp_path / "r", **tiny, generators=("vae",), learner=("probe",), track=("tensorboard", "mlflow", "wandb"))
    (path,) = (run.folder / "tensorboard").glob("events.out.*")
    board = scalars(path)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    losses = [(e["done"], pytest.approx(e["kl"])) for e in events if "kl" in e and e["label"] == "train vae, fold 0"]
    assert losses and losses[-1][0] == TINY["steps"]["vae"]
    for found in (board, kept["mlflow"].values):
        assert [(step, value) for tag, value, step in found if tag == "train_vae/fold_0/kl"] == losses
        figures = {tag: value for tag, value, _ in found}
        assert figures["verdict/gain"] == pytest.approx(run.verdict["gain"])
        arm = next(a for a in run.record["arms"] if a["arm"] == "synthetic+classical" and a["learner"] == "probe")
        assert figures["probe/synthetic_and_classical/balanced_accuracy"] == pytest.approx(arm["metrics"]["balanced_accuracy"]["mean"])
    weights = kept["wandb"].values
    assert all(step is None for _, _, step in weights)
    assert [v for k, v, _ in weights if k == "train_vae/fold_0/step"] == [done for done, _ in losses]
    assert all(m.ended and m.settings["preset"] == "quick" for m in kept.values())
    lines = [json.loads(line) for line in (run.folder / "figures.jsonl").read_text().splitlines()]
    assert lines == run.record["rows"]


def test_tensorboard_is_the_default():
    assert config(data="x").track == ("tensorboard",)


def test_a_tracker_that_fails_is_left_out_with_a_word(data, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(tracking, "find_spec", lambda name: name)
    monkeypatch.setattr(tracking, "made", lambda name, folder: Memory(broken="no route"))
    run = augmind.expand(data, tmp_path / "r", **TINY, track=("mlflow",), until="plan", watch=lambda item, state: said.append((item.name, state)))
    lost = [state for name, state in said if name == "tracker mlflow"]
    assert lost == ["lost: ConnectionError: no route"] and (run.folder / "plan.json").is_file()


def test_none_is_tracked_where_none_is_asked_for(data, tmp_path):
    run = augmind.expand(data, tmp_path / "r", **TINY, generators=("vae",), learner=("probe",), track=("none",), until="plan")
    assert not (run.folder / "tensorboard").exists()


def test_unknown_and_missing_trackers_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="unknown tracker 'tensorbord'"):
        config(data="x", track=("tensorbord",))
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(MachineError, match="--track mlflow needs the package mlflow"):
        checked(("mlflow",))


def test_lines_that_are_being_written_are_read_when_they_are_whole(tmp_path):
    run = Run(folder=tmp_path, label="a")
    run.event("before")
    events = Events(tmp_path)
    run.progress(1, 2, loss=0.5)
    with events.path.open("a") as f:
        f.write('{"event": "prog')
    assert [e.get("loss") for e in events.new()] == [0.5]
    with events.path.open("a") as f:
        f.write('ress", "label": "ü"}\n')
    assert [e["label"] for e in events.new()] == ["ü"] and events.new() == []


def test_names_have_letters_that_every_tracker_takes():
    assert named("train vae, fold 0") == "train_vae/fold_0" and named("synthetic+classical, cnn~1") == "synthetic_and_classical/cnn_1"
    assert numbers({"event": "progress", "label": "a", "time": 1, "done": 1, "total": 2, "x": 3, "flag": True, "word": "w"}) == {"a/x": 3.0}
    assert numbers({"event": "started", "label": "a", "x": 3}) == {}
