"""Balance: cells are filled evenly, the mix of groups stays what was asked for, and both hold in a whole run."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import augmind
from augmind.config import config
from augmind.core.errors import UsageError
from augmind.core.even import evened
from augmind.core.run import Run
from augmind.core.store import read_json
from augmind.core.types import Data, Samples, Spec
from augmind.handover import handed_over
from augmind.job import Job
from augmind.pipeline import shard_path
from augmind.screens.mix import Mix
from augmind.testing import ToyCodec
from runs import TINY, digit_rows

COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=8)


@given(counts=COUNTS, total=st.integers(0, 200))
def test_rows_are_given_to_the_emptiest_cells_until_all_are_level(counts, total):
    before = torch.tensor(counts)
    given_ = evened(before, total)
    after = before + given_
    assert int(given_.sum()) == total and int(given_.min()) >= 0
    level = int(after.min())
    assert all(int(n) <= level + 1 for n, more in zip(after, given_, strict=True) if more)


def test_even_cells_get_equal_shares_and_full_ones_nothing():
    assert evened(torch.tensor([4, 4, 4]), 6).tolist() == [2, 2, 2]
    assert evened(torch.tensor([10, 2, 4]), 4).tolist() == [0, 3, 1]
    assert evened(torch.tensor([10, 0]), 30).tolist() == [10, 20]


def samples(y, group):
    y, group = torch.tensor(y), torch.tensor(group)
    return Samples.real(torch.zeros(len(y), 2), y, z=torch.zeros(len(y), 2), group=group)


def screen(y, group, ratio=1.0):
    spec = Spec(kind="continuous", shape=(2,), classes=("a", "b"), bounded=False)
    train = samples(y, group)
    return Mix(ratio=ratio).fit(Data(train=train, val=train.take([]), spec=spec, codec=ToyCodec(spec)), Run(folder=Path("unused")))


def test_the_kept_rows_follow_the_mix_asked_for_at_every_moment_and_in_any_blocks():
    mix = screen([0] * 12 + [1] * 4, [0] * 9 + [1] * 3 + [0, 0, 1, 1], ratio=2.0)
    drawn = samples([0] * 200, torch.randint(0, 2, (200,), generator=torch.Generator().manual_seed(0)).tolist())
    passed = mix.score(drawn) >= mix.cut
    kept, owed = drawn.take(passed), 15 / 24
    ones = kept.group.cumsum(0)
    assert len(kept) > 100 and ((ones - owed * torch.arange(1, len(kept) + 1)).abs() <= 1).all()
    first = drawn.take(range(70))
    later = mix.score(drawn.take(range(70, 200)), first.take(mix.score(first) >= mix.cut))
    assert torch.equal(torch.cat([mix.score(first), later]), mix.score(drawn))


def test_a_group_that_is_never_drawn_makes_the_others_wait():
    mix = screen([0] * 8, [0] * 4 + [1] * 4)
    assert int((mix.score(samples([0] * 50, [0] * 50)) >= mix.cut).sum()) == 1


def test_without_groups_every_row_passes():
    spec = Spec(kind="continuous", shape=(2,), classes=("a",), bounded=False)
    train = Samples.real(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long), z=torch.zeros(4, 2))
    mix = Mix().fit(Data(train=train, val=train.take([]), spec=spec, codec=ToyCodec(spec)), Run(folder=Path("unused")))
    assert (mix.score(train) == 1).all()


def test_balancing_groups_needs_a_column_of_groups():
    with pytest.raises(UsageError, match="no column of them is named"):
        config(data="x", balance=("class", "group"))
    with pytest.raises(UsageError, match="unknown thing to balance 'clas'"):
        config(data="x", balance=("clas",))
    assert config(data="x", balance=["class", "group"], group="site").balance == ("class", "group")


def test_a_run_evens_out_classes_and_keeps_the_groups_within_them_in_the_mix_asked_for(tmp_path):
    """Two classes of 32 and 16 rows, a quarter of each from two dark scanners, the rest from two light ones."""
    x, y = digit_rows(32, classes=2)
    lines = ["file,label,site"]
    for i, (row, label) in enumerate(zip(x, y, strict=True)):
        if label == 0 or i % 2 == 0:
            site = ("dark a", "dark b")[i % 16 // 8] if i % 8 < 2 else ("light a", "light b")[i % 16 // 8]
            Image.fromarray((row // 3 if site.startswith("dark") else row).astype(np.uint8)).save(tmp_path / f"{i}.png")
            lines.append(f"{i}.png,digit {label},{site}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    options = {**TINY, "seeds": 1, "generators": ("vae",), "learner": ("probe",), "ratio": 2.0, "label": "label", "column": "file", "group": "site"}
    run = augmind.expand(tmp_path / "t.csv", tmp_path / "r", **options, balance=("class", "group"))
    job, table = Job(run.folder), run.table()
    real = Counter((job.spec.classes[k], g) for k, g in zip(job.real.y.tolist(), job.group_names(job.real.key), strict=True))
    made = Counter((k, g) for k, g, kept in zip(table["label"], table["group"], table["kept"], strict=True) if kept)
    assert set(table["rejected_by"]) & {"mix", "surplus"} and sum(made.values()) > 10
    for name in job.spec.classes:
        groups = sorted(g for k, g in real if k == name)
        counts = torch.tensor([real[name, g] for g in groups])
        owed = evened(counts, int(2 * counts.sum())) / int(2 * counts.sum())
        total = sum(made[name, g] for g in groups)
        assert all(made[name, g] < total * share + 1 for g, share in zip(groups, owed.tolist(), strict=True)), (made, owed)
    wanted = read_json(shard_path(job, job.final, "vae") / "facts.json")["wanted"]
    assert wanted["digit 1"]["asked"] - wanted["digit 0"]["asked"] == 16
    shown = {g["group"]: g["synthetic"] for g in run.record["fairness"]["counts"]}
    assert shown == {g: sum(n for (_, own), n in made.items() if own == g) for g in shown}
    assert "its group has enough rows of its class" in run.report.read_text()
    bundle = handed_over(Job(run.folder))
    (real_rows, *drawn) = bundle.splits["train"]
    assert Counter(real_rows.columns["group"]) == Counter(g for (_, g), n in real.items() for _ in range(n))
    assert sum(len(t.names) for t in drawn) == sum(made.values()) and {g for t in drawn for g in t.columns["group"]} <= {g for _, g in real}
