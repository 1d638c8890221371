"""The promises of every plug-in, found through the registry: a new file is held to them with no test to write.

`small` makes each one as cheap as its ranges allow; `suited` gives it toy data of a kind that it takes.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from augmind.core.errors import UsageError, WrongSpec
from augmind.core.feed import Feed
from augmind.core.loop import Curves
from augmind.core.plugin import Generator, Labeller, Latent, Learner, Plugin
from augmind.core.registry import BASES, find, make, names
from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.tune import Range, placed, ranges
from augmind.core.types import Choice, Data, Knowledge, Samples, Spec
from augmind.testing import toy_data
from language import answering, pulled, tiny_rewriters
from painting import tiny
from rows import joint, sentences
from speaking import pretend


@pytest.fixture(autouse=True)
def voices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speech without espeak-ng."""
    pretend(monkeypatch)


EVERY = [(kind, name) for kind in BASES for name in names(kind)]
COSTLY = ("steps", "width", "points", "batch", "latent", "depth", "rounds", "epochs", "views")
SIDED: dict[str, dict[str, Any]] = {
    "each": {"by": ["flip_crop", "wave"], "sides": {"image": [1, 16, 16], "audio": [1, 16, 24]}},
    "exchange": {"widths": {"image": 1280, "audio": 96}},
}
"""Settings that a codec gives to what works on rows of several kinds."""
every = pytest.mark.parametrize(("kind", "name"), EVERY, ids=[f"{k}-{n}" for k, n in EVERY])


def each(*kinds: str) -> pytest.MarkDecorator:
    pairs = [(kind, name) for kind in kinds for name in names(kind)]
    return pytest.mark.parametrize(("kind", "name"), pairs, ids=[f"{k}-{n}" for k, n in pairs])


def least(range: Range, default: Any) -> Any:
    return range.options[0] if range.options else type(default)(range.low)


def pipeline() -> str:
    """The folder of a small pipeline; skips where the package that makes it is not installed."""
    pytest.importorskip("diffusers")
    return str(tiny("sd"))


def small(kind: str, name: str, **settings: Any) -> Any:
    """The plug-in with every setting that costs time at the least that is allowed."""
    plugin = find(kind, name)
    fields = {f.name: f.default for f in dataclasses.fields(plugin)}
    cheap = {f: least(r, fields[f]) for f, r in ranges(plugin).items() if f in COSTLY}
    cheap |= {"url": answering(), "model": "toy"} if name == "llm" else {}
    cheap |= tiny_rewriters().get(name, {})
    cheap |= {"model": pipeline(), "adapt": "lora", "lr": 1e-2} if name == "pretrained" else {}
    cheap |= {"by": ["vae", "gan"]} if name == "ensemble" else {}
    cheap |= SIDED.get(name, {})
    return make(kind, Choice(name=name, settings=cheap | settings))


def suited(kind: str, name: str, rows: int = 24) -> Data:
    """Toy data that this plug-in takes; skips where there is none."""
    if name == "lm":
        pulled()
    plugin, grids = find(kind, name), toy_data(rows, (1, 16, 16))
    if getattr(plugin, "space", "rows") == "features":
        grids = grids.features()
    waves = toy_data(rows, (1, 16, 16))
    waves = dataclasses.replace(waves, spec=dataclasses.replace(waves.spec, rate=8000))
    both = [joint(rows), joint(rows).features()] if plugin.sided else []
    for data in (grids, toy_data(rows, (3, 32, 32)), sentences(rows), waves, *both):
        if not plugin.refuses(data.spec):
            pool = toy_data(300, data.spec.shape, seed=1).train if issubclass(plugin, Labeller) else None
            return dataclasses.replace(data, pool=pool)
    pytest.skip(f"{name} takes other data than the toys")


def copied(data: Data) -> list[Tensor]:
    return [v.clone() for s in (data.train, data.val) for v in vars(s).values() if isinstance(v, Tensor)]


