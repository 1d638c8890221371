"""The search: its space says what it means, simple policies win ties, planted truths are found, an interrupted search is replayed."""

import base64
import dataclasses
import json
import math
import shutil
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
from scipy.stats import sem

import augmind
from augmind.core.errors import DataError, MachineError, UsageError
from augmind.core.pool import Item
from augmind.core.registry import make
from augmind.core.store import read_json
from augmind.core.tune import Range, place_of, placed
from augmind.core.types import Choice, Classical, Policy, Spec
from augmind.donor import chosen_on
from augmind.job import Job
from augmind.modalities.image.codec import ImageCodec
from augmind.policy import buildable
from augmind.search.book import shared
from augmind.search.score import Rung, learnt_from, rungs, same
from augmind.search.space import IMAGINE, OFF, Space
from augmind.search.together import Together, Work, reachable, unpacked
from augmind.search.winner import Trial, lead, winner
from augmind.testing import toy_samples
from runs import digit_rows, installed, noised, plant, plant_search, scattered

SPEC = Spec(kind="continuous", shape=(1, 12, 12), classes=("a", "b"))
MAKERS = {"vae": Choice(name="vae"), "vae~1": Choice(name="vae", settings={"beta": 0.5}), "gan": Choice(name="gan")}
OPTIONS = {
    "preset": "quick",
    "seeds": 2,
    "jobs": 0,
    "search": True,
    "learner": ("nearest",),
    "generators": (),
    "backbone": "lite0@32",
    "explain": False,
}


def space(learner="cnn", generators=MAKERS, balances=("none", "weights")):
    return Space(
        learner=Choice(name=learner),
        spec=SPEC,
        classical=ImageCodec.classical,
        generators=generators,
        screens=("agreement", "fidelity", "novelty"),
        ratio=2.0,
        balances=balances,
    )


@pytest.mark.parametrize(
    ("allowed", "value"),
    [(Range(low=1e-4, high=1.0, log=True), 0.01), (Range(low=-2.0, high=2.0), 1.5), (Range(low=1, high=9), 4), (Range(options=("a", "b", "c")), "b")],
)
def test_a_place_on_a_range_and_its_value_are_inverse(allowed, value):
    assert placed(allowed, place_of(allowed, value)) == value
    ends = placed(allowed, 0.0), placed(allowed, 1.0)
    assert all(allowed.allows(v) for v in ends) and ends[0] != ends[1]


@pytest.mark.parametrize("learner", ["probe", "cnn"])
def test_every_point_of_the_space_is_a_policy_that_can_be_made(learner):
    own, study = space(learner), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(40):
        trial = study.ask()
        params = own.suggest(trial)
        policy = own.policy(params)
        make("transforms", policy.classical.transform), make("mixing", policy.classical.mixing), make("transfers", policy.transfer)
        assert Policy.from_json(policy.to_json()) == policy
        assert bool(policy.generators) == params[IMAGINE]
        if params[IMAGINE] and not {params["generator.vae"], params["generator.gan"]} - {OFF}:
            assert policy.generators == (MAKERS["vae"], MAKERS["gan"])
        assert policy.ratio <= 2.0 and (policy.share > 0) == bool(policy.generators)
        for screen in policy.screens:
            assert make("screens", screen).cut >= make("screens", Choice(name=screen.name)).cut
        seen.add(policy.classical.transform.name)
        if learner == "probe":
            assert policy.classical.mixing.name == "none" and not policy.classical.transform.settings and policy.transfer.name != "pretrain"
    assert {"none", "flip_crop", "randaugment"} <= seen


def test_what_another_space_found_is_brought_into_this_one_or_left_out():
    own, flip = space(), Classical(name="flip+weights", transform=Choice(name="flip_crop"), balance="weights")
    policy = Policy(learner=own.learner, classical=flip, ratio=0.0, share=0.0)
    assert own.policy(own.params(policy)).classical.balance == "weights"
    assert space(balances=("none",)).params(policy)["balance"] == "none"
    for other in (dataclasses.replace(flip, names="alone"), dataclasses.replace(flip, transform=Choice(name="eda"))):
        with pytest.raises(ValueError, match=r"(this|the) space"):
            own.params(dataclasses.replace(policy, classical=other))


