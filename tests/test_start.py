"""A run that begins from what an earlier run has learnt."""

import numpy as np
import pytest

import augmind
from augmind.core.errors import UsageError
from runs import TINY, digit_rows, folder

CNN = {**TINY, "learner": ("cnn",), "generators": (), "seeds": 1, "steps": {"cnn": 16}}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    root = tmp_path_factory.mktemp("earlier")
    return augmind.expand(folder(root / "digits", per_class=8, classes=3), root / "run", **CNN)


def test_a_run_begins_from_the_models_of_another_and_says_so(earlier, tmp_path):
    x, y = digit_rows(12, 3, skip=20)
    data = tmp_path / "other.npz"
    np.savez(data, images=x, labels=y)
    run = augmind.expand(data, tmp_path / "r", **CNN, start=str(earlier.folder))
    (copy,) = (run.folder / "start").iterdir()
    assert run.record["plan"]["starts"] == {"cnn": str(copy.resolve())}
    assert all("source" in arm["knowledge"] for arm in run.record["arms"])
    assert not any("source" in arm["knowledge"] for arm in earlier.record["arms"])
    assert "--start" in run.record["command"]
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(copy.read_bytes())
    again = augmind.expand(data, tmp_path / "again", **CNN, start=str(alone))
    assert again.record["rows"] == run.record["rows"]
    assert any("has seen test rows" in note for note in again.record["plan"]["notes"]) and not run.record["plan"]["notes"][1:]


def test_a_model_that_knows_test_rows_is_refused(earlier, tmp_path):
    data = folder(tmp_path / "same", per_class=8, classes=3)
    with pytest.raises(UsageError, match="has seen 24 of the 24 test rows"):
        augmind.expand(data, tmp_path / "r", **CNN, start=str(earlier.folder))


def test_what_cannot_be_begun_from_is_refused_in_one_sentence(earlier, tmp_path):
    data = folder(tmp_path / "d", per_class=8, classes=3)
    with pytest.raises(UsageError, match="holds no model of finetune"):
        augmind.expand(data, tmp_path / "a", **{**CNN, "learner": ("finetune",)}, start=str(earlier.folder))
    with pytest.raises(UsageError, match="none of the learners probe can begin"):
        augmind.expand(data, tmp_path / "b", **{**CNN, "learner": ("probe",)}, start=str(earlier.folder))
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UsageError, match="is no saved model"):
        augmind.expand(data, tmp_path / "c", **CNN, start=str(tmp_path / "x.safetensors"))