class Untouched:
    """Around code that must leave its data and the global random state alone."""

    def __init__(self, data: Data) -> None:
        self.data = data

    def __enter__(self) -> None:
        self.rng, self.before = torch.get_rng_state(), copied(self.data)

    def __exit__(self, *error: object) -> None:
        if error == (None, None, None):
            assert torch.equal(self.rng, torch.get_rng_state()), "the global random state was used"
            assert all(map(torch.equal, self.before, copied(self.data))), "the data were changed"


# every plug-in


@every
def test_is_documented_by_its_own_words(kind: str, name: str):
    plugin = find(kind, name)
    module = sys.modules[plugin.__module__]
    assert len((module.__doc__ or "").strip()) > 20
    assert len((plugin.__doc__ or "").strip()) > 10 and not plugin.__doc__.startswith(f"{plugin.__name__}(")
    if kind in ("generators", "metrics"):
        assert re.search(r"arXiv:\d{4}\.\d{4,5}|\b(19|20)\d\d\b", f"{module.__doc__} {plugin.__doc__}"), "names its source"


@every
def test_declares_what_it_takes(kind: str, name: str):
    plugin = find(kind, name)
    assert plugin.name() == name and issubclass(plugin, BASES[kind])
    assert plugin.kinds and plugin.kinds <= {"continuous", "tokens"}
    assert plugin.axes and set(plugin.axes) <= {1, 2, 3}
    if issubclass(plugin, Generator | Learner):
        assert plugin.space in ("rows", "features") and isinstance(plugin.knowledge, Knowledge)


@every
def test_constructor_only_keeps_settings_whose_defaults_are_in_range(kind: str, name: str):
    plugin = make(kind, Choice(name=name))
    assert set(vars(plugin)) == {f.name for f in dataclasses.fields(plugin)}
    for field, allowed in ranges(type(plugin)).items():
        assert allowed.allows(getattr(plugin, field)), f"{field} = {getattr(plugin, field)} is outside {allowed}"
        assert allowed.options or (allowed.low is not None and allowed.high is not None and allowed.low < allowed.high)
        assert not allowed.log or allowed.low > 0


@every
def test_settings_survive_json(kind: str, name: str):
    plugin = small(kind, name)
    again = make(kind, Choice(name=name, settings=json.loads(json.dumps(plugin.settings()))))
    assert again == plugin and again.settings() == plugin.settings()


@every
@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
def test_what_a_search_may_propose_can_be_made(kind: str, name: str, place: float):
    plugin = find(kind, name)
    settings = {field: placed(allowed, place) for field, allowed in ranges(plugin).items()}
    made = make(kind, Choice(name=name, settings=settings))
    assert all(type(getattr(made, f)) is type(plugin.__dataclass_fields__[f].default) for f in settings)


@every
def test_refuses_unknown_and_impossible_settings(kind: str, name: str):
    with pytest.raises(UsageError, match="no_such_setting"):
        make(kind, Choice(name=name, settings={"no_such_setting": 1}))
    for field, allowed in ranges(find(kind, name)).items():
        for bad in ("no such option", [1]) if allowed.options else (allowed.high * 2 + 1, allowed.low - 1, float("nan"), True, "x", [1], None):
            with pytest.raises(UsageError, match=field):
                make(kind, Choice(name=name, settings={field: bad}))


# generators


@pytest.fixture(scope="module")
def fit(tmp_path_factory) -> Callable[..., tuple[Generator, Data]]:
    """(name, seed, again) to the small generator fitted on toy data; each is fitted once."""
    made: dict[tuple[object, ...], tuple[Generator, Data]] = {}

    def fit(name: str, seed: int = 0, again: bool = False) -> tuple[Generator, Data]:
        if (name, seed, again) not in made:
            data, generator = suited("generators", name), small("generators", name)
            settings = generator.settings()
            with Untouched(data):
                fitted = generator.fit(data, Run(folder=tmp_path_factory.mktemp(name), seed=seed))
            assert isinstance(fitted, type(generator)) and fitted.settings() == settings
            made[name, seed, again] = fitted, data
        return made[name, seed, again]

    return fit