def test_a_share_beyond_the_range_of_the_space_stands_at_its_end():
    own = space()
    policy = Policy(learner=own.learner, classical=Classical(name="none"), generators=(MAKERS["gan"],), ratio=9.0, share=0.8)
    assert (own.params(policy)["share"], own.params(policy)["amount"]) == (0.6, 1.0)
    arm = dataclasses.replace(policy, classical=Classical(name="x"))
    assert same(arm) == same(policy) != same(dataclasses.replace(policy, share=0.7))


def test_weights_and_soft_labels_are_drawn_for_policies_with_synthetic_rows_alone():
    own, study = space(), optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    drawn = [own.policy(own.suggest(study.ask())) for _ in range(60)]
    made = [p for p in drawn if p.generators]
    assert {p.weigh for p in made} == {"", "agreement", "fidelity"} and {p.soft for p in made} == {0.0, 0.5, 1.0}
    assert all(p.weigh == "" and p.soft == 0 for p in drawn if not p.generators)
    for policy in made:
        back = own.policy(own.params(policy))
        assert (back.weigh, back.soft) == (policy.weigh, policy.soft)
    assert Policy.from_json({k: v for k, v in made[0].to_json().items() if k not in ("weigh", "soft")}).weigh == ""
    blind = dataclasses.replace(own, screens=("novelty",))
    assert blind.weights() == ("",) and blind.policy(blind.suggest(study.ask())).weigh == ""
    wrong = {**made[0].to_json(), "soft": 1.5}
    with pytest.raises(UsageError, match=r"soft=1\.5"):
        buildable(wrong, "here")


def test_the_twin_without_draws_is_in_the_space_of_the_probe_alone():
    assert "isda" in space("probe").options("transfer") and "isda" not in space("cnn").options("transfer")
    own = space("probe")
    policy = Policy(learner=own.learner, classical=Classical(name="none"), transfer=Choice(name="isda"), ratio=0.0, share=0.0)
    assert own.policy(own.params(policy)).transfer == policy.transfer, "it needs no synthetic rows"


def test_settings_that_a_learner_ignores_are_no_parameters():
    assert {"loss", "ramp", "weight"} <= space("cnn").fields("transfer").keys()
    assert {"loss", "ramp"}.isdisjoint(space("probe").fields("transfer")) and "weight" in space("probe").fields("transfer")


def test_a_policy_is_found_again_from_its_parameters():
    own = space()
    for classical in ImageCodec.classical:
        for makers in ((), (MAKERS["vae~1"], MAKERS["gan"])):
            told = {"screens": tuple(Choice(name=s) for s in own.screens), "ratio": 2.0, "share": 0.25} if makers else {"ratio": 0.0, "share": 0.0}
            policy = Policy(learner=own.learner, classical=classical, generators=makers, **told)
            assert own.policy(own.params(policy)) == policy


def trial(number, right, name="", generators=(), source=False):
    makers = tuple(Choice(name=g) for g in generators)
    policy = Policy(learner=Choice(name="probe"), classical=Classical(name="none"), generators=makers, source=source)
    right = torch.tensor(right, dtype=torch.float64)
    y = torch.arange(len(right)) % 2
    return Trial(number=number, name=name, policy=policy, params={}, plain=bool(name), value=float(right.mean()), right=right, y=y)


def test_the_error_of_a_lead_is_that_of_the_paired_mean():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, 60) for _ in range(2))
    one, two = trial(0, a), trial(1, b)
    ahead, error = lead(one, two)
    d = (a - b).astype(float)
    assert ahead == pytest.approx(d.mean())
    assert error == pytest.approx(math.hypot(sem(d[0::2]) / 2, sem(d[1::2]) / 2, 1 / 60))


