"""Steering of fitted generators: between classes, and along directions of their latents."""

import csv
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

import augmind
from augmind.cli.take import moves, parts
from augmind.core.errors import UsageError
from augmind.core.plugin import Generator, Latent
from augmind.core.run import Run
from augmind.core.seeds import row_noise, row_seeds
from augmind.core.types import Spec
from augmind.generators.feature import Feature
from augmind.job import Job
from augmind.steering import AXES, Seen, Steered, deviations, mixture, steered
from augmind.testing import toy_data
from runs import TINY, arrays

WAY = torch.tensor([0.6, 0.0, 0.8, 0.0])


@dataclass(kw_only=True)
class Line(Latent):
    """Rows (6,) from latents (4,): far from zero, and along one direction of them (WAY) they vary most."""

    def fit(self, data: Any, run: Any) -> "Line":
        return self

    def latents(self, y: Int[Tensor, " n"], seeds: Int[Tensor, " n"]) -> Float[Tensor, "n l"]:
        return row_noise(seeds, (4,))

    def decode(self, z: Float[Tensor, "n l"], y: Tensor, seeds: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        part = y if y.is_floating_point() else torch.nn.functional.one_hot(y, 2).float()
        rows = torch.full((len(z), 6), 100.0)
        rows[:, 0] += 2 * (z @ WAY)
        rows[:, 1] += 0.3 * z[:, 1]
        rows[:, 2] += 5 * part[:, 1]
        rows[:, 3] = torch.stack([torch.randn((), generator=torch.Generator().manual_seed(s)) for s in seeds.tolist()])
        return rows

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, spec: Spec, state: dict[str, Tensor]) -> "Line":
        return self


def wished(along: dict[int, float], attribute: Tensor | None = None) -> Generator:
    return steered(Line(), torch.clone, 0, 0, ONLY, along, attribute)


def drawn(plugin: Any, n: int = 200) -> Tensor:
    return plugin.sample(torch.zeros(n, dtype=torch.long), row_seeds(n, "steering"))


ONLY = torch.tensor([1.0, 0.0])


def test_a_direction_of_what_rows_show_is_found_in_the_latents():
    seen = Seen.of(Steered(own=Line(), weights=ONLY), torch.clone, 0, 0)
    shift, held = seen.toward(torch.tensor([1.0, 0, 0, 0, 0, 0, 0]))
    assert held > 0.9 and torch.nn.functional.cosine_similarity(shift, WAY, 0) > 0.95
    assert shift.norm() == pytest.approx(1.0, abs=0.2), "one deviation of latents along it"
    first = seen.axes()
    assert len(first) <= AXES and torch.allclose(first @ first.T, torch.eye(len(first)), atol=1e-4)
    assert seen.toward(first[0])[1] > 0.9


def test_latents_are_moved_by_deviations_of_what_rows_show():
    plain, moved, back = (drawn(wished(along)) for along in ({}, {1: 2.0}, {1: -2.0}))
    ahead, behind = (float((rows - plain)[:, 0].mean()) for rows in (moved, back))
    assert abs(ahead) == pytest.approx(4.0, rel=0.2) and behind == pytest.approx(-ahead, rel=1e-3)
    assert (moved - plain)[:, 2:].abs().max() < 1e-4


def test_what_latents_do_not_know_is_told_and_an_attribute_of_that_kind_moves_nothing():
    with pytest.raises(UsageError, match="say nothing of direction 2") as told:
        wished({2: 1.0})
    assert "smaller number" in told.value.help
    noise = torch.tensor([0, 0, 0, 1.0, 0, 0, 0])
    assert torch.equal(drawn(wished({}, noise)), drawn(Line()))
    toward = drawn(wished({}, torch.tensor([1.0, 0, 0, 0, 0, 0, 0])))
    assert (toward - drawn(Line()))[:, 0].mean() > 2