def drawn(generator: Generator, n: int = 12, classes: int = 3) -> Tensor:
    return generator.sample(torch.arange(n) % classes, row_seeds(n, "promises"))


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


@each("generators")
def test_generator_draws_rows_of_the_right_form(kind: str, name: str, fit):
    generator, data = fit(name)
    x = drawn(generator)
    assert x.shape == (12, *data.spec.shape) and x.dtype == data.spec.to_model(data.train.x).dtype and not x.requires_grad
    assert torch.isfinite(x).all()
    assert not data.spec.bounded or x.abs().max() <= 1
    assert generator.sample(torch.zeros(0, dtype=torch.long), row_seeds(0, "none")).shape == (0, *data.spec.shape)
    assert isinstance(generator.curves_, Curves)


@each("generators")
def test_generator_is_a_function_of_the_seed_of_its_run(kind: str, name: str, fit):
    first = drawn(fit(name)[0])
    same(drawn(fit(name, again=True)[0]), first)
    if "steps" in fit(name)[0].settings():
        assert not torch.allclose(drawn(fit(name, seed=1)[0]), first, atol=1e-3)


@each("generators")
def test_row_depends_on_its_own_label_and_seed_alone(kind: str, name: str, fit):
    generator, data = fit(name)
    y, seeds = (v[:70] for v in generator.stock()) if isinstance(generator, Labeller) else (torch.arange(70) % 3, row_seeds(70, "rows"))
    with Untouched(data):
        x = generator.sample(y, seeds)
    order = torch.randperm(70, generator=stream("order"))
    same(generator.sample(y[order], seeds[order]), x[order])
    same(generator.sample(y[66:67], seeds[66:67]), x[66:67])
    same(generator.sample(y[3:9], seeds[3:9]), x[3:9])
    assert len(x.flatten(1).unique(dim=0)) > 60, "another seed gives another row"


@each("generators")
def test_latents_decode_to_rows_of_a_class_or_between_classes(kind: str, name: str, fit):
    generator, data = fit(name)
    if not isinstance(generator, Latent):
        pytest.skip(f"{name} decodes no latents")
    y, seeds = torch.arange(12) % 3, row_seeds(12, "promises")
    z = generator.latents(y, seeds)
    assert z.ndim == 2 and len(z) == 12 and not z.requires_grad
    pure, half = one_hot(y, data.classes).float(), torch.full((12, data.classes), 1 / data.classes)
    same(generator.decode(z, pure, seeds), drawn(generator))
    x = generator.decode(z, half, seeds)
    assert x.shape == (12, *data.spec.shape) and torch.isfinite(x).all() and not torch.equal(x, drawn(generator))


@each("generators")
def test_generator_comes_back_from_its_file(kind: str, name: str, fit, tmp_path):
    generator, data = fit(name)
    state = generator.state()
    save_tensors(tmp_path / "state.safetensors", state)
    fresh = make("generators", Choice(name=name, settings=json.loads(json.dumps(generator.settings()))))
    restored = fresh.restore(Spec.from_json(json.loads(json.dumps(data.spec.to_json()))), load_tensors(tmp_path / "state.safetensors"))
    assert torch.equal(drawn(restored), drawn(generator))
    assert state.keys() == restored.state().keys() and all(torch.equal(v.cpu(), restored.state()[k].cpu()) for k, v in state.items())


@each("generators")
def test_generator_refuses_data_that_it_cannot_model(kind: str, name: str, fit, tmp_path):
    generator, data = fit(name)
    spec = dataclasses.replace(data.spec, shape=(2, 2, 2, 2))
    with pytest.raises(WrongSpec, match=name):
        small("generators", name).fit(dataclasses.replace(data, spec=spec), Run(folder=tmp_path))
    with pytest.raises(WrongSpec, match=name):
        small("generators", name).restore(spec, generator.state())


@each("generators")
def test_generator_bears_a_rare_class_and_one_without_rows(kind: str, name: str, tmp_path):
    data = suited("generators", name)
    rare = torch.cat([(data.train.y == 0).nonzero().squeeze(1), (data.train.y == 1).nonzero().squeeze(1)[:1]])
    data = dataclasses.replace(data, train=data.train.take(rare))
    assert torch.isfinite(drawn(small("generators", name).fit(data, Run(folder=tmp_path)))).all()