def test_of_policies_within_one_standard_error_the_simplest_kind_wins():
    base = [1] * 70 + [0] * 30
    one_more, many_more = [1] * 71 + [0] * 29, [1] * 90 + [0] * 10
    none, vae = trial(0, base, "none"), trial(1, one_more, generators=("vae",))
    assert winner([none, vae]) is none
    assert winner([none, trial(1, many_more, generators=("vae",))]).number == 1
    better, arm = trial(2, one_more, "flip"), trial(0, base, "none")
    assert winner([arm, better]) is better
    default, tuned = trial(3, many_more, "default policy", ("vae",)), trial(4, [1] * 91 + [0] * 9, generators=("vae",))
    assert winner([none, default, tuned]) is default
    lent, more = trial(5, one_more, "none, related dataset", source=True), trial(6, many_more, "none, related dataset", source=True)
    assert winner([none, lent]) is none and winner([none, more]) is more and winner([more, default]) is more


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Third-party transforms and a learner, and generators of fresh rows and of noise, found by entry point."""
    plant_search(tmp_path / "site")
    for truth in ("noised", "noise"):
        plant(tmp_path / "site", truth)
    with installed(monkeypatch, tmp_path / "site", "planted_search", "planted_noised", "planted_noise"):
        yield


def record_of(run):
    (path,) = (run.folder / "stages").glob("search-*/search.json")
    return read_json(path)


@pytest.mark.usefixtures("planted")
def test_the_best_transform_is_found_and_the_harmful_one_is_not_recommended(tmp_path):
    data = scattered(tmp_path / "digits.npz", train=12, test=40)
    run = augmind.expand(data, tmp_path / "r", **OPTIONS | {"explain": True}, trials=20)
    found = record_of(run)
    assert found["winner"]["policy"]["classical"]["transform"]["name"] == "anywhere"
    worst = [t for t in found["trials"] if t["policy"]["classical"]["transform"]["name"] == "swap"]
    assert worst and all(t["value"] < found["winner"]["value"] - 0.2 for t in worst)
    assert found["importance"] and max(found["importance"], key=found["importance"].get).startswith("transform")
    names = [t["name"] for t in found["trials"]]
    assert len({json.dumps(t["policy"], sort_keys=True) for t in found["trials"][:9]}) == 9
    assert names[0] == "none" and len(names) == 20 and names == [n for n in names if n] + [""] * names.count("") and names[3]
    told = run.record["search"][0]
    arms = {a["arm"]: a["metrics"]["balanced_accuracy"]["mean"] for a in run.record["arms"]}
    assert told["optimism"] == pytest.approx(found["winner"]["value"] - arms["searched"])
    assert arms["searched"] > arms["real"] + 0.1
    assert not run.verdict["use_synthetic"] and "one without synthetic rows won" in run.verdict["sentence"]
    classical, winner = (found[role]["policy"] for role in ("classical", "winner"))
    assert run.record["explanation"]["arms"] == ["real" if classical == winner else "classical", "searched"]
    assert "estimated gain of the searched policy" in run.report.read_text()


def test_a_shared_storage_takes_its_secrets_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIES", str(tmp_path / "shared.db"))
    assert shared("sqlite:///$STUDIES").url == f"sqlite:///{tmp_path}/shared.db" and (tmp_path / "shared.db").is_file()


class Stopped(Exception):
    """Stands for a kill between two pieces of work."""


@pytest.mark.usefixtures("planted")
def test_an_interrupted_search_is_replayed_and_ends_with_the_same_trials_for_any_number_of_workers(tmp_path):
    data = scattered(tmp_path / "digits.npz", train=8, test=20)
    options = {**OPTIONS, "trials": 12, "seeds": 1}
    whole = augmind.expand(data, tmp_path / "whole", **options, until="search")
    done = 0

    def watch(item, state):
        nonlocal done
        done += state == "done" and item.name.startswith("try ")
        if done > 11:
            raise Stopped

    with pytest.raises(Stopped):
        augmind.expand(data, tmp_path / "cut", **options, until="search", watch=watch)
    assert not list((tmp_path / "cut" / "stages").glob("search-*"))
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut" / "stages").glob("score-*")}
    again = augmind.expand(data, tmp_path / "cut", **options, until="search")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cut" / "stages").glob("score-*")}
    assert before and before.items() <= after.items()
    parallel = augmind.expand(data, tmp_path / "two", **{**options, "jobs": 2}, until="search")
    assert record_of(whole) == record_of(again) == record_of(parallel)


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_a_generator_of_fresh_rows_is_chosen_and_one_of_noise_is_not(tmp_path):
    data = noised(tmp_path / "digits.npz", train=8, test=40)
    options = {**OPTIONS, "generators": ("planted_noised", "planted_noise"), "ratio": 6.0, "seeds": 3, "trials": 14}
    run = augmind.expand(data, tmp_path / "r", **options)
    found = record_of(run)
    used = {g["name"] for g in found["winner"]["policy"]["generators"]}
    assert "planted_noised" in used, found["winner"]
    sampled = found["trials"][12:]
    assert [t["params"]["imagine"] for t in sampled] == [t["number"] % 2 == 1 for t in sampled]
    assert run.verdict["use_synthetic"] and run.verdict["arm"] == "searched", run.verdict["sentence"]
    assert not found["classical"]["policy"]["generators"]
    shutil.rmtree(run.folder)


@pytest.mark.usefixtures("planted")
def test_a_search_begins_with_the_winners_of_earlier_runs(tmp_path):
    data = scattered(tmp_path / "digits.npz", train=8, test=20)
    first = augmind.expand(data, tmp_path / "first", **{**OPTIONS, "trials": 10, "seeds": 1})
    again = augmind.expand(data, tmp_path / "again", **{**OPTIONS, "trials": 10, "seed": 1, "warm": (str(first.folder),)}, until="search")
    names = {t["name"]: t["policy"]["classical"] for t in record_of(again)["trials"]}
    assert names["earlier run, 1"] == read_json(first.folder / "policy.json")["classical"]
    tried = [t for t in record_of(first)["trials"] if t["state"] == "complete"]
    best = {t["value"] for t in tried if t["policy"]["classical"] in [v for k, v in names.items() if k.startswith("earlier run")]}
    assert max(t["value"] for t in tried) in best and 1 < sum(k.startswith("earlier run") for k in names) <= 4
    with pytest.raises(UsageError, match="holds neither a finished search"):
        augmind.expand(data, tmp_path / "no", **{**OPTIONS, "warm": (str(tmp_path),)})


def queue_of(url):
    """State -> how often, and the processes that worked, of the scores in a storage."""
    storage = shared(url)
    (name,) = [n for n in optuna.get_all_study_names(storage) if n.startswith("scores ")]
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    done = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
    assert len(done) == len({t.user_attrs["key"] for t in done})
    return Counter(t.state.name for t in trials), {t.user_attrs["by"] for t in done}


@pytest.mark.usefixtures("planted")
def test_a_second_run_of_a_search_learns_its_scores_from_the_storage_and_ends_alike(tmp_path):
    data, url = scattered(tmp_path / "digits.npz", train=8, test=20), f"sqlite:///{tmp_path}/shared.db"
    options = {**OPTIONS, "trials": 10, "seeds": 1, "until": "search"}
    alone = augmind.expand(data, tmp_path / "alone", **options)
    first = augmind.expand(data, tmp_path / "first", **options, storage=url)
    worked = queue_of(url)
    assert worked[0] == {"COMPLETE": len(list((tmp_path / "first" / "stages").glob("score-*")))} and len(worked[1]) == 1
    second = augmind.expand(data, tmp_path / "second", **options, storage=url)
    assert queue_of(url) == worked
    assert record_of(alone) == record_of(first) == record_of(second)
    assert any(n.endswith("probe 0") or "nearest 0" in n for n in optuna.get_all_study_names(shared(url)))


@pytest.mark.usefixtures("planted")
def test_what_a_dead_run_had_claimed_is_worked_out_by_another(tmp_path, monkeypatch):
    data, url = scattered(tmp_path / "digits.npz", train=8, test=20), f"sqlite:///{tmp_path}/shared.db"
    options = {**OPTIONS, "trials": 8, "seeds": 1, "until": "search"}
    alone = augmind.expand(data, tmp_path / "alone", **options)
    monkeypatch.setattr("augmind.search.together.HEARTBEAT", 1)
    monkeypatch.setattr("augmind.search.together.GRACE", 2)

    def dies(self, claimed, due, tell):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Together, "_work", dies)
        with pytest.raises(Stopped):
            augmind.expand(data, tmp_path / "dead", **options, storage=url)
    assert queue_of(url)[0]["RUNNING"] == 1
    other = augmind.expand(data, tmp_path / "other", **options, storage=url)
    counts, _ = queue_of(url)
    assert counts["FAIL"] == 1 and not counts["RUNNING"] and not counts["WAITING"]
    assert record_of(other) == record_of(alone)


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_two_runs_at_once_divide_the_scores_between_them(tmp_path):
    data, url = scattered(tmp_path / "digits.npz", train=8, test=20), f"sqlite:///{tmp_path}/shared.db"
    options = {**OPTIONS, "trials": 16, "seeds": 1, "until": "search", "storage": url, "jobs": 1}
    code = "import json, sys, augmind; augmind.expand(**json.loads(sys.argv[1]))"
    asked = [json.dumps({**options, "data": str(data), "out": str(tmp_path / name)}) for name in ("a", "b")]
    both = [subprocess.Popen([sys.executable, "-c", code, text], stderr=subprocess.PIPE) for text in asked]
    errors = [process.communicate(timeout=300)[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    counts, workers = queue_of(url)
    assert set(counts) <= {"COMPLETE", "FAIL"} and counts["COMPLETE"] > 16
    assert len(workers) == 2
    found = [read_json(next((tmp_path / n / "stages").glob("search-*")) / "search.json") for n in ("a", "b")]
    assert found[0] == found[1]


def test_a_storage_that_holds_scores_of_other_rows_is_refused():
    text = json.dumps({"guess": base64.b64encode(zlib.compress(np.array([0, 1, 2], "<u2").tobytes())).decode()})
    assert unpacked(text, 3, 3)[0].tolist() == [0, 1, 2]
    for wrong, rows, classes in ((text, 4, 3), (text, 2, 3), (text, 3, 2), ("{}", 3, 3), ("no", 3, 3), ('{"guess": "eA=="}', 3, 3)):
        with pytest.raises(DataError, match="storage"):
            unpacked(wrong, rows, classes)


def test_a_storage_that_went_away_is_one_sentence():
    with pytest.raises(MachineError, match="cannot be reached any more") as caught, reachable():
        raise optuna.exceptions.StorageInternalError("gone")
    assert caught.value.code == "ENV-005" and "same command again" in caught.value.help


def standing_in(**parts):
    """A job that knows no more than these parts."""
    return type("Standing", (Job,), parts)(Path())


@pytest.mark.parametrize(("learner", "rows", "first"), [("probe", 300, None), ("probe", 3000, "rows"), ("cnn", 3000, "steps")])
def test_a_trial_is_shown_a_part_of_its_training_first_where_that_saves_time(learner, rows, first):
    found = rungs(standing_in(plan=SimpleNamespace(splits=3, rows=rows, steps={"cnn": 100})), learner)
    cheap = [r for r in found if not r.whole]
    assert [r.split for r in found if r.whole] == [0, 1, 2]
    assert cheap == ([] if first is None else [Rung(split=0, **{first: 0.25})]) and found[: len(cheap)] == cheap


def test_fewer_rows_are_as_large_a_part_of_every_class():
    rows = toy_samples(80, (1, 4, 4), 4, seed=0)
    rows = rows.take(torch.cat([(rows.y == k).nonzero()[:, 0][: 20 - 4 * k] for k in range(4)]))
    job = standing_in(config=SimpleNamespace(seed=0), fold_rows=lambda self, name: rows)
    fewer = learnt_from(job, "0", Rung(split=0, rows=0.25))
    assert fewer.counts(4).tolist() == [5, 4, 3, 2] and set(fewer.key.tolist()) <= set(rows.key.tolist())
    assert fewer.key.tolist() != sorted(fewer.key.tolist()) and learnt_from(job, "0", Rung(split=0)) is rows


def queued(tmp_path, monkeypatch, **options):
    """A search that was stopped after it had asked for its first scores and claimed one, and the storage's address."""
    data, url = scattered(tmp_path / "digits.npz", train=8, test=20), f"sqlite:///{tmp_path}/shared.db"
    with monkeypatch.context() as patch:

        def dies(self, claimed, due, tell):
            raise Stopped

        patch.setattr(Together, "_work", dies)
        with pytest.raises(Stopped):
            augmind.expand(data, tmp_path / "dead", **options, storage=url)
    return data, url


