"""The whole job on small real data: the contract of the run folder, the same result for the same seed, planted truths."""

import json
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

import augmind
from augmind import pipeline
from augmind.cli.work import finish
from augmind.core.errors import AugmindError, DataError, NothingLeft, UsageError
from augmind.core.seeds import row_noise
from augmind.core.store import read_json, read_table, write_json
from augmind.data.exemplars import exemplars
from augmind.generators.vae import Vae
from augmind.job import Job
from augmind.nn.neighbours import polar
from augmind.record import health_record, with_nothing_to_hand_over
from augmind.shards import fill, hopeless, judge, read_shard
from augmind.verdict import Difference, Verdict
from runs import TINY, arrays, folder, installed, plant

MAKERS = ("vae", "gan", "feature")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return folder(tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> augmind.Finished:
    return augmind.expand(
        data, tmp_path_factory.mktemp("runs") / "a", **TINY | {"explain": True}, generators=MAKERS, learner=("probe", "cnn"), want={"digit 1": 9}
    )


def figures(finished: augmind.Finished) -> tuple:
    record = finished.record
    return record["rows"], record["verdict"], [a["metrics"] for a in record["arms"]], record["generators"]


def timeless(found: tuple) -> str:
    """Without the seconds that trainings took."""
    text = json.loads(json.dumps(found))
    for generator in text[3]:
        generator.pop("seconds")
    return json.dumps(text)


def test_the_run_folder_keeps_its_contract(run):
    for name in ("report.html", "report.json", "report.csv", "config.json", "plan.json", "policy.json", "events.jsonl", "run.db"):
        assert (run.folder / name).stat().st_size > 0
    verdict = run.verdict
    assert isinstance(verdict["use_synthetic"], bool) and verdict["sentence"].endswith(".")
    assert verdict["arm"] in ("real", "classical", "synthetic+classical") and len(verdict["interval"]) == 2
    assert {"gain", "against", "certifiable", "policy"} <= set(verdict)
    row = run.record["rows"][0]
    assert {"arm", "fold", "seed", "metric", "value", "learner"} == set(row)
    assert {r["arm"] for r in run.record["rows"]} == {"real", "classical", "synthetic", "synthetic+classical"}
    assert all({"code", "level", "text"} <= set(f) for f in run.record["findings"])
    assert len(run.frame()) == len(run.record["rows"])


def test_every_drawn_row_has_its_origin_scores_and_reason(run):
    table = run.table()
    assert set(table["generator"]) == set(MAKERS)
    kept = [i for i, k in enumerate(table["kept"]) if k]
    assert kept and all(table["rejected_by"][i] == "" for i in kept)
    assert all(table["rejected_by"][i] for i in range(len(table["kept"])) if not table["kept"][i])
    told = run.why(f"{table['generator'][0]}:{table['seed'][0]}")
    assert told["kept"] == table["kept"][0] and set(told["screens"]) == {"agreement", "fidelity", "novelty", "duplicates", "diversity"}
    influence = run.record["explanation"]["influence"]
    for row in (*influence["helpful"], *influence["harmful"]):  # some were drawn for other folds than the one that is handed over
        assert run.why(f"{row['generator']}:{row['seed']}")["seed"] == row["seed"]
    with pytest.raises(UsageError, match="no synthetic row 'vae:1'"):
        run.why("vae:1")


def test_a_row_can_be_drawn_again_alone_from_its_origin(run):
    from augmind.core.tensors import load_tensors
    from augmind.pipeline import shard_path, trained

    job = Job(run.folder)
    for name in ("vae", "gan"):
        plugin, _ = trained(job, job.final, name)
        stored = load_tensors(shard_path(job, job.final, name) / "rows.safetensors")
        again = job.spec.to_store(plugin.sample(stored["y"][3:4], stored["key"][3:4]))
        assert (again.int() - stored["x"][3:4].int()).abs().max() <= 1
        assert torch.equal(torch.tensor(again.shape), torch.tensor(stored["x"][3:4].shape))


def test_what_is_offered_next_draws_a_class_of_which_rows_were_kept(run):
    table = run.table()
    rows = zip(table["generator"], table["label"], table["kept"], strict=True)
    kept = Counter(label for generator, label, passed in rows if passed and generator != "feature")
    offered = [shlex.split(line) for line in run.record["next"] if "augmind sample" in line]
    assert len(offered) == bool(kept) and all(kept[words[words.index("--label") + 1]] for words in offered)


def test_what_was_wanted_is_told(run):
    wanted = run.record["wanted"]["digit 1"]
    assert wanted["asked"] == 9 and 0 <= wanted["got"] <= 9


def test_a_finished_run_is_not_done_again(run, data):
    before = {p: p.stat().st_mtime_ns for p in (run.folder / "stages").rglob("*") if p.is_file() and not p.name.startswith(".")}
    again = augmind.resume(run.folder)
    after = {p: p.stat().st_mtime_ns for p in (run.folder / "stages").rglob("*") if p.is_file() and not p.name.startswith(".")}
    assert before == after and figures(again) == figures(run)


def test_the_same_seed_gives_the_same_result_whatever_the_number_of_processes_and_another_seed_another(data, tmp_path):
    small = {**TINY, "generators": ("vae", "feature"), "learner": ("probe",), "seeds": 1}
    a, b = (augmind.expand(data, tmp_path / name, **{**small, "jobs": jobs}) for name, jobs in (("a", 0), ("b", 2)))
    c = augmind.expand(data, tmp_path / "c", **{**small, "generators": ("feature",)}, seed=1)
    assert timeless(figures(a)) == timeless(figures(b))
    assert a.record["explanation"] is a.record["growth"] is None and 'id="why"' not in a.report.read_text()
    real = [[row for row in figures(run)[0] if row["arm"] == "real"] for run in (a, c)]
    assert real[0] != real[1]


def test_bit_rot_is_refused_and_repaired_with_the_same_figures(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.folder, copy)
    for pattern in ("teach-*/predictions.safetensors", "draw-vae-*/rows.safetensors", "prepare-*/rows.safetensors"):
        path = next((copy / "stages").glob(pattern))
        rotten = bytearray(path.read_bytes())
        rotten[len(rotten) // 2] ^= 4
        path.write_bytes(rotten)
    damaged = augmind.Finished(copy)
    with pytest.raises(AugmindError, match=r"3 files of .* changed after they were finished"):
        damaged.export(tmp_path / "out", to="npz")
    assert timeless(figures(augmind.resume(copy))) == timeless(figures(run))
    assert damaged.export(tmp_path / "out", to="npz").is_dir()


def test_settings_may_be_corrected_until_work_has_begun(data, tmp_path):
    augmind.expand(data, tmp_path / "r", **TINY, dry_run=True)
    again = augmind.expand(data, tmp_path / "r", **{**TINY, "seeds": 3}, dry_run=True)
    assert read_json(again.folder / "plan.json")["seeds"] == 3


def test_a_run_refuses_other_data_and_other_settings(run, data, tmp_path):
    other = folder(tmp_path / "other", classes=2)
    with pytest.raises(UsageError, match="belongs to another dataset"):
        augmind.expand(other, run.folder, **TINY)
    with pytest.raises(UsageError, match="begun with other settings"):
        augmind.expand(data, run.folder, **{**TINY, "seeds": 3})


def test_a_run_begun_before_a_setting_existed_goes_on_with_its_default(run, tmp_path):
    copy = shutil.copytree(run.folder, tmp_path / "copy")
    record = read_json(copy / "config.json")
    older = {k: v for k, v in record["config"].items() if k not in ("across", "set", "text")}
    write_json(copy / "config.json", record | {"config": older})
    assert figures(augmind.resume(copy)) == figures(run)
    write_json(copy / "config.json", record | {"config": older | {"seeds": 7}})
    with pytest.raises(UsageError, match=r"settings \(.*seeds: 7 then, 2 now"):
        augmind.expand(record["data"], copy, **TINY)


def test_trackers_go_on_with_a_run_and_settings_of_screens_are_looked_at_before_the_work(data, tmp_path):
    augmind.expand(data, tmp_path / "r", **TINY, track=(), dry_run=True)
    assert augmind.api.continued(tmp_path / "r")[1]["track"] == []
    options = augmind.api.continued(tmp_path / "r", track=("tensorboard",), jobs=3)[1]
    assert (options["track"], options["jobs"]) == (("tensorboard",), 3)
    for value in (5.0, float("nan")):
        with pytest.raises(UsageError, match=r"agreement: lost=.* is not allowed"):
            augmind.expand(data, tmp_path / "s", **TINY, set={"agreement.lost": value}, dry_run=True)


def test_data_may_be_corrected_until_work_has_begun(data, tmp_path):
    """One class, then a second in the same folder, by the same command; once features are there, changes are refused."""
    changed = folder(tmp_path / "changed", classes=1)
    with pytest.raises(DataError, match="one class only"):
        augmind.expand(changed, tmp_path / "r", **TINY, dry_run=True)
    folder(tmp_path / "changed", classes=3)
    assert read_json(augmind.expand(changed, tmp_path / "r", **TINY, dry_run=True).folder / "plan.json")["classes"] == 3
    next(changed.rglob("*.png")).unlink()
    assert read_json(augmind.expand(changed, tmp_path / "r", **TINY, dry_run=True).folder / "plan.json")["rows"] == 23
    pipeline.features(str(tmp_path / "r"))
    next(changed.rglob("*.png")).unlink()
    with pytest.raises(DataError, match="changed since"):
        augmind.expand(changed, tmp_path / "r", **TINY, dry_run=True)


def test_the_record_tells_unreadable_rows_from_those_set_aside(tmp_path):
    """Given splits: class "3" has test rows only, so its rows are dropped, and the reason says why."""
    source = folder(tmp_path / "d" / "train", classes=3)
    tested = folder(tmp_path / "d" / "test", per_class=14, classes=4)
    for label in ("digit 0", "digit 1", "digit 2"):
        for path in sorted((tested / label).iterdir())[:8]:
            path.unlink()
    (source / "digit 0" / "bad.png").write_text("no picture")
    shutil.copy(next((source / "digit 1").iterdir()), source / "loose.png")
    shutil.copy(source / "digit 1" / "0008.png", source / "digit 1" / "again.png")
    job = Job(augmind.expand(tmp_path / "d", tmp_path / "r", **TINY, drop_rare=True, dry_run=True).folder)
    pipeline.features(str(job.folder))
    told = health_record(Job(job.folder))
    assert [r["source"] for r in told["corrupt"]] == ["train/digit 0/bad.png"]
    aside = {r["source"]: (r["status"], r["reason"]) for r in told["set_aside"]}
    assert aside.pop("train/loose.png")[0] == "unlabelled" and aside.pop("train/digit 1/again.png")[0] == "duplicate"
    assert len(aside) == 14 and set(aside.values()) == {("unlabelled", "its class has fewer than 2 rows beside the given test split and was dropped")}


def test_a_dry_run_stops_at_the_plan(data, tmp_path):
    finished = augmind.expand(data, tmp_path / "r", **TINY, dry_run=True)
    plan = read_json(finished.folder / "plan.json")
    assert plan["rows"] == 24 and plan["mode"] == "cv" and plan["estimates"]["seconds"] > 0
    assert [p.name.split("-")[0] for p in (finished.folder / "stages").iterdir() if p.is_dir()] == ["prepare"]
    with pytest.raises(UsageError, match="not finished"):
        _ = finished.verdict


def test_an_unknown_wanted_class_is_named(data, tmp_path):
    with pytest.raises(UsageError, match="unknown class in --want 'digit 11'") as caught:
        augmind.expand(data, tmp_path / "r", **TINY, want={"digit 11": 5})
    assert "did you mean 'digit 1'" in caught.value.help


def test_sample_draws_other_rows_and_export_hands_over(run, tmp_path):
    drawn = {f"{g}-{s}.png" for g, s in zip(run.table()["generator"], run.table()["seed"], strict=True)}
    got = [run.sample("digit 1", 4, tmp_path / name) for name in ("s1", "s2")]
    names = [{p.name for p in (tmp_path / name).rglob("*.png")} for name in ("s1", "s2")]
    assert got == [len(n) for n in names]
    assert all(1 <= len(n) <= 4 for n in names) and not names[0] & names[1] and not (names[0] | names[1]) & drawn
    with pytest.raises(UsageError, match="unknown class 'digit'"):
        run.sample("digit", 1, tmp_path / "s3")
    out = run.export(tmp_path / "out", to="npz")
    assert (out / "dataset.npz").is_file() and (out / "policy.json").is_file()
    table = read_table(run.export(tmp_path / "only", to="parquet", rows="synthetic") / "train.parquet")
    for_comparison = {s for s, p, g, y, why in columns(run.table()) if p == 0 and g != "feature" and y != "digit 1" and why == "comparison"}
    wanted = {s for s, p, _, y, why in columns(run.table()) if p == 0 and y == "digit 1" and why == "wanted"}
    assert all(table["synthetic"]) and wanted and set(table["seed"]) == for_comparison | wanted


def test_sample_chooses_the_rows_that_are_most_like_what_is_shown(run, data, tmp_path):
    """Of rows like the examples some are nearer to them than all that a plain draw has."""
    shown = sorted(str(p) for p in (data / "digit 1").rglob("*.png"))[:2]
    assert run.sample("digit 1", 3, tmp_path / "plain") and run.sample("digit 1", 3, tmp_path / "like", like=shown)
    codec, spec = Job(run.folder).codec, Job(run.folder).spec

    def far(folder: Path) -> float:
        z, own = (polar(codec.embed(exemplars([str(p) for p in files], spec, codec))) for files in (sorted(folder.rglob("*.png")), shown))
        return float(torch.cdist(z, own).amin(1).mean())

    assert len(list((tmp_path / "like").rglob("*.png"))) <= 3 and far(tmp_path / "like") < far(tmp_path / "plain")
    assert run.sample("digit 1", 3, tmp_path / "unlike", unlike=shown) and far(tmp_path / "unlike") > far(tmp_path / "like")
    with pytest.raises(DataError, match=r"no file 'absent\.png', which --unlike names"):
        run.sample("digit 1", 3, tmp_path / "none", unlike=["absent.png"])
    with pytest.raises(DataError, match=r"no file 'absent\.png', which --like names"):
        run.sample("digit 1", 3, tmp_path / "none", like=["absent.png"])
    (tmp_path / "words.png").write_text("no picture")
    with pytest.raises(DataError, match="cannot be read"):
        run.sample("digit 1", 3, tmp_path / "none", like=[str(tmp_path / "words.png")])
    assert not (tmp_path / "none").exists()


def columns(table: dict) -> list[tuple]:
    return list(zip(*(table[k] for k in ("seed", "part", "generator", "label", "drawn_for")), strict=True))


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """Third-party generators `planted_fresh` and `planted_noise`, found by entry point."""
    for truth in ("fresh", "noise"):
        plant(tmp_path / "site", truth)
    with installed(monkeypatch, tmp_path / "site", "planted_fresh", "planted_noise"):
        yield


@pytest.mark.usefixtures("planted")
def test_fresh_real_rows_are_found_to_help_and_noise_is_not(tmp_path):
    """Where the synthetic rows are fresh real rows the verdict finds the gain; where they are noise it says no."""
    source = arrays(tmp_path / "digits.npz", train=4, test=40)
    options = {**TINY, "backbone": "lite0@64", "share": 0.8, "seeds": 3, "learner": ("probe",)}
    fresh = augmind.expand(source, tmp_path / "fresh", **options, ratio=3.0, generators=("planted_fresh",))
    assert fresh.verdict["use_synthetic"] and fresh.verdict["gain"] > 0.03, fresh.verdict["sentence"]
    noise = augmind.expand(source, tmp_path / "noise", **{**options, "seeds": 1}, ratio=0.5, generators=("planted_noise",))
    assert not noise.verdict["use_synthetic"] and "Do not use synthetic data here" in noise.verdict["sentence"]
    assert noise.record["generators"][0]["kept"] < 0.1 * noise.record["generators"][0]["drawn"]


@pytest.mark.usefixtures("planted")
def test_where_no_row_passes_no_arm_pretends_to_have_any_whatever_the_margin(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("augmind.shards.judge", nothing_passes)
    source = arrays(tmp_path / "digits.npz", train=6, test=10)
    options = {**TINY, "seeds": 2, "ratio": 0.3, "learner": ("probe",), "margin": 0.5, "explain": True}
    run = augmind.expand(source, tmp_path / "r", **options, generators=("planted_noise",))
    assert not run.verdict["use_synthetic"] and "no synthetic rows were left to compare" in run.verdict["sentence"]
    assert [a["arm"] for a in run.record["arms"]] == ["real", "classical"] == run.record["explanation"]["arms"]
    with pytest.raises(NothingLeft, match="no synthetic row that could be handed over"):
        finish(run, as_json=False)
    assert "Do not use synthetic data here" in capsys.readouterr().out


def test_a_gain_in_some_folds_is_no_use_if_no_row_can_be_handed_over():
    def decided(low, high):
        harm = Difference(estimate=low, se=0.01, df=9.0, low=low, high=high, p=0.01, certifiable=0.05, detectable=0.1, rows=90, seeds=3, p_holm=0.01)
        told = {"against": "x", "p": 0.01, "certifiable": 0.05, "level": 0.95, "margin": 0.0, "differences": {"classical vs real": harm}}
        return Verdict(use_synthetic=True, arm="synthetic+classical", sentence="Use.", gain=0.1, interval=(0.05, 0.15), **told)

    for low, high, arm in ((-0.1, 0.1, "classical"), (-0.2, -0.1, "real")):
        v = with_nothing_to_hand_over(decided(low, high))
        assert not v.use_synthetic and v.arm == arm and "none of those that would be handed over" in v.sentence


def nothing_passes(screens, rows, judged):
    judge({}, rows, judged)
    judged.rejected = ["fidelity"] * len(judged.rejected)
    for name in screens:
        judged.scores[name] = [0.0] * len(judged.rejected)


def test_repeated_cross_validation_tests_every_row_in_every_repetition(data, tmp_path):
    options = {**TINY, "seeds": 1, "repeats": 2, "learner": ("probe",), "generators": ("vae",)}
    run = augmind.expand(data, tmp_path / "r", **options)
    own = [r for r in run.record["rows"] if (r["arm"], r["metric"]) == ("real", "accuracy")]
    assert sorted(r["fold"] for r in own) == [0, 1, 2, 3] and "2 times" in " ".join(f["text"] for f in run.record["findings"])
    (counts,) = (a["counts"] for a in run.record["confusion"]["arms"] if a["arm"] == "real")
    assert sum(map(sum, counts)) == pytest.approx(run.record["plan"]["rows"])


@pytest.mark.slow
@pytest.mark.usefixtures("planted")
def test_sample_asks_the_good_generator_for_what_another_cannot_give(tmp_path):
    source = arrays(tmp_path / "digits.npz", train=8, test=10)
    options = {**TINY, "seeds": 1, "ratio": 0.3, "learner": ("probe",)}
    run = augmind.expand(source, tmp_path / "r", **options, generators=("planted_fresh", "planted_noise"))
    for n, out in ((9, "many"), (1, "one")):
        assert run.sample("3", n, tmp_path / out) == n == len(list((tmp_path / out).rglob("planted_fresh-*.png")))
    with pytest.raises(NothingLeft, match="none of the rows drawn for '3'"):
        run.sample("3", 2, tmp_path / "none", "planted_noise")
    assert "sample" in run.table()["drawn_for"] and not (tmp_path / "none").exists()


def test_a_shard_of_nothing_drawn_is_empty(data, tmp_path):
    job = Job(augmind.expand(data, tmp_path / "r", **TINY, dry_run=True).folder)
    pipeline.features(str(job.folder))
    job, none = Job(job.folder), torch.zeros(3, dtype=torch.long)
    (tmp_path / "shard").mkdir()
    fill(job, tmp_path / "shard", Vae(), job.data(job.real), "vae", none, ("nothing",), rounds=2, label="nothing")
    rows = read_shard(tmp_path / "shard", "vae")
    assert rows is not None and len(rows) == 0 and read_json(tmp_path / "shard" / "facts.json")["drawn"] == 0
    assert read_table(tmp_path / "shard" / "table.parquet")["score_novelty"] == []


class Snow(Vae):
    """Draws noise, whatever it is asked for."""

    def sample(self, y: Tensor, seeds: Tensor) -> Tensor:
        return row_noise(seeds, self.spec_.shape).clamp(-1, 1)


def test_a_class_of_which_next_to_nothing_passes_is_given_up(data, tmp_path):
    job = Job(augmind.expand(data, tmp_path / "r", **TINY, dry_run=True).folder)
    pipeline.features(str(job.folder))
    job, want = Job(job.folder), torch.tensor([400, 0, 0])
    (tmp_path / "shard").mkdir()
    snow = Snow()
    snow.spec_ = job.spec
    fill(job, tmp_path / "shard", snow, job.data(job.real), "vae", want, ("snow",), rounds=4, label="snow")
    facts = read_json(tmp_path / "shard" / "facts.json")
    assert facts["kept"] == 0 and 400 < facts["drawn"] < 700, "one round of twelve times as many"
    got, tried = torch.tensor([0, 0, 3, 200]), torch.tensor([0, 359, 800, 3000])
    assert hopeless(got, tried, 12).tolist() == [False, False, True, False]
