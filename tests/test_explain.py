"""Why: maps point at what a model looks at, mislabelled rows are harmful, walks end where they should, hard rows are found."""

import random
import re
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import pytest
import torch

from augmind.compare import predictions, teach
from augmind.conduct import expand
from augmind.config import config
from augmind.core.loop import Curves
from augmind.core.plugin import Generator, Latent, Learner
from augmind.core.run import Run
from augmind.core.seeds import row_noise, stream
from augmind.core.store import Store, read_json, write_json
from augmind.core.types import Classical, Samples, Spec
from augmind.explain import explain, explain_inputs, explain_record, preview, waits_for, with_previews
from augmind.explain.attribution import alike, attribution, cannot, occlusion, window
from augmind.explain.hardest import hardest
from augmind.explain.imagined import STEPS, between, closest, strips, walk
from augmind.explain.influence import heads, influence, influence_record, interval, similarity
from augmind.figures import Predictions
from augmind.generators.diffusion import Diffusion
from augmind.job import Job
from augmind.nn.heads import Head, cross_entropy
from augmind.pipeline import draw, features, train
from augmind.report import render
from augmind.teaching import choose_inputs
from augmind.testing import ToyCodec, toy_data
from report_record import CLASSES, picture
from runs import TINY, folder
from test_report import Page, assert_inert, poison

# Hard rows


def cell(arm, seed, answers, y, sure=0.7):
    p = np.full((len(y), 3), (1 - sure) / 2)
    p[np.arange(len(y)), answers] = sure
    return Predictions(arm=arm, fold=0, seed=seed, ids=np.arange(len(y)) + 100, y=np.asarray(y), p=p)


Y = [0] * 6 + [1] * 6
BEFORE = [[1, 0, 0, 0, 0, 0] + [1] * 6, [1, 2, 0, 0, 0, 0] + [1] * 6]
AFTER = [[1, 0, 0, 0, 0, 0, 2, 2, 2, 1, 1, 1], [2, 0, 0, 0, 0, 0, 2, 2, 1, 1, 1, 1]]


@pytest.fixture(scope="module")
def hard():
    cells = [cell(arm, s, answers, Y) for arm, seeds in (("a", BEFORE), ("b", AFTER)) for s, answers in enumerate(seeds)]
    return hardest(cells, ("a", "b"), mode="given", classes=("x", "y", "z"))


def test_hardest_rows_are_those_that_both_arms_get_wrong(hard):
    assert [r["id"] for r in hard["rows"]] == [100, 106, 107, 101, 108] and hard["wrong"] == 5 and hard["test"] == 12
    first = hard["rows"][0]
    assert first["class"] == "x" and [a["wrong"] for a in first["arms"]] == [1, 1]
    assert first["arms"][0] == {"arm": "a", "wrong": 1.0, "answer": "y", "p": pytest.approx(0.7), "true": pytest.approx(0.15)}


def test_slices_are_the_confusions_that_differ_most(hard):
    first = hard["slices"][0]
    assert (first["class"], first["taken"], first["rows"]) == ("y", "z", 6) and first["shares"] == pytest.approx([0, 5 / 12])
    d = first["difference"]
    assert d["estimate"] == pytest.approx(5 / 12) and -1 <= d["low"] < d["estimate"] < d["high"] <= 1
    assert hard["compared"] == 3 and all(s["difference"]["estimate"] for s in hard["slices"])


def test_arms_without_an_error_have_no_hard_row():
    cells = [cell(arm, s, Y, Y) for arm in "ab" for s in range(2)]
    found = hardest(cells, ("a", "b"), mode="given", classes=("x", "y", "z"))
    assert found["rows"] == found["slices"] == [] and found["wrong"] == 0


# What a model looks at

SPEC = Spec(kind="continuous", shape=(2, 14, 21), classes=("dark", "bright"))


@dataclass(kw_only=True)
class Corner(Learner):
    """Bright where the upper left corner is."""

    def fit(self, feed, run):
        return self

    def predict(self, samples):
        p = SPEC.to_model(samples.x)[:, :, :2, :3].mean((1, 2, 3)).mul(3).sigmoid()
        return torch.stack([1 - p, p], 1)

    def state(self):
        return {}

    def restore(self, data, state):
        return self