@pytest.mark.usefixtures("planted")
def test_a_run_killed_between_its_claim_and_its_first_sign_of_life_holds_up_nobody(tmp_path, monkeypatch):
    options = {**OPTIONS, "trials": 5, "seeds": 1, "until": "search"}
    monkeypatch.setattr("augmind.search.together.HEARTBEAT", 1)
    monkeypatch.setattr("augmind.search.together.GRACE", 2)
    asked = optuna.Study.ask

    def killed(self, *args, **kwargs):
        trial = asked(self, *args, **kwargs)
        if self.study_name.startswith("scores"):
            raise Stopped
        return trial

    data, url = scattered(tmp_path / "digits.npz", train=8, test=20), f"sqlite:///{tmp_path}/shared.db"
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "ask", killed)
        with pytest.raises(Stopped):
            augmind.expand(data, tmp_path / "dead", **options, storage=url)
    assert queue_of(url)[0]["RUNNING"] == 1
    augmind.expand(data, tmp_path / "other", **options, storage=url)
    counts, _ = queue_of(url)
    assert counts["FAIL"] == 1 and not counts["RUNNING"] and not counts["WAITING"]


@pytest.mark.usefixtures("planted")
def test_what_is_damaged_in_a_storage_is_not_believed(tmp_path, monkeypatch):
    options = {**OPTIONS, "trials": 5, "seeds": 1, "until": "search"}
    data, url = queued(tmp_path, monkeypatch, **options)
    (name,) = [n for n in optuna.get_all_study_names(shared(url)) if n.startswith("scores ")]
    study = optuna.load_study(study_name=name, storage=shared(url))
    for text in ("no json", "{}", json.dumps({"fold": "0", "policy": {}, "split": 0, "steps": 1, "rows": 1, "folder": "/"})):
        study.enqueue_trial({}, user_attrs={"key": "x", "name": "y", "args": text})
    monkeypatch.setattr("augmind.search.together.GRACE", 2)
    augmind.expand(data, tmp_path / "other", **options, storage=url)
    assert queue_of(url)[0]["FAIL"] >= 3
    with pytest.raises(DataError, match="storage"):
        unpacked(str(None), 3, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_scores_are_shared_by_what_is_begun_from_and_not_by_its_name(tmp_path):
    data, url = scattered(tmp_path / "digits.npz", train=6, test=10), f"sqlite:///{tmp_path}/shared.db"
    other = scattered(tmp_path / "other.npz", train=6, test=10, seed=5)
    few = {"preset": "quick", "seeds": 1, "jobs": 0, "generators": (), "learner": ("cnn",), "steps": {"cnn": 3}}
    options = {**few, "search": True, "trials": 4, "storage": url, "until": "search", "start": str(tmp_path / "donor")}
    names = []
    for seed in (0, 1):
        augmind.expand(other, tmp_path / "donor", **few, seed=seed)
        for run in ("a", "b") if seed == 0 else ("c",):
            augmind.expand(data, tmp_path / run, **options)
            names.append({n for n in optuna.get_all_study_names(shared(url)) if n.startswith("scores ")})
        shutil.rmtree(tmp_path / "donor")
    assert names[0] == names[1] and len(names[0]) == 1 and len(names[2]) == 2
    made = [sum(t.user_attrs["by"] != "" for t in optuna.load_study(study_name=n, storage=shared(url)).trials) for n in names[2]]
    assert made[0] == made[1]


def test_a_machine_that_lacks_something_does_not_condemn_a_policy(tmp_path, monkeypatch):
    def lacks(*args):
        raise MachineError("the weights are missing")

    monkeypatch.setattr("augmind.search.score.taught", lacks)
    data = scattered(tmp_path / "digits.npz", train=6, test=10)
    with pytest.raises(MachineError, match="weights"):
        augmind.expand(data, tmp_path / "r", **{**OPTIONS, "learner": ("cnn",)}, trials=4, until="search")
    assert not list((tmp_path / "r" / "stages").glob("score-*"))


def test_a_transfer_that_has_nothing_to_work_on_is_mix():
    own = space()
    base = own.params(Policy(learner=own.learner, classical=ImageCodec.classical[0], ratio=0.0, share=0.0))
    vae = {IMAGINE: True, "generator.vae": "vae"}
    for name, partner, transform, used, idle in (
        ("consistency", "transform", "none", False, True),
        ("consistency", "synthetic", "none", False, True),
        ("consistency", "synthetic", "none", True, False),
        ("consistency", "transform", "none", True, True),
        ("consistency", "transform", "flip", False, False),
        ("pretrain", "transform", "flip", False, True),
        ("schedule", "transform", "none", True, False),
    ):
        place = place_of(Range(options=("transform", "synthetic")), partner)
        params = {**base, "transfer": name, "transfer.partner": place, "transform": transform, **(vae if used else {})}
        assert (own.policy(params).transfer.name == "mix") == idle, (name, partner, transform, used)


def test_a_tuned_policy_of_an_earlier_run_has_no_privilege_of_simplicity():
    base, better = [1] * 70 + [0] * 30, [1] * 71 + [0] * 29
    warm = dataclasses.replace(trial(1, better, "earlier run, 1"), plain=False)
    assert winner([trial(0, base, "none"), warm]).number == 0
    found = dataclasses.replace(trial(2, better), plain=True)
    assert winner([trial(0, base, "none"), found]).number == 2


def test_choices_are_those_of_the_settings_that_a_run_went_on_with(tmp_path):
    x, y = digit_rows(12, 3)
    np.savez(tmp_path / "all.npz", images=x, labels=y)
    for seed in (0, 1):
        job = augmind.expand(tmp_path / "all.npz", tmp_path / "r", **{**OPTIONS, "learner": "probe"}, test=0.3, seed=seed, dry_run=True).intact()
    assert len(list((tmp_path / "r" / "stages").glob("prepare-*"))) == 2
    digests = {row.id: row.digest for row in job.rows}
    sealed, others = ({digests[i] for i in part} for part in (job.split.folds[0].test, job.split.folds[0].train))
    assert chosen_on(str(tmp_path / "r"), sealed) == 0 and chosen_on(str(tmp_path / "r"), others) == len(others)


@pytest.mark.usefixtures("planted")
def test_a_warm_start_from_choices_on_rows_that_are_tested_here_is_refused(tmp_path):
    x, y = digit_rows(12, 3)
    np.savez(tmp_path / "all.npz", images=x, labels=y)
    few = {**OPTIONS, "seeds": 1, "folds": 2, "trials": 4}
    augmind.expand(tmp_path / "all.npz", tmp_path / "first", **few)
    with pytest.raises(UsageError, match="was chosen on 36 of the 36 test rows"):
        augmind.expand(tmp_path / "all.npz", tmp_path / "again", **few, warm=(str(tmp_path / "first"),))
    (tmp_path / "first" / "policy.json").rename(tmp_path / "policy.json")
    with pytest.raises(UsageError, match="was chosen on"):
        augmind.expand(tmp_path / "all.npz", tmp_path / "only", **few, warm=(str(tmp_path / "first"),))
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "policy.json").write_text('{"x": 1}')
    with pytest.raises(UsageError, match="not a policy"):
        augmind.expand(tmp_path / "all.npz", tmp_path / "broken", **few, warm=(str(tmp_path / "alone"),))
    shutil.copy(tmp_path / "policy.json", tmp_path / "alone")
    run = augmind.expand(tmp_path / "all.npz", tmp_path / "unsure", **few, warm=(str(tmp_path / "alone"),), until="plan")
    assert "nobody can tell" in " ".join(Job(run.folder).plan.notes)


