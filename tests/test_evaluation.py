"""The stages that come after a comparison, on a small real run without generators: learning curve, robustness, groups."""

import pytest
import torch

import augmind
from augmind.core.store import read_json
from augmind.core.tensors import load_tensors
from augmind.growth import curve, curve_inputs, growth_record
from augmind.job import Job
from augmind.modalities.image.codec import ImageCodec
from augmind.robust import SEVERITIES, model_path, restored, robust, robust_record
from augmind.testing import ToyCodec
from runs import TINY, folder

ARMS = ["real", "classical"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Job:
    data = folder(tmp_path_factory.mktemp("data") / "digits", per_class=10)
    few = TINY | {"steps": {"cnn": 12}, "seeds": 1}
    return Job(augmind.expand(data, tmp_path_factory.mktemp("runs") / "a", **few, generators=(), learner=("cnn",)).folder)


def test_the_curve_of_a_run_is_made_once_and_never_of_its_test_rows(run):
    curve(str(run.folder))
    found, train = growth_record(run, 0.02, 0.01), len(run.fold_rows("0"))
    assert found["rows"] == train and found["learner"] == "cnn" and {p["seed"] for p in found["points"]} == {0, 1, 2}
    assert len(found["points"]) == 9 and found["points"] == sorted(found["points"], key=lambda p: (p["seed"], p["rows"]))
    assert all(0 <= p["error"] <= 1 and p["rows"] + found["validation"] <= train + 1 for p in found["points"])
    assert found["worth"]["told"].endswith(".") and found["doubling"]["low"] <= found["doubling"]["high"]
    assert growth_record(run, float("nan"), None)["worth"] is None
    path = run.store.path("curve", curve_inputs(run)) / "curve.json"
    before = path.stat().st_mtime_ns
    curve(str(run.folder))
    assert path.stat().st_mtime_ns == before and read_json(path)["fold"] == "0"


def test_a_restored_model_gives_the_answers_it_gave_when_it_was_taught(run):
    from augmind.compare import test_rows as tested

    model = restored(run, "0", "cnn", "classical")
    stored = load_tensors(model_path(run, "0", "cnn", "classical") / "predictions.safetensors")
    assert torch.allclose(model.predict(tested(run, "0", with_features=False)), stored["p"], atol=1e-3)


def test_robustness_is_told_of_every_arm_by_corruption_and_severity(run):
    for fold in run.folds:
        robust(str(run.folder), fold, "cnn", ARMS)
    found = robust_record(run, "cnn", ARMS)
    assert found["rows"] == len(run.real) and found["severities"] == list(SEVERITIES)
    assert found["corruptions"] == list(ImageCodec.corruptions) and len(found["corruptions"]) == 8
    assert [a["arm"] for a in found["arms"]] == ARMS
    for arm in found["arms"]:
        cells = [v for row in arm["cells"].values() for v in row]
        assert len(cells) == 24 and arm["corrupted"] == pytest.approx(sum(cells) / 24)
        assert arm["drop"]["estimate"] == pytest.approx(arm["clean"] - arm["corrupted"])
    assert robust_record(run, dict.fromkeys(run.folds, "cnn"), ARMS) == found


def test_a_codec_without_corruptions_has_nothing_to_tell(run):
    other = Job(run.folder)
    other.__dict__["codec"] = ToyCodec(run.spec)
    assert robust_record(other, "cnn", ARMS) is None