def test_the_map_of_a_model_that_looks_at_a_corner_points_there():
    x = torch.full((3, *SPEC.shape), 255, dtype=torch.uint8)
    rows = Samples.real(x, torch.tensor([1, 1, 0]))
    found = occlusion(Corner().predict, rows, SPEC, torch.zeros(1, *SPEC.shape))
    lost = float(torch.tensor(3.0).sigmoid() - 0.5)
    assert found.shape == (3, 7, 7) and window(SPEC.shape) == (2, 2, 3)
    assert found[:, 0, 0].tolist() == pytest.approx([lost, lost, -lost], abs=0.01)
    assert found.flatten(1)[:, 1:].abs().max() == 0


def test_a_vector_has_a_map_of_one_line():
    spec = Spec(kind="continuous", shape=(100,), classes=("a", "b"), bounded=False)

    def judge(rows):
        p = rows.x[:, 99].sigmoid()
        return torch.stack([1 - p, p], 1)

    rows = Samples.real(torch.ones(2, 100), torch.tensor([1, 0]))
    found = occlusion(judge, rows, spec, torch.zeros(1, 100))
    lost = float(torch.tensor(1.0).sigmoid() - 0.5)
    assert found.shape == (2, 1, 34) and found[0, 0, -1] == pytest.approx(lost) and found[1, 0, -1] == pytest.approx(-lost)
    assert found[:, 0, :-1].abs().max() == 0


@dataclass(kw_only=True)
class ByFeature(Corner):
    """Judges by one feature."""

    space = "features"
    which: int = 0

    def predict(self, samples):
        p = samples.z[:, self.which].mul(2).sigmoid()
        return torch.stack([p, 1 - p], 1)


def test_learners_of_feature_space_are_asked_through_the_codec_which_sees_every_row_once():
    data = toy_data(12, classes=2)
    asked = []

    class Counting(ToyCodec):
        def embed(self, x):
            asked.append(len(x))
            return super().embed(x)

    rows = data.val.take([0, 1, 2])
    maps, told = attribution({"a": ByFeature(which=0), "b": ByFeature(which=0)}, rows, data.train, data.spec, Counting(data.spec))
    assert sum(asked) == 3 * (1 + 36)
    assert torch.equal(maps["a"], maps["b"]) and told["alike"] == pytest.approx(1) and maps["a"].shape == (3, 6, 6)
    blank = data.spec.to_model(data.train.x).mean(0)
    hidden = data.spec.to_model(rows.x[:1])
    hidden[0, :, :3, :3] = blank[:, :3, :3]
    p = [ByFeature().predict(data.val.take([0]).with_features(data.codec.embed(x)))[0, rows.y[0]] for x in (rows.x[:1], data.spec.to_store(hidden))]
    assert maps["a"][0, 0, 0] == pytest.approx(float(p[0] - p[1]), abs=1e-5)
    assert told["rows"][0]["arms"][0]["true"] == pytest.approx(float(p[0]), abs=1e-6)


def test_maps_that_do_not_vary_have_no_likeness():
    assert alike([torch.zeros(2, 3, 3), torch.ones(2, 3, 3)]) is None
    ramp = torch.arange(9.0).view(1, 3, 3)
    assert alike([ramp, -ramp]) == pytest.approx(-1)


def test_rows_of_tokens_are_left_out_with_the_reason():
    assert "tokens" in cannot(Spec(kind="tokens", shape=(12,), classes=("a", "b"), bounded=False)) and not cannot(SPEC)


# Which synthetic rows moved the model


def test_similarity_is_the_product_of_the_gradients_of_autograd():
    rng = stream("similarity")
    z, held = torch.randn(4, 6, generator=rng), torch.randn(3, 6, generator=rng)
    y, held_y = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2, 1])
    head = Head(torch.randn(6, generator=rng), torch.rand(6, generator=rng) + 0.5, 3)
    with torch.no_grad():
        head.linear.weight.copy_(torch.randn(3, 6, generator=rng))

    def gradient(row, label):
        loss = cross_entropy(head(row[None]), torch.eye(3)[label][None], torch.ones(1))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(head.linear.parameters()))])

    wanted = torch.stack(
        [torch.stack([gradient(a, k) @ gradient(b, j) for b, j in zip(held, held_y, strict=True)]) for a, k in zip(z, y, strict=True)]
    )
    assert torch.allclose(similarity(head, z, y, held, held_y), wanted, atol=1e-5)