@pytest.mark.usefixtures("planted")
def test_a_run_may_leave_its_storage_and_go_on_alone(tmp_path, monkeypatch):
    options = {**OPTIONS, "trials": 5, "seeds": 1, "until": "search"}
    data, _ = queued(tmp_path, monkeypatch, **options)
    alone = augmind.expand(data, tmp_path / "alone", **options)
    left = augmind.expand(data, tmp_path / "dead", **options)
    assert record_of(left) == record_of(alone)
    with pytest.raises(MachineError, match="psycopg2") as caught:
        augmind.expand(data, tmp_path / "no", **options, storage="postgresql+psycopg2://me@nowhere/studies")
    assert "pip install" in caught.value.help


@pytest.mark.parametrize("name", ["rün", 'a "quoted" one', "plain"])
def test_work_is_written_alike_by_runs_in_any_folder(tmp_path, name):
    texts = set()
    for folder in (tmp_path / name, tmp_path / f"{name}0"):
        folder.mkdir()
        policy = Policy(learner=Choice(name="cnn", settings={"start": str(folder / "start" / "cnn.safetensors")}), classical=Classical(name="none"))
        args = {"folder": str(folder), "fold": "0", "policy": policy.to_json(), "split": 0, "steps": 1.0, "rows": 1.0}
        work = Work.of(Item(name="try", function="x:y", args=args))
        texts.add(work.text)
        assert Work.told("try", work.text, folder).item.args == json.loads(json.dumps(args))
    assert len(texts) == 1 and name not in texts.pop()
    elsewhere = json.dumps({**args, "folder": "", "policy": policy.to_json()})
    assert Work.told("try", elsewhere, tmp_path / "third") is None


