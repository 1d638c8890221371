"""A policy in a foreign training: the same rows as inside a run, every kind of input, fresh draws, clear refusals."""

import json
from collections import namedtuple
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

import augmind
from augmind.core.errors import UsageError
from augmind.core.registry import make
from augmind.core.seeds import stable_seed, stream
from augmind.core.types import Choice, Classical, Policy, Spec
from augmind.modalities.image.codec import ImageCodec


def record(transform="flip_crop", mixing="mixup", generators=(), balance="none"):
    classical = Classical(name="x", transform=Choice(name=transform), mixing=Choice(name=mixing), balance=balance)
    return Policy(learner=Choice(name="cnn"), classical=classical, generators=generators).to_json()


def rows(n=12, channels=3, side=10):
    return torch.randint(0, 256, (n, channels, side, side), generator=stream("rows"), dtype=torch.uint8)


X, Y = rows(), torch.arange(12) % 3


@pytest.mark.parametrize("arm", ImageCodec.classical, ids=lambda arm: arm.name)
def test_rows_are_those_that_a_learner_in_a_run_is_taught(arm):
    policy = augmind.load_policy(Policy(learner=Choice(name="cnn"), classical=arm).to_json(), seed=3, classes=3)
    x, y = policy(X, Y)
    spec, draw = Spec(kind="continuous", shape=(3, 10, 10), classes=("a", "b", "c")), stable_seed(3, "policy", "", 1)
    soft = torch.eye(3)[Y]
    view, soft = make("transforms", arm.transform).apply(spec.to_model(X), soft, stable_seed(draw, "transform"))
    view, soft = make("mixing", arm.mixing).apply(view, soft, stable_seed(draw, "mixing"))
    assert torch.equal(x, spec.to_store(view))
    assert torch.equal(y, Y if arm.mixing.name == "none" else soft)


@pytest.mark.parametrize("transform", ["none", "flip", "randaugment"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_bytes_and_floats_of_either_range_give_the_same_rows(transform, dtype):
    def policy():
        return augmind.load_policy(record(transform), classes=3)

    plain, soft = policy()(X, Y)
    for scale in (1.0, 255.0):
        given = (X.double() * (scale / 255)).to(dtype)
        before = given.clone()
        out, labels = policy()(given, Y)
        assert out.dtype == dtype and torch.equal(labels, soft) and torch.equal(given, before)
        error = (out.double() / scale - plain.double() / 255).abs()
        assert error.max() < (0.3 if transform == "randaugment" else 0.01) and error.mean() < 0.01


def test_values_beyond_the_range_after_a_resize_are_clipped():
    x = torch.tensor([-0.1, 0.5, 1.2]).repeat(2, 3, 3, 1)
    assert torch.allclose(augmind.load_policy(record("flip_crop", "none"))(x).unique(), torch.tensor([0.0, 0.5, 1.0]))


def test_policies_without_mixing_leave_labels_as_they_came_and_with_mixing_keep_their_mass():
    labels = ["a"] * 12
    assert augmind.load_policy(record(mixing="none"))(X, labels)[1] is labels
    x, y = augmind.load_policy(record(mixing="cutmix"), classes=4)(X, Y)
    assert y.shape == (12, 4) and torch.allclose(y.sum(1), torch.ones(12)) and not torch.equal(x, X)
    soft = torch.full((12, 4), 0.25)
    assert torch.equal(augmind.load_policy(record("none", "mixup"))(X, soft)[1], soft)


def test_a_policy_that_does_nothing_changes_nothing():
    x = torch.randn(4, 7)
    out, y = augmind.load_policy(record("none", "none"))(x, Y[:4])
    assert torch.equal(out, x) and torch.equal(y, Y[:4])


@pytest.mark.parametrize(("mode", "shape"), [("L", (9, 12)), ("RGB", (9, 12, 3)), ("RGBA", (9, 12, 4))])
def test_a_picture_comes_back_as_a_picture(mode, shape):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    policy = augmind.load_policy(record("trivialaugment"), classes=3)
    out = policy(Image.fromarray(pixels))
    assert isinstance(out, Image.Image) and out.mode == mode and out.size == (12, 9)
    assert np.array_equal(np.asarray(augmind.load_policy(record("none"))(Image.fromarray(pixels))), pixels)
    row = torch.from_numpy(pixels.reshape(*shape[:2], -1)).permute(2, 0, 1)
    again = augmind.load_policy(record("trivialaugment"))(row)
    assert torch.equal(torch.from_numpy(np.array(out).reshape(*shape[:2], -1)).permute(2, 0, 1), again)
    x, y = policy(Image.fromarray(pixels), 2)
    assert isinstance(x, Image.Image) and torch.equal(y, torch.tensor([0.0, 0.0, 1.0]))


def test_lists_keep_their_kinds_and_sizes():
    policy = augmind.load_policy(record("flip_crop"), classes=3)
    mixed = [Image.new("RGB", (8, 6), (9, 9, 9)), rows(1)[0], rows(1, side=6)[0].float()]
    out = policy(mixed)
    assert isinstance(out[0], Image.Image) and [o.shape for o in out[1:]] == [m.shape for m in mixed[1:]]
    alike = [Image.fromarray(np.asarray(r.permute(1, 2, 0))) for r in X]
    x, y = augmind.load_policy(record("flip_crop"), classes=3)(alike, Y.tolist())
    bx, by = augmind.load_policy(record("flip_crop"), classes=3)(X, Y)
    assert torch.equal(torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) for p in x]), bx) and torch.equal(y, by)
    with pytest.raises(UsageError, match="several sizes"):
        policy(mixed, [0, 1, 2])