# transforms and mixing


def batch(kind: str, name: str, n: int = 16) -> tuple[Tensor, Tensor]:
    data = suited(kind, name)
    return data.spec.to_model(data.train.x[:n]), one_hot(data.train.y[:n], 3).float()


@each("transforms", "mixing")
def test_transform_is_a_pure_function_of_its_arguments(kind: str, name: str):
    (x, y), plugin = batch(kind, name), small(kind, name)
    rng, before = torch.get_rng_state(), (x.clone(), y.clone())
    first, second = plugin.apply(x, y, 5), plugin.apply(x, y, 5)
    assert torch.equal(x, before[0]) and torch.equal(y, before[1]) and torch.equal(rng, torch.get_rng_state())
    assert all(map(torch.equal, first, second))
    if name != "none":
        assert any(not torch.equal(plugin.apply(x, y, seed)[0], first[0]) for seed in range(6, 10))


@each("transforms", "mixing")
def test_transform_keeps_shapes_ranges_and_label_mass(kind: str, name: str):
    (x, y), plugin = batch(kind, name), small(kind, name)
    for n in (16, 1):
        out, soft = plugin.apply(x[:n], y[:n], 7)
        assert out.shape == x[:n].shape and out.dtype == x.dtype and soft.shape == y[:n].shape
        assert not out.is_floating_point() or (torch.isfinite(out).all() and out.abs().max() <= 1 + 1e-5)
        assert soft.min() >= 0
        torch.testing.assert_close(soft.sum(1), torch.ones(n))
    if kind == "transforms":
        assert torch.equal(plugin.apply(x, y, 7)[1], y)


# screens


def imagined(data: Data, n: int, seed: int = 9) -> Samples:
    """Rows from the distribution of the real ones, as if a good generator had drawn them."""
    grid = data.spec.shape if len(data.spec.shape) == 3 else (1, 16, 16)
    made = joint if data.spec.sides else sentences
    fresh = (made(max(n, 3), seed) if data.spec.kind == "tokens" or data.spec.sides else toy_data(max(n, 3), grid, seed=seed)).train.take(
        list(range(n))
    )
    return Samples.synthetic("toy", fresh.x, fresh.y, row_seeds(n, seed), z=fresh.z)


@each("screens")
def test_screen_scores_rows_between_zero_and_one(kind: str, name: str, tmp_path):
    data, screen = suited(kind, name, rows=60), small(kind, name)
    with Untouched(data):
        screen = screen.fit(data, Run(folder=tmp_path))
        rows = imagined(data, 40)
        score = screen.score(rows)
    assert score.shape == (40,) and torch.isfinite(score).all() and score.min() >= 0 and score.max() <= 1
    assert 0 <= screen.cut <= 1 and len(screen.reason) > 5
    assert torch.equal(screen.score(rows), score)
    same(small(kind, name).fit(data, Run(folder=tmp_path)).score(rows), score)
    assert screen.score(imagined(data, 0)).shape == (0,)
    assert screen.score(rows, kept=imagined(data, 6, seed=10)).shape == (40,)


@each("screens")
def test_screen_lets_most_rows_of_the_real_distribution_pass(kind: str, name: str, tmp_path):
    data = suited(kind, name, rows=60)
    if name == "labeller":
        pytest.skip("a model without knowledge labels at random; its tests have one that knows")
    screen = small(kind, name).fit(data, Run(folder=tmp_path))
    assert (screen.score(imagined(data, 60)) >= screen.cut).float().mean() > 0.5


# learners and transfers


def feed(data: Data, **changes: Any) -> Feed:
    none = make("transforms", Choice(name="none"))
    return dataclasses.replace(Feed(real=data.train, spec=data.spec, codec=data.codec, transform=none, mixing=none), **changes)