def test_a_policy_that_cannot_be_made_is_refused_with_its_file():
    good = Policy(learner=Choice(name="cnn"), classical=Classical(name="none")).to_json()
    assert buildable(good, "x").learner.name == "cnn"
    for wrong in ({"share": "many"}, {"learner": {"name": "nosuch", "settings": {}}}, {"transfer": {"name": "mix", "settings": {"x": 1}}}):
        with pytest.raises(UsageError, match="'file' is no"):
            buildable({**good, **wrong}, "'file'")


def test_a_claim_that_another_run_has_ended_meanwhile_is_let_go(monkeypatch):
    """SQLite may give one trial to two runs, at any moment of either."""
    over = optuna.exceptions.UpdateFinishedTrialError("Trial#0 has already finished")
    study = optuna.create_study()
    study.enqueue_trial({}, user_attrs={"key": "k"})
    together = Together.__new__(Together)
    together.queue, together.workers = study, SimpleNamespace(jobs=1)
    together.storage = SimpleNamespace(record_heartbeat=lambda trial: None)
    trial = study.ask()

    def fails(*_, **__):
        raise over

    monkeypatch.setattr(study, "tell", fails)
    together._give_back([trial])
    study.enqueue_trial({}, user_attrs={"key": "k"})
    asked = []

    def gone():
        asked.append(optuna.study.Study.ask(study))
        raise over

    monkeypatch.setattr(study, "ask", gone)
    assert together._claim() == [] and len(asked) == 1
