"""Real trainings that go wrong in a known way: forced to a single row a class, or past learning ten rows by heart; and one that does neither."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from augmind.core.registry import find
from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.types import Data, Samples, Spec
from augmind.generators.gan import Gan
from augmind.generators.vae import Vae
from augmind.testing import ToyCodec
from runs import digit_rows

SPEC = Spec(kind="continuous", shape=(1, 8, 8), classes=("0", "1"))
RUN = Run(folder=Path("unused"), seed=1)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def digits(per_class: int, skip: int = 0) -> Samples:
    x, y = digit_rows(per_class, 2, skip)
    x = torch.from_numpy(x)[:, None]
    return Samples.real(x, torch.from_numpy(y), z=ToyCodec(SPEC).embed(x))


def learning_from(per_class: int) -> Data:
    return Data(train=digits(per_class), val=digits(40, skip=100), spec=SPEC, codec=ToyCodec(SPEC))


@dataclass(kw_only=True)
class OneLatent(Vae):
    """An autoencoder whose noise is always the same."""

    def latents(self, y: Tensor, seeds: Tensor) -> Tensor:
        return torch.zeros(len(y), self.latent)


@dataclass(kw_only=True)
class OneNoise(Gan):
    """A painter whose noise hardly varies, in the training and after it."""

    def _decoder(self, spec: Spec) -> torch.nn.Module:
        decoder = super()._decoder(spec)
        decoder.register_forward_pre_hook(lambda _, given: (1e-3 * given[0], given[1]))
        return decoder


@pytest.mark.parametrize("made", [OneLatent(steps=200, width=8), OneNoise(steps=200, width=8, batch=16, diversity=0.0)])
def test_a_training_that_is_forced_to_one_mode_is_stopped_as_collapsed(made):
    curves = made.fit(learning_from(60), RUN).curves_
    assert [f.code for f in curves.findings] == ["AM211"] and not curves.usable and curves.steps == 100


@cache
def trained(per_class: int) -> Vae:
    return Vae(steps=600, width=16, beta=0.1, lr=5e-3, draw="posterior").fit(learning_from(per_class), RUN)


def lost(per_class: int) -> float:
    """The part of 100 drawn rows that the screen takes for copies."""
    y, seeds = torch.arange(100) % 2, row_seeds(100, "planted")
    x = SPEC.to_store(trained(per_class).sample(y, seeds))
    screen = find("screens", "novelty")().fit(learning_from(per_class), RUN)
    return float((screen.score(Samples.synthetic("vae", x, y, seeds, z=ToyCodec(SPEC).embed(x))) < screen.cut).float().mean())


def test_a_training_that_learnt_ten_rows_by_heart_is_stopped_as_memorised_and_its_rows_are_rejected():
    curves = trained(5).curves_
    assert [f.code for f in curves.findings] == ["AM212"] and not curves.usable
    assert lost(5) > 0.9


def test_a_training_that_does_neither_is_left_alone():
    curves = Vae(steps=200, width=8).fit(learning_from(60), RUN).curves_
    assert not curves.findings and curves.usable and curves.steps == 200


def test_the_same_screen_lets_most_of_other_real_rows_pass_with_ten_rows_known():
    data = learning_from(5)
    screen = find("screens", "novelty")().fit(data, RUN)
    assert (screen.score(data.val) >= screen.cut).float().mean() > 0.9