def test_every_call_draws_anew_and_the_seed_and_the_call_decide():
    a, b, c = (augmind.load_policy(record(), seed=s, classes=3) for s in (0, 0, 1))
    first, second = a(X, Y), a(X, Y)
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[0], b(X, Y)[0]) and torch.equal(second[1], b(X, Y)[1])
    assert not torch.equal(first[0], c(X, Y)[0])
    before = torch.get_rng_state()
    a(X, Y)
    assert torch.equal(before, torch.get_rng_state())


def test_a_copy_in_another_process_goes_on_where_the_original_was():
    policy = augmind.load_policy(record(), classes=3)
    policy(X, Y)
    again = ForkingPickler.loads(ForkingPickler.dumps(policy))
    assert all(map(torch.equal, policy(X, Y), again(X, Y)))


class Rows(Dataset):
    """Equal rows, so that what differs is drawn; `policy` is applied row by row."""

    def __init__(self, policy):
        self.policy = policy

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return self.policy(X[0]), i


def epochs(loader):
    return [torch.cat([batch[0] for batch in loader]) for _ in range(2)]


@pytest.mark.parametrize("persistent", [False, True])
def test_neither_workers_nor_epochs_repeat_each_other_and_a_seeded_loader_repeats_itself(persistent):
    def run():
        policy = augmind.load_policy(record("randaugment"), seed=1)
        return epochs(DataLoader(Rows(policy), 2, num_workers=2, persistent_workers=persistent, generator=torch.Generator().manual_seed(0)))

    one, two = run()
    assert len(torch.cat([one, two]).unique(dim=0)) == 16
    assert all(map(torch.equal, (one, two), run()))


def test_collate_is_torchs_own_and_then_the_policy():
    data = TensorDataset(X, Y, torch.arange(12))
    policy = augmind.load_policy(record(), classes=3)
    x, y, index = next(iter(DataLoader(data, 12, collate_fn=policy.collate)))
    expected = augmind.load_policy(record(), classes=3)(X, Y)
    assert torch.equal(x, expected[0]) and torch.equal(y, expected[1]) and torch.equal(index, torch.arange(12))
    Pair = namedtuple("Pair", "x y")
    assert isinstance(policy.collate([Pair(X[0], 1), Pair(X[1], 2)]), Pair)
    assert policy.collate(list(X)).shape == X.shape
    with pytest.raises(UsageError, match="not rows or"):
        policy.collate([{"x": X[0], "y": 1}])