def learning(name: str, rows: int = 24) -> tuple[Learner, Data]:
    """A small learner and toy rows: learners get the rows themselves, with their features beside."""
    both = [joint(rows)] if find("learners", name).sided else []
    for data in (toy_data(rows, (1, 16, 16)), toy_data(rows, (3, 32, 32)), sentences(rows), *both):
        if not find("learners", name).refuses(data.spec):
            return small("learners", name), data
    pytest.skip(f"{name} takes other data than the toys")


def distributions(p: Tensor, n: int, classes: int = 3) -> None:
    assert p.shape == (n, classes) and (p >= 0).all()
    torch.testing.assert_close(p.sum(1), torch.ones(n), atol=1e-3, rtol=0)


@each("learners")
def test_learner_predicts_distributions_and_is_seeded(kind: str, name: str, tmp_path):
    learner, data = learning(name)
    with Untouched(data):
        first = learner.fit(feed(data), Run(folder=tmp_path)).predict(data.val)
    distributions(first, len(data.val))
    again = learning(name)[0].fit(feed(data), Run(folder=tmp_path))
    same(again.predict(data.val), first)
    same(again.predict(data.val.take([5, 2])), first[[5, 2]])
    distributions(again.predict(data.val.take([])), 0)


@each("learners")
def test_learner_comes_back_from_its_file(kind: str, name: str, tmp_path):
    learner, data = learning(name)
    fitted = learner.fit(feed(data), Run(folder=tmp_path))
    save_tensors(tmp_path / "state.safetensors", fitted.state())
    restored = learning(name)[0].restore(data, load_tensors(tmp_path / "state.safetensors"))
    same(restored.predict(data.val), fitted.predict(data.val))


@each("learners")
def test_learner_takes_as_many_steps_whatever_the_number_of_rows(kind: str, name: str, tmp_path):
    if "steps" not in small(kind, name).settings():
        pytest.skip(f"{name} is fitted to the optimum, not in steps")
    few, many = (
        learner.fit(feed(data), Run(folder=tmp_path, seed=rows)).curves_.steps for rows in (9, 60) for learner, data in [learning(name, rows)]
    )
    assert few == many == small(kind, name).steps


@each("transfers")
def test_transfer_gives_a_learner_taught_by_both_kinds_of_rows(kind: str, name: str, tmp_path):
    taught = next(n for n in ("cnn", "probe") if small(kind, name).suits(find("learners", n)))
    learner, data = learning(taught)
    both = feed(data, synthetic=imagined(data, 12))
    first, again, alone = (
        small(kind, name).train(learner, f, Run(folder=tmp_path)).predict(data.val)
        for f in (both, both, feed(data))
        for learner in [learning(taught)[0]]
    )
    distributions(first, len(data.val))
    same(again, first)
    distributions(alone, len(data.val))
    plain = learner.fit(feed(data), Run(folder=tmp_path)).predict(data.val)
    if name == "mix" or small(kind, name).idle(transformed=False, synthetic=False):
        same(alone, plain)
    else:
        assert not torch.allclose(alone, plain)


# metrics


@each("metrics")
def test_metric_is_deterministic_and_prefers_the_better_set(kind: str, name: str):
    metric, rng = make(kind, Choice(name=name)), stream("metric")
    real, good = torch.randn((120, 16), generator=rng), torch.randn((120, 16), generator=rng)
    bad = good * 0.1 + 4
    state = torch.get_rng_state()
    value = metric.measure(real, good)
    assert metric.measure(real, good) == value and torch.equal(state, torch.get_rng_state())
    assert (value > metric.measure(real, bad)) == metric.higher_is_better
    assert len(metric.label) > 3


@each("metrics")
def test_metric_bears_sets_that_are_too_small(kind: str, name: str):
    metric, real = make(kind, Choice(name=name)), torch.randn((30, 8), generator=stream("tiny"))
    for n in (0, 1, 4):
        assert isinstance(metric.measure(real, real[:n]), float)


def test_every_kind_has_plugins():
    assert {kind for kind, _ in EVERY} == set(BASES) and all(issubclass(b, Plugin) for b in BASES.values())
    assert Path(sys.modules["augmind"].__file__).parent.name == "augmind"