@pytest.fixture(scope="module")
def planted():
    """Two clouds; "good" draws from them, "bad" draws from them under the wrong label."""
    rng = stream("planted")
    y = torch.arange(80) % 2
    z = torch.randn(80, 5, generator=rng) + 1.2 * (2 * y[:, None] - 1)
    real = Samples.real(z, y, z=z)
    drawn = torch.randn(60, 5, generator=rng) + 1.2 * (2 * y[:60, None] - 1)
    good = Samples.synthetic("good", drawn[:30], y[:30], torch.arange(30) + 1000, z=drawn[:30])
    bad = Samples.synthetic("bad", drawn[30:], 1 - y[30:60], torch.arange(30) + 2000, z=drawn[30:])
    halves = [(torch.arange(40), torch.arange(40, 80)), (torch.arange(40, 80), torch.arange(40))]
    return real, halves, good + bad


def test_mislabelled_synthetic_rows_are_harmful(planted):
    found = influence_record(*planted, ("a", "b"), 3)
    good, bad = found["generators"]
    assert (good["generator"], bad["generator"]) == ("good", "bad") and good["rows"] == bad["rows"] == 30
    assert bad["high"] < 0 and bad["helps"] < 0.1 and good["mean"] > 0 and good["helps"] > 0.7
    assert {r["generator"] for r in found["harmful"]} == {"bad"} and all(r["influence"] < 0 and r["seed"] >= 2000 for r in found["harmful"])
    assert {r["generator"] for r in found["helpful"]} == {"good"} and len(found["helpful"]) == 8
    assert all(g["low"] < g["mean"] < g["high"] for g in found["generators"])
    assert influence_record(*planted, ("a", "b"), 3) == found


def test_a_step_on_a_helpful_row_lowers_the_validation_loss(planted):
    real, halves, made = planted
    val = halves[0][1]
    products, weights, _ = influence(real, halves[:1], made, 2, 3)
    own = products @ weights
    head, eye = heads(real, halves[:1], 2, 3)[0], torch.eye(2)
    assert float(weights.sum()) == pytest.approx(1)

    def loss(rows, y):
        return cross_entropy(head(rows), eye[y], torch.ones(len(y)))

    before = loss(real.z[val], real.y[val]).item()
    for i in (int(own.argmax()), int(own.argmin())):
        parameters, kept = list(head.linear.parameters()), [p.detach().clone() for p in head.linear.parameters()]
        slopes = torch.autograd.grad(loss(made.z[i : i + 1], made.y[i : i + 1]), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, slopes, strict=True):
                p.sub_(1e-3 * g)
        fallen = (before - loss(real.z[val], real.y[val]).item()) / 1e-3
        with torch.no_grad():
            for p, old in zip(parameters, kept, strict=True):
                p.copy_(old)
        assert fallen == pytest.approx(float(own[i]), rel=0.05)