def test_mixing_alone_serves_rows_that_were_transformed_one_by_one():
    policy = augmind.load_policy(record("flip_crop", "mixup"), classes=3)
    x = torch.randn(64, 1, 1, 1, generator=stream("x")) * 5
    out, y = policy.mix(x, torch.arange(64) % 3)
    assert (out != x).any() and x.min() <= out.min() <= out.max() <= x.max()
    assert torch.allclose(y.sum(1), torch.ones(64))
    labels = torch.arange(64) % 3
    assert augmind.load_policy(record(mixing="none")).mix(x, labels) == (x, labels)


def test_it_says_what_it_does_and_what_it_leaves_out():
    said = repr(augmind.load_policy(record(generators=(Choice(name="vae"),), balance="weights"), seed=4))
    for part in ("flip_crop", "then mixup", "seed 4", "the learner (cnn)", "vae", "augmind export", "weights"):
        assert part in said
    assert "rows stay as they are" in repr(augmind.load_policy(record("none", "none")))


def test_a_run_folder_and_its_file_tell_the_policy_and_the_number_of_classes(tmp_path):
    with pytest.raises(UsageError, match="holds no policy"):
        augmind.load_policy(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError) as unfinished:
        augmind.load_policy(tmp_path)
    assert "augmind resume" in unfinished.value.help
    (tmp_path / "policy.json").write_text(json.dumps(record()))
    (tmp_path / "plan.json").write_text(json.dumps({"classes": 7}))
    for path in (tmp_path, str(tmp_path), tmp_path / "policy.json"):
        policy = augmind.load_policy(path)
        assert policy.classes == 7 and policy.policy == Policy.from_json(record())
    assert augmind.load_policy(tmp_path, classes=9).classes == 9


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"learner": 3}', json.dumps({**record(), "classical": {"name": "x"}})])
def test_another_file_is_refused_in_one_sentence(tmp_path, text):
    path = Path(tmp_path / "other.json")
    path.write_text(text)
    with pytest.raises(UsageError, match=r"other\.json") as error:
        augmind.load_policy(path)
    assert "policy.json" in error.value.help and "\n" not in str(error.value)


def test_unknown_plugins_and_impossible_rows_are_refused():
    with pytest.raises(UsageError, match="unknown transform 'flap'"):
        augmind.load_policy(record("flap"))
    policy = augmind.load_policy(record())
    for x, said in ((X.long(), "int64"), (torch.randn(4, 3, 8, 8), "0..1 or 0..255"), (X.float() * 9, "0..255"), ("cat", "not str")):
        with pytest.raises(UsageError, match=said):
            policy(x)
    with pytest.raises(UsageError, match="shape"):
        policy(torch.rand(4, 8))
    with pytest.raises(UsageError, match="how many classes"):
        policy(X, Y)
    with pytest.raises(UsageError, match="do not fit 2 classes"):
        augmind.load_policy(record(), classes=2)(X, Y)
    with pytest.raises(UsageError, match="cannot be mixed"):
        augmind.load_policy(record(), classes=3)(X, Y.float())
    with pytest.raises(UsageError, match="12 rows and 3 labels"):
        augmind.load_policy(record(), classes=3)(X, Y[:3])
    with pytest.raises(UsageError, match="mode 'P'"):
        policy(Image.new("P", (8, 8)))


# Texts


TEXTS = ["The river is wide and the boats are slow today.", "A loud engine drives down the road again.", "Fresh bread is good."] * 4


def of_texts(transform="none", mixing="none"):
    return augmind.load_policy(record(transform, mixing) | {"rows": "texts"}, seed=2, classes=3)


