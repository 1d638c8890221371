"""Generators that know what the rows do not are asked first; those that learn from the rows stand in where they supply too little."""

import json

import pytest

import augmind
from augmind import config, planning, usual
from augmind.compare import policy_of
from augmind.job import Job
from runs import TINY, arrays, installed, plant

OTHERS = ("vae", "feature")


@pytest.fixture
def asked_first(tmp_path, monkeypatch):
    """Makes a run in which a planted generator is asked first, named by its truth, beside two that learn."""
    for truth in ("fresh", "noise"):
        plant(tmp_path / "site", truth)
    monkeypatch.setattr(usual, "GENERATORS", OTHERS)

    def run(truth: str, **options):
        for module in (usual, config, planning):
            monkeypatch.setattr(module, "READY", (f"planted_{truth}",))
        options = TINY | {"learner": ("probe",), "seeds": 1, "folds": None} | options
        return augmind.expand(arrays(tmp_path / "digits.npz", train=8, test=12), tmp_path / truth, **options)

    with installed(monkeypatch, tmp_path / "site", "planted_fresh", "planted_noise"):
        yield run


def facts(run) -> dict[str, dict]:
    return {g["name"]: g for g in run.record["generators"]}


def test_where_they_supply_enough_no_other_is_trained(asked_first):
    run = asked_first("fresh")
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["generators"] == ["planted_fresh", *OTHERS] and (plan["ratio"], plan["share"]) == (4.0, 0.5)
    found = facts(run)
    assert found["planted_fresh"]["kept"] >= 0.5 * 4 * 80
    assert all((found[name]["status"], found[name]["kept"]) == ("not needed", 0) for name in OTHERS)
    policy = policy_of(Job(run.folder), "0", "probe", "synthetic")
    assert policy.share == 0.5 and [g.name for g in policy.generators] == ["planted_fresh"]
    (told,) = [f for f in run.record["findings"] if f["code"] == "AM231"]
    assert told["about"]["generators"] == list(OTHERS) and not any(f["code"] == "AM230" for f in run.record["findings"])
    assert "not needed" in run.report.read_text()


def test_where_they_supply_too_little_the_others_take_part_as_without_them(asked_first):
    run = asked_first("noise")
    found = facts(run)
    assert found["planted_noise"]["kept"] < 0.5 * 4 * 80
    assert all(found[name]["status"] == "ok" and 0 < found[name]["kept"] <= 80 for name in OTHERS)
    assert found["planted_noise"]["drawn"] <= 6 * 4 * 80
    policy = policy_of(Job(run.folder), "0", "probe", "synthetic")
    assert policy.share == 0.25 and [g.name for g in policy.generators] == ["planted_noise", *OTHERS]
    assert not any(f["code"] == "AM231" for f in run.record["findings"])