def test_the_interval_covers_the_mean_and_narrows_with_rows():
    rng = np.random.default_rng(0)
    products = torch.from_numpy(rng.normal(1, 1, (400, 100)))
    weights = torch.full((100,), 0.01, dtype=torch.float64)
    wide, narrow = (interval(products[:m], weights, torch.arange(100), 0) for m in (10, 400))
    assert wide[0] < 1 < wide[1] and narrow[0] < products.mean() < narrow[1] and narrow[1] - narrow[0] < wide[1] - wide[0]
    grouped = interval(products + torch.arange(100)[None] // 25, weights, torch.arange(100) // 25, 0)
    alone = interval(products + torch.arange(100)[None] // 25, weights, torch.arange(100), 0)
    assert grouped[1] - grouped[0] > 2 * (alone[1] - alone[0])


# What a generator draws


def test_a_path_keeps_to_the_sphere_and_ends_where_it_should():
    a, b = torch.tensor([2.0, 0, 0]), torch.tensor([0, 3.0, 0])
    path = between(a, b, 5)
    assert torch.allclose(path[0], a, atol=1e-6) and torch.allclose(path[-1], b, atol=1e-6)
    assert torch.allclose(path.norm(dim=1), torch.tensor([2, 2.25, 2.5, 2.75, 3]))
    assert torch.allclose(path[2], 2.5 * torch.tensor([0.5, 0.5, 0]) * 2**0.5)
    assert torch.allclose(between(a, a, 3), a.expand(3, 3)) and torch.allclose(between(a, -a, 3)[1], torch.zeros(3), atol=1e-6)


@dataclass(kw_only=True)
class Mean(Latent):
    """A grid of the latent's sum."""

    def fit(self, data, run):
        self.curves_ = Curves()
        return self

    def latents(self, y, seeds):
        return row_noise(seeds, (4,))

    def decode(self, z, y, seeds):
        return z.sum(1).div(10)[:, None, None, None].expand(-1, *SPEC.shape)

    def state(self):
        return {}

    def restore(self, spec, state):
        return self


@dataclass(kw_only=True)
class Mute(Generator):
    """Draws and tells nothing of how."""

    def fit(self, data, run):
        return self

    def sample(self, y, seeds):
        return torch.zeros(len(y), *SPEC.shape)

    def state(self):
        return {}

    def restore(self, spec, state):
        return self


TABLE = {
    "label": ["dark"] * 3 + ["bright"] * 3,
    "kept": [True, False, True, True, False, False],
    "seed": [5, 6, 7, 8, 9, 10],
    "nearest_row": [1, 2, 3, 4, 5, 6],
    "nearest_distance": [0.5, 0.1, 0.4, 0.2, 0.0, 0.0],
}


def test_a_walk_ends_at_the_draws_of_its_seeds():
    generator, ends = Mean(), torch.tensor([5, 7])
    found = walk(generator, 0, ends)
    assert len(found) == STEPS
    assert torch.allclose(found[[0, -1]], generator.sample(torch.zeros(2).long(), ends), atol=1e-6)
    told, rows = strips(generator, TABLE, torch.zeros(6, *SPEC.shape, dtype=torch.uint8), SPEC)
    assert told == [{"class": "dark", "kind": "walk", "seeds": [5, 7]}] and torch.equal(rows[0], SPEC.to_store(found))


def test_a_generator_without_latents_shows_its_first_draws_as_they_came():
    x = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, *SPEC.shape)
    told, rows = strips(Mute(), TABLE, x, SPEC)
    assert [s["kind"] for s in told] == ["draws", "draws"] and told[1]["seeds"] == [8, 9, 10] and told[1]["kept"] == [True, False, False]
    assert rows[1][:, 0, 0, 0].tolist() == [3, 4, 5]


def test_the_closest_draws_are_kept_ones():
    assert closest(TABLE) == [
        {"seed": 8, "class": "bright", "near": 4, "distance": 0.2},
        {"seed": 7, "class": "dark", "near": 3, "distance": 0.4},
        {"seed": 5, "class": "dark", "near": 1, "distance": 0.5},
    ]


# The stage in a run


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """As much of a run as the stage needs; the classical arm is given."""
    root = tmp_path_factory.mktemp("why")
    data, out = folder(root / "digits", classes=2), root / "run"
    expand(config(data=str(data), **{**TINY, "seeds": 1}, learner=("probe",), generators=("vae", "feature")), out, until="plan")
    features(str(out))
    for generator, fold in product(("vae", "feature"), ("0", "all")):
        train(str(out), fold, generator)
        draw(str(out), fold, generator)
    choice = {"fold": "0", "learner": "probe", "classical": asdict(Classical(name="none")), "scores": {"none": 0.5}}
    Job(out).store.stage("choose", choose_inputs(Job(out), "0", "probe"), lambda tmp: write_json(tmp / "choice.json", choice))
    for arm in ("classical", "synthetic+classical"):
        teach(str(out), "0", "probe", arm, 0)
    explain(str(out))
    return Job(out)


def answers(job):
    out = []
    for arm in ("classical", "synthetic+classical"):
        p = predictions(job, "0", "probe", arm, 0)
        out.append(Predictions(arm=arm, fold=0, seed=0, **{name: p[name].numpy() for name in ("ids", "y", "p", "unit")}))
    return out


def test_a_run_is_explained(job):
    found = explain_record(job, answers(job))
    assert found["arms"] == ["classical", "synthetic+classical"]
    looked = found["attribution"]
    assert looked["learner"] == "probe" and 0 < len(looked["rows"]) <= 8 and len(looked["rows"][0]["arms"][0]["map"]) == 4
    test = set(job.split.folds[0].test)
    assert {r["id"] for r in looked["rows"]} <= test
    gaps = [abs(r["arms"][0]["true"] - r["arms"][1]["true"]) for r in looked["rows"]]
    assert gaps == pytest.approx(sorted(gaps, reverse=True), abs=1e-3)
    moved = found["influence"]
    assert {g["generator"] for g in moved["generators"]} <= {"vae", "feature"} and moved["held"] == len(job.fold_rows("0"))
    kinds = {g["generator"]: {s["kind"] for s in g.get("strips", [])} for g in found["generators"]}
    assert kinds == {"vae": {"walk"}}
    shown = with_previews(job, found)
    assert all(r["html"].startswith("<img") for r in (*shown["attribution"]["rows"], *shown["hardest"]["rows"]))
    assert all(r["nearest"].startswith("<img") for r in (*shown["influence"]["helpful"], *shown["influence"]["harmful"]))
    assert all(len(s["html"]) == STEPS for g in shown["generators"] for s in g["strips"])
    assert "html" not in str(found)


def test_the_same_run_is_explained_the_same_again(job):
    name = job.store.path("explain", explain_inputs(job)).name
    before = read_json(job.store.folder / "stages" / name / "explain.json")
    Store(job.folder).forget(name)
    explain(str(job.folder))
    assert read_json(job.store.folder / "stages" / name / "explain.json") == before


def test_the_stage_waits_for_the_models_and_the_draws(job):
    names = [
        "draw vae 0",
        "draw vae all",
        "teach real probe 0 0",
        "teach classical probe 0 0",
        "teach classical probe 0 1",
        "teach synthetic+classical probe 0 0",
        "x",
    ]
    assert waits_for(job, names) == ("draw vae all", "teach real probe 0 0", "teach classical probe 0 0", "teach synthetic+classical probe 0 0")


def test_large_grids_are_averaged_down_before_they_are_shown(job):
    shapes = []

    class Seeing:
        def preview(self, x):
            shapes.append(tuple(x.shape))
            return [f"{float(row.float().mean()):.0f}" for row in x]

    seeing = Job(job.folder)
    seeing.__dict__["codec"] = Seeing()
    for side in (8, 64, 96, 250):
        assert preview(seeing, torch.full((1, side, side), 200, dtype=torch.uint8)) == "200"
    assert shapes == [(1, 1, 8, 8), (1, 1, 64, 64), (1, 1, 48, 48), (1, 1, 63, 63)]


# The section of the report


def told(arm_map=((0.5, -0.25), (0.0, 0.01))):
    def arms(answers):
        return [{"arm": a, "wrong": 0.5, "answer": k, "p": 0.8, "true": 0.2, "map": [list(line) for line in arm_map]} for a, k in answers]

    def drawn(i, **more):
        return {"generator": "vae", "seed": i, "class": CLASSES[i], "html": picture(i, 1), "nearest": picture(i, 2), **more}

    row = {"id": 7, "class": "bag", "html": picture(1, 1), "arms": arms((("classical", "coat"), ("synthetic", "bag")))}
    d = {"estimate": -0.13, "low": -0.28, "high": 0.02}
    slices = [{"class": "shirt", "taken": "coat", "rows": 30, "shares": [0.46, 0.33], "difference": d}]
    means = [{"generator": g, "rows": 9, "mean": m, "low": m - 1, "high": m + 1, "helps": 0.75} for g, m in (("vae", 0.7), ("gan", -0.2))]
    walks = [{"class": "bag", "kind": "walk", "seeds": [1, 2], "html": [picture(i, 1) for i in range(8)]}]
    draws = [{"class": "bag", "kind": "draws", "seeds": [1, 2], "kept": [True, False], "html": [picture(i, 1) for i in range(2)]}]
    return {
        "arms": ["classical", "synthetic"],
        "hardest": {"test": 200, "wrong": 31, "rows": [row, row], "slices": slices, "compared": 17},
        "attribution": {"learner": "probe", "rows": [row], "shape": [1, 28, 28], "window": [1, 14, 14], "alike": 0.61},
        "influence": {
            "rows": 18,
            "held": 60,
            "generators": means,
            "helpful": [drawn(1, influence=3.2), drawn(2, influence=2.1) | {"html": ""}],
            "harmful": [drawn(3, influence=-4.0)],
        },
        "generators": [
            {"generator": "vae", "kept": 12, "strips": walks, "closest": [drawn(4, distance=0.11)]},
            {"generator": "gan", "kept": 3, "strips": draws, "closest": []},
            {"generator": "diffusion", "why": "it was left out: it did not stay finite"},
        ],
    }


def section(explanation):
    html = render({"arms": [{"learner": "l", "arm": a, "label": a.upper()} for a in ("classical", "synthetic")], "explanation": explanation})
    return html[html.index('<section id="why"') : html.index("</section>", html.index('<section id="why"'))] + "</section>"


def test_the_section_tells_all_in_words():
    text = Page(section(told())).text
    for words in (
        "Before means CLASSICAL , after means SYNTHETIC",
        "before: ✕ coat",
        "after: ✓ bag",
        "partly the same places (mean correlation of the maps 0.61)",
        "31 of 200 test rows",
        "shirt coat 30 46 33 −13 −28 to +2",
        "vae: 75 % of 9 rows help +0.70 −0.30 to +1.70",
        "largest of 17 confusions",
        "vae +2.10, features only",
        "vae −4.00",
        "distance 0.11",
        "Not shown: it was left out: it did not stay finite",
    ):
        assert words in text, words


def test_the_tint_of_a_part_is_its_share_of_the_strongest_in_the_rows_own_proportions():
    cells = re.findall(r'<rect x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)" class="(.*?)" fill-opacity="(.*?)"/>', section(told()))
    assert cells == [("0", "0", "14", "14", "for", "0.85"), ("14", "0", "14", "14", "against", "0.42")] * 2
    assert 'viewBox="0 0 28 28"' in section(told())
    flat = told(((0.0, 0.0),))
    assert "<rect" not in section(flat)


def test_a_rejected_draw_is_marked_and_a_walk_is_told_from_draws():
    html = section(told())
    assert html.count('class="refused"') == 1 and "A walk from one drawn row" in html and "as they came, before any screen" in html


def test_reasons_stand_where_something_could_not_be_asked():
    found = told() | {"attribution": {"learner": "l", "why": "parts of tokens rows cannot be blanked out"}, "influence": {"why": "no synthetic row"}}
    text = Page(section(found)).text
    assert "Not shown: parts of tokens rows cannot be blanked out." in text and "Not shown: no synthetic row." in text


def test_without_an_explanation_there_is_no_section_no_link_and_no_style():
    for nothing in ({}, None, [], {"arms": ["classical", "synthetic"]}, {"arms": []}):
        html = render({"explanation": nothing})
        assert 'id="why"' not in html and 'href="#why"' not in html and ".heatmap" not in html
    assert 'href="#why"' in render({"explanation": told()})


def test_hostile_or_broken_explanations_do_nothing():
    for seed in range(3):
        assert_inert(render({"explanation": poison(told(), random.Random(seed)) | {"arms": ["a", "b"]}}))
    draw = random.Random(1)

    def places(value, path=()):
        yield path
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for k, v in inside:
            yield from places(v, (*path, k))

    for path in draw.sample([p for p in places(told()) if p], 80):
        broken = told()
        at = broken
        for k in path[:-1]:
            at = at[k]
        at[path[-1]] = draw.choice([None, float("nan"), float("inf"), "text", 7, [], {}, [None], {"a": None}, True, 10**400])
        assert_inert(render({"explanation": broken}))


def test_the_section_stays_small_by_showing_fewer():
    heavy = told()
    for rows in (heavy["hardest"]["rows"], heavy["influence"]["helpful"], heavy["generators"][0]["closest"]):
        rows[:] = [r | {"html": picture(1, 1).replace("base64,", "base64," + "A" * 40_000)} for r in rows * 6]
    html = section(heavy)
    assert len(html) < 600_000 and re.search(r"at most \d+ of each kind are shown", html)


def test_noise_of_many_values_is_walked_through_too(tmp_path):
    """More steps than rows are decoded at once, and none of the noise is drawn anew."""
    data = toy_data(12, (1, 8, 8))
    made = Diffusion(steps=50, width=16, points=2).fit(data, Run(folder=tmp_path))
    ends = torch.tensor([5, 7])
    found = walk(made, 1, ends)
    torch.testing.assert_close(found[[0, -1]], made.sample(torch.tensor([1, 1]), ends), atol=1e-3, rtol=1e-3)