def test_a_policy_of_texts_takes_strings_lists_and_pairs():
    policy = of_texts("eda")
    new, labels = policy(TEXTS, torch.arange(12) % 3)
    assert len(new) == 12 and sum(a != b for a, b in zip(new, TEXTS, strict=True)) > 8 and all(isinstance(t, str) for t in new)
    assert labels.tolist() == [0, 1, 2] * 4 and isinstance(policy(TEXTS[0]), str) and policy([]) == []
    sides = [tuple(TEXTS[i : i + 2]) for i in range(6)]
    pairs = policy(sides)
    assert all(
        isinstance(p, tuple) and len(p) == 2 and sum(a != b for a, b in zip(p, q, strict=True)) <= 1 for p, q in zip(pairs, sides, strict=True)
    )
    assert of_texts("eda")(TEXTS) == of_texts("eda")(TEXTS)
    for wrong in (torch.zeros(2, 3), [1, 2], 5):
        with pytest.raises(UsageError, match="is of texts and takes strings"):
            policy(wrong)


def test_texts_are_spliced_with_their_labels_and_features_are_mixed_apart():
    x, y = of_texts(mixing="splice")(TEXTS, torch.arange(12) % 3)
    assert y.shape == (12, 3) and torch.equal(y.argmax(1), torch.arange(12) % 3) and len(x) == 12
    policy = of_texts("typos", "mixup")
    new, labels = policy(TEXTS, torch.arange(12) % 3)
    assert new != TEXTS and labels.tolist() == [0, 1, 2] * 4
    assert any("policy.mix(z, y)" in part for part in policy.left_out) and not any("policy.mix" in part for part in of_texts("typos").left_out)
    z, soft = policy.mix(torch.randn(12, 5), torch.arange(12) % 3)
    assert z.shape == (12, 5) and soft.shape == (12, 3) and (soft.max(1).values < 1).any()


def test_of_a_pool_what_is_left_out_speaks_of_labels_not_of_synthetic_rows():
    told = {"learner": Choice(name="cnn"), "generators": (Choice(name="pseudo"),), "share": 0.75, "ratio": 1.0}
    sure, all_of_them = (
        augmind.load_policy(Policy(classical=Classical(name="x"), believed=believed, **told).to_json()).left_out for believed in (False, True)
    )
    assert any("pseudo-labelled rows (pseudo; 75% of every batch)" in part for part in sure) and not any("synthetic" in part for part in sure)
    assert [part for part in all_of_them if part not in sure] == ["the other rows of the pool, taught with what its labeller believes of each"]


def test_a_loader_of_texts_collates_with_the_policy():
    rows = [(t, i % 3) for i, t in enumerate(TEXTS)]
    (x, y), *_ = DataLoader(rows, batch_size=12, collate_fn=of_texts("eda").collate)
    assert len(x) == 12 and list(x) != TEXTS and y.tolist() == [0, 1, 2] * 4
    assert len(next(iter(DataLoader(TEXTS, batch_size=12, collate_fn=of_texts("eda").collate)))) == 12


def test_of_sounds_rows_are_spectrograms_and_only_a_policy_of_sounds_takes_them():
    from augmind.modalities.audio.codec import AudioCodec

    x = torch.randint(0, 256, (6, 1, 40, 64), generator=stream("sounds"), dtype=torch.uint8)
    for arm in AudioCodec.classical:
        own = Policy(learner=Choice(name="crnn"), classical=arm).to_json() | {"rate": 8000}
        policy = augmind.load_policy(own, classes=3)
        seen, y = policy(x, Y[:6])
        assert seen.shape == x.shape and seen.dtype == x.dtype and len(y) == 6
        assert arm.transform.name == "none" or not torch.equal(seen, x)
        for waves in (torch.randn(4000), torch.rand(2, 1, 4000), torch.rand(2, 1, 1, 4000), [np.zeros(4000, np.float32)]):
            with pytest.raises(UsageError, match=r"takes rows .1, bands, columns., not waves"):
                policy(waves)
    with pytest.raises(UsageError, match="waves"):
        augmind.load_policy(record("wave"), classes=3)(x)