def test_mixtures_lie_between_their_classes(tmp_path):
    """Rows of a Gaussian around class means: the mean of a mixture is that of the means."""
    data = toy_data(90).features()
    made = Feature().fit(data, Run(folder=tmp_path))
    weights = mixture(("x", "y", "z"), "x", {"z": 0.4})
    assert weights.tolist() == pytest.approx([0.6, 0, 0.4])
    assert mixture(tuple("abcdefghij"), "a", dict.fromkeys("bcdefghij", 0.1)).tolist() == pytest.approx([0.1] * 10)
    y, seeds = torch.zeros(600, dtype=torch.long), row_seeds(600, "mixed")
    mixed = Steered(own=made, weights=weights).sample(y, seeds)
    ends = [made.sample(torch.full_like(y, k), seeds) for k in (0, 2)]
    torch.testing.assert_close(mixed, 0.6 * ends[0] + 0.4 * ends[1], atol=1e-3, rtol=1e-3)
    alone = Steered(own=made, weights=mixture(("x", "y", "z"), "x", {})).sample(y, seeds)
    assert torch.equal(alone, ends[0])


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ({"w": 0.2}, "class 'w'"),
        ({"x": 0.2}, "'x' is the class"),
        ({"y": -0.1}, "no part"),
        ({"y": 0.6}, "less than"),
        ({"y": 0.5, "z": 0.6}, "less than"),
    ],
)
def test_a_mixture_that_is_none_is_told(mix, said):
    with pytest.raises(UsageError, match=said):
        mixture(("x", "y", "z"), "x", mix)


@pytest.mark.parametrize(("along", "said"), [({0: 1.0}, "direction 0"), ({AXES + 1: 1.0}, "is not known"), ({1: 9.0}, "by 9 deviations")])
def test_a_direction_that_there_is_not_is_told(along, said):
    with pytest.raises(UsageError, match=said):
        deviations(along)


def test_wishes_are_written_as_pairs():
    assert parts(["a=b=0.3", "c=1e-1"]) == {"a=b": 0.3, "c": 0.1} and parts(None) == {} and moves(["1=-2"]) == {1: -2.0}
    for reader, given, said in (
        (parts, ["forks"], "--mix forks is not a wish"),
        (parts, ["forks=some"], "forks=some is not"),
        (parts, ["a=0.1", "a=0.2"], "twice"),
        (moves, ["x=1"], "no direction"),
        (moves, ["1=nan"], "is not a wish"),
        (moves, ["1=2", "01=3"], "direction 1 twice"),
        (moves, ["2"], "--along 2 is not"),
    ):
        with pytest.raises(UsageError, match=said):
            reader(given)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("steer")
    data = arrays(root / "d.npz", train=30, test=20)
    return augmind.expand(data, root / "r", **TINY | {"learner": ("probe",), "generators": ("vae",), "seeds": 1, "folds": None, "ratio": 1.0})


def rows_of(folder):
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as f:
        return [{"note": ""} | row for row in csv.DictReader(f)]


def test_a_run_draws_rows_between_classes_and_along_directions(run, tmp_path):
    label, other = run.record["rows"]["classes"][:2] if "classes" in run.record["rows"] else Job(run.folder).spec.classes[:2]
    pixels = {}
    mixed = f"steered: between classes (60% {label}, 40% {other})"
    ways = {"plain": {}, "mixed": {"mix": {other: 0.4}}, "ahead": {"along": {1: 2.0}}, "behind": {"along": {1: -2.0}}}
    notes = ["", mixed, "steered: +2 deviations along direction 1", "steered: -2 deviations along direction 1"]
    for (name, wish), said in zip(ways.items(), notes, strict=True):
        assert run.sample(label, 6, tmp_path / name, **wish)
        pixels[name] = np.mean([np.asarray(Image.open(f)).astype(float) for f in sorted((tmp_path / name).rglob("*.png"))], 0)
        (told,) = {row["note"] for row in rows_of(tmp_path / name)}
        assert told == said
        row = run.why(f"vae:{rows_of(tmp_path / name)[0]['seed']}")
        assert (row["note"], row["steered"]) == (said, bool(said))
    assert not np.array_equal(pixels["mixed"], pixels["plain"])
    assert np.abs(pixels["ahead"] - pixels["behind"]).mean() > 5
    with pytest.raises(UsageError, match="less than"):
        run.sample(label, 2, tmp_path / "no", mix={other: 0.7})
    assert not (tmp_path / "no").exists()
