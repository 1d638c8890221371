"""The nouns and the loop: closed-form answers, round trips and resumption."""

import contextlib

import torch
from torch import nn

from augmind.core.feed import cyclic
from augmind.core.loop import descend
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, row_noise, row_seeds
from augmind.core.tensors import save_tensors
from augmind.core.types import REAL, Samples, Spec
from augmind.testing import toy_data, toy_samples


def test_spec_scales_bytes_to_unit_range_and_back():
    spec = Spec(kind="continuous", shape=(1, 1, 256), classes=("a",))
    x = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 1, 256)
    assert spec.to_model(x).min() == -1 and spec.to_model(x).max() == 1
    assert torch.equal(spec.to_store(spec.to_model(x)), x)
    assert Spec.from_json(spec.to_json()) == spec


def test_adding_samples_keeps_every_origin():
    real = toy_samples(4)
    a = Samples.synthetic("gan", real.x[:2], real.y[:2], torch.tensor([11, 12]))
    b = Samples.synthetic("vae", real.x[:1], real.y[:1], torch.tensor([13]))
    both = real + a + b + a
    assert both.makers == ("gan", "vae")
    assert both.maker.tolist() == [REAL] * 4 + [0, 0, 1, 0, 0]
    assert both.take(both.maker != REAL).key.tolist() == [11, 12, 13, 11, 12]


def test_batches_pass_through_every_row_once_an_epoch():
    seen = torch.cat([cyclic(10, t, 4, "s") for t in range(5)])
    assert sorted(seen[:10].tolist()) == list(range(10)) == sorted(seen[10:].tolist())


def test_row_noise_depends_on_its_own_seed_alone():
    seeds = row_seeds(5, "x")
    assert torch.equal(row_noise(seeds, (3,))[2:3], row_noise(seeds[2:3], (3,)))


def test_chunks_give_each_row_the_same_values_whatever_the_number_asked_for():
    net = nn.Sequential(nn.Linear(7, 33), nn.GELU(), nn.Linear(33, 5)).eval()
    x = torch.randn(130, 7)
    with torch.no_grad():
        torch.testing.assert_close(in_chunks(net, x)[70:71], in_chunks(net, x[70:71]), atol=1e-6, rtol=0)
        assert in_chunks(net, x[:0]).shape == (0, 5)


def problem(tmp_path, steps, fail_at=(), checkpoints=None):
    """Fits y = 3x by SGD with momentum; the loss is NaN the first time each of `fail_at` is met."""
    torch.manual_seed(0)
    net = nn.Linear(1, 1)
    sgd = torch.optim.AdamW(net.parameters(), lr=0.05)
    left = set(fail_at)

    def step(t):
        x = torch.randn(16, 1)
        loss = (net(x) - 3 * x).square().mean()
        if t in left:
            left.discard(t)
            loss = loss * float("nan")
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        return {"loss": loss}

    run = Run(folder=tmp_path, seed=1, checkpoints=checkpoints)
    return net, descend(step, {"net": net, "sgd": sgd}, steps=steps, run=run, name="fit")


def test_loop_learns_and_reports_its_curve(tmp_path):
    net, curves = problem(tmp_path, 400)
    assert abs(net.weight.item() - 3) < 0.05
    assert curves.steps == 400 and len(curves.points["loss"]) == 8


def test_loop_recovers_from_nan_at_a_lower_rate_and_says_so(tmp_path):
    net, curves = problem(tmp_path, 400, fail_at=(120, 260))
    assert curves.rollbacks == 2 and [f.code for f in curves.findings] == ["AM201"] * 2
    assert torch.isfinite(net.weight).all() and abs(net.weight.item() - 3) < 0.1


def test_loop_resumes_bit_identically_from_a_checkpoint(tmp_path, monkeypatch):
    whole, _ = problem(tmp_path, 300)
    monkeypatch.setattr("augmind.core.loop.CHECKPOINT_SECONDS", -1.0)
    torch.manual_seed(0)

    class Killed(BaseException):
        pass

    import augmind.core.loop as loop

    saves = []
    original = loop.save_tensors

    def save(*args):
        original(*args)
        saves.append(args)
        if len(saves) == 3:
            raise Killed

    monkeypatch.setattr(loop, "save_tensors", save)
    with contextlib.suppress(Killed):
        problem(tmp_path, 300, checkpoints=tmp_path / "c")
    monkeypatch.setattr(loop, "save_tensors", original)
    again, curves = problem(tmp_path, 300, checkpoints=tmp_path / "c")
    assert torch.equal(whole.weight, again.weight) and len(curves.points["loss"]) == 6


def test_a_checkpoint_of_something_else_is_ignored(tmp_path):
    plain, _ = problem(tmp_path, 100)
    save_tensors(tmp_path / "c" / "fit.safetensors", {"net/weight": torch.zeros(3)})
    again, curves = problem(tmp_path, 100, checkpoints=tmp_path / "c")
    assert torch.equal(plain.weight, again.weight) and curves.steps == 100


def test_toy_data_is_complete():
    data = toy_data()
    assert data.train.z is not None and data.features().spec.shape == (16,)
