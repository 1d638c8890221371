"""Transfer of parameters and depth of fine-tuning: what is carried over, what is learnt when, and how fast."""

import dataclasses
from dataclasses import asdict, dataclass

import pytest
import torch
from torch import nn

from augmind.core.errors import UsageError
from augmind.core.registry import make
from augmind.core.run import Run
from augmind.core.seeds import seeded, stream
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Choice, Data, Knowledge
from augmind.nn.layers import discounted, layers, release, released
from augmind.nn.resnet import Resnet
from augmind.nn.transplant import graft, label_map, rechannelled, transplant
from augmind.testing import ToyBackbone, ToyCodec, toy_data
from test_learners import feed, synthetic


class Deep(nn.Module):
    """Two convolutions, a linear layer and a norm: a backbone of three layers."""

    width, name = 12, "deep"

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(nn.Conv2d(channels, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2))
        self.out, self.norm = nn.Linear(8, 12), nn.LayerNorm(12)

    @property
    def module(self):
        return self

    def features(self, x):
        return self.norm(self.out(self.blocks(x).relu().mean((2, 3))))


@dataclass(frozen=True)
class DeepCodec(ToyCodec):
    def backbone(self, name=None):
        with seeded(1):
            return Deep(self.spec.shape[0])


def deep(n=24, names=("class 0", "class 1", "class 2"), shape=(1, 16, 16)) -> Data:
    data = toy_data(n, shape)
    spec = dataclasses.replace(data.spec, classes=names)
    return dataclasses.replace(data, spec=spec, codec=DeepCodec(spec))


def learner(name, **settings):
    quick = {"cnn": {"steps": 6, "batch": 16, "width": 16}, "finetune": {"steps": 8, "batch": 8, "lr": 3e-3}}
    return make("learners", Choice(name=name, settings=quick[name] | settings))


def saved(model, data, path, **changes):
    """The file that a comparison keeps of a taught learner."""
    meta = {"learner": asdict(Choice(name=model.name(), settings=model.settings())), "spec": data.spec.to_json()}
    save_tensors(path, model.state(), meta | changes)
    return str(path)


def body(model):
    return {k.removeprefix("body/"): v for k, v in model.state().items() if k.startswith("body/")}


# Layers


def test_every_parameter_is_in_one_layer_and_norms_go_with_what_they_follow():
    net = Deep(1)
    assert [[tuple(p.shape) for p in layer] for layer in layers(net)] == [
        [(6, 1, 3, 3), (6,)],
        [(8, 6, 3, 3), (8,)],
        [(12, 8), (12,), (12,), (12,)],
    ]
    toy = ToyBackbone(4)
    assert layers(toy) == [[toy.projection]]
    for other in (Resnet((1, 16, 16), 3, 8), Resnet((3, 130, 130), 3, 8)):
        own = [id(p) for layer in layers(other) for p in layer]
        assert len(own) == len(set(own)) == len(list(other.parameters()))


def test_the_layers_of_the_default_backbone_are_its_blocks():
    from augmind.modalities.image.backbones.lite0 import Lite0

    net = Lite0(32).module
    stack = layers(net)
    assert len(stack) == 1 + len(net._blocks) + 1
    assert stack[0][0] is net._conv_stem.weight and stack[-1][0] is net._conv_head.weight
    assert sum(map(len, stack)) == len(list(net.parameters()))


def test_rates_fall_with_depth():
    groups = discounted(layers(Deep(1)), 0.1, 0.5)
    assert [g["lr"] for g in groups] == [0.1, 0.05, 0.025] and groups[-1]["params"][0].shape == (6, 1, 3, 3)


def test_layers_are_freed_from_the_top_in_equal_stages():
    assert [released(3, t, 8, 0.25) for t in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [released(3, t, 8, 0.0) for t in range(8)] == [3] * 8
    assert released(50, 9, 10, 0.9) == 1 and released(2, 9, 10, 0.5) == 2
    stack = layers(Deep(1))
    release(stack, 2, 8, 0.25)
    assert [p.requires_grad for layer in stack for p in layer] == [False] * 4 + [True] * 4
    release(stack, 0, 8, 0.25)
    assert not any(p.requires_grad for layer in stack for p in layer)


# Fine-tuning in depth


def test_a_layer_that_was_never_freed_is_the_backbones_own(tmp_path):
    """Of ten steps the head learns nine alone, and the last frees the top layer alone."""
    data = deep()
    model = learner("finetune", steps=10, unfreeze=0.9).fit(feed(data), Run(folder=tmp_path))
    before, after = data.codec.backbone().state_dict(), body(model)
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"out.weight", "out.bias", "norm.weight", "norm.bias"}
    assert all(p.requires_grad for p in model.backbone_.module.parameters())


def test_a_killed_staged_training_goes_on_where_it_was(tmp_path, monkeypatch):
    from augmind.core import loop

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    monkeypatch.setattr(loop, "SNAPSHOT", 4)
    data, settings = deep(), {"steps": 12, "unfreeze": 0.2, "decay": 0.7}
    whole = learner("finetune", **settings).fit(feed(data), Run(folder=tmp_path))
    run = Run(folder=tmp_path, checkpoints=tmp_path / "part")
    (tmp_path / "part").mkdir()
    told, batch = [], type(feed(data)).batch

    def until(self, t, size, seed):
        told.append(t)
        if len(told) == 10:
            raise KeyboardInterrupt
        return batch(self, t, size, seed)

    with monkeypatch.context() as patch:
        patch.setattr(type(feed(data)), "batch", until)
        with pytest.raises(KeyboardInterrupt):
            learner("finetune", **settings).fit(feed(data), run)
    again = learner("finetune", **settings).fit(feed(data), run)
    assert all(torch.equal(v, whole.state()[k]) for k, v in again.state().items())


def test_decay_slows_the_lower_layers(tmp_path):
    data = deep()
    moved = []
    for decay in (1.0, 0.5):
        model = learner("finetune", decay=decay, steps=4).fit(feed(data), Run(folder=tmp_path))
        before = data.codec.backbone().state_dict()
        moved.append([(body(model)[k] - before[k]).abs().sum().item() for k in ("blocks.0.weight", "out.weight")])
    assert moved[1][0] < 0.5 * moved[0][0] and moved[1][1] > 0.7 * moved[0][1]


def test_adapters_learn_in_place_of_the_backbone_and_are_all_that_is_stored(tmp_path):
    data = deep()
    settings = {"lora": 4, "steps": 12, "unfreeze": 0.2, "decay": 0.8}
    model = learner("finetune", **settings).fit(feed(data), Run(folder=tmp_path))
    own = model.backbone_.module.state_dict()
    for k, v in data.codec.backbone().state_dict().items():
        at, _, leaf = k.rpartition(".")
        assert torch.equal(own.get(k, own.get(f"{at}.base_layer.{leaf}")), v), "base weights stay"
    assert body(model) and all("lora_" in k for k in body(model))
    assert all(v.abs().sum() > 0 for v in body(model).values()), "each adapter has learnt"
    save_tensors(tmp_path / "state.safetensors", model.state())
    restored = learner("finetune", **settings).restore(data, load_tensors(tmp_path / "state.safetensors"))
    assert torch.equal(restored.predict(data.val), model.predict(data.val))
    later = learner("finetune", **settings).fit_from(model.state(), feed(data), Run(folder=tmp_path))
    assert later.predict(data.val).shape == (24, 3)
    again = learner("finetune", **settings).fit(feed(data), Run(folder=tmp_path))
    assert torch.equal(again.predict(data.val), model.predict(data.val))


def test_adapters_at_first_change_nothing_and_fit_the_default_backbone():
    from augmind.modalities.image.backbones.lite0 import Lite0
    from augmind.nn.lora import adapt, adapters

    net, x = Lite0(32), torch.rand(2, 3, 32, 32, generator=stream("x")) * 2 - 1
    with torch.no_grad(), seeded(0):
        before = net.features(x)
        adapt(net.module, 4)
        assert torch.equal(net.features(x), before)
    learning = {n for n, p in net.module.named_parameters() if p.requires_grad}
    assert learning == adapters(net.module.state_dict()).keys() and len(learning) == 64


def test_a_backbone_without_a_layer_for_adapters_is_refused(tmp_path):
    with pytest.raises(UsageError, match="lora=4"):
        learner("finetune", lora=4).fit(feed(toy_data()), Run(folder=tmp_path))


# Labels


def test_labels_map_by_name_and_as_told():
    old, new = ("cat", "dog", "car", "van"), ("vehicle", "dog", "bird", "cat")
    assert label_map("", old, new) == {1: [1], 3: [0]}
    assert label_map("car=vehicle, van=vehicle", old, new) == {0: [2, 3], 1: [1], 3: [0]}
    assert label_map("cat=dog", old, new) == {1: [0]}
    assert label_map("dog=bird,dog=dog", old, new) == {2: [1], 1: [1], 3: [0]}


@pytest.mark.parametrize(("labels", "said"), [("cat", "no pair"), ("cow=dog", "cow"), ("cat=cow", "cow"), ("a=b=c", "no pair")])
def test_labels_that_mean_nothing_are_named(labels, said):
    with pytest.raises(UsageError, match=said):
        label_map(labels, ("cat", "dog"), ("dog", "bird"))


def test_rows_of_the_head_go_to_their_classes():
    own, given = torch.zeros(3, 2), torch.arange(8.0).view(4, 2)
    assert graft(own, given, {0: [3], 2: [0, 1]}).tolist() == [[6.0, 7.0], [0.0, 0.0], [1.0, 2.0]]
    assert graft(own[:, 0], given[:, 1], {1: [2]}).tolist() == [0.0, 5.0, 0.0]


@pytest.mark.parametrize(("old", "new"), [(1, 3), (3, 1), (4, 3)])
def test_a_grid_of_equal_channels_gets_the_answer_that_it_got_before(old, new):
    rng = stream("channels", old, new)
    weight, x = torch.randn((5, old, 3, 3), generator=rng), torch.randn((2, 1, 6, 6), generator=rng)
    before = nn.functional.conv2d(x.expand(-1, old, -1, -1), weight)
    torch.testing.assert_close(nn.functional.conv2d(x.expand(-1, new, -1, -1), rechannelled(weight, new)), before, atol=1e-5, rtol=1e-5)


def test_another_form_is_refused_with_the_tensor_that_differs():
    own = {"a": torch.zeros(3, 2), "b": torch.zeros(4)}
    assert transplant(own, {"a": torch.ones(3, 2), "b": torch.ones(4)}, "file")["a"].sum() == 6
    for given, said in (
        ({"a": torch.zeros(3, 3), "b": torch.zeros(4)}, r"'a' is \(3, 3\) there and \(3, 2\) here"),
        ({"a": torch.zeros(3, 2)}, "the file lacks 'b'"),
        ({**own, "c": torch.zeros(1)}, "this network lacks 'c'"),
    ):
        with pytest.raises(UsageError, match=said):
            transplant(own, given, "file")


# Starting from a saved learner


def first(path, name, data=None, **settings):
    data = data or deep(names=("north", "east", "south"))
    model = learner(name, **settings).fit(feed(data), Run(folder=path, seed=1))
    return model, saved(model, data, path / "model.safetensors")


def test_a_network_starts_where_another_ended(tmp_path):
    """No step is long enough to be seen, so what is left is what was carried over."""
    old, file = first(tmp_path, "cnn")
    data = deep(names=("south", "up", "north"))
    model = learner("cnn", start=file, steps=1, lr=1e-4, weight_decay=1e-4).fit(feed(data), Run(folder=tmp_path, seed=2))
    fresh = learner("cnn", steps=1, lr=1e-4, weight_decay=1e-4).fit(feed(data), Run(folder=tmp_path, seed=2))

    def near(a, b):
        return (a - b).abs().max() < 3e-4

    ours, theirs, other = model.net_.state_dict(), old.net_.state_dict(), fresh.net_.state_dict()
    assert all(near(ours[k], theirs[k]) for k in ours if k.startswith(("stem", "blocks")) and k.endswith("weight"))
    for k in ("head.weight", "head.bias"):
        assert near(ours[k][0], theirs[k][2]) and near(ours[k][2], theirs[k][0]) and near(ours[k][1], other[k][1])
    assert model.knows == {Knowledge.rows, Knowledge.source} and fresh.knows == {Knowledge.rows}


def test_what_was_learnt_before_is_known_at_the_first_step(tmp_path):
    """Rows of the same classes under other names: mapped, one step gives what takes a fresh network many."""
    long = {"steps": 60, "lr": 5e-3}
    _, file = first(tmp_path, "cnn", **long)
    data = deep(names=("a", "b", "c"))
    few = dataclasses.replace(data, train=data.train.take([0, 1, 2]))
    score = []
    for settings in ({}, {"start": file, "labels": "north=a,east=b,south=c"}):
        model = learner("cnn", steps=1, lr=1e-4, **settings).fit(feed(few), Run(folder=tmp_path, seed=3))
        score.append((model.predict(data.val).argmax(1) == data.val.y).float().mean().item())
    assert score[1] > 0.9 > score[0]


@pytest.mark.parametrize(("old", "new"), [((1, 16, 16), (3, 16, 16)), ((3, 16, 16), (1, 20, 12))])
def test_channels_and_sizes_may_differ(old, new, tmp_path):
    _, file = first(tmp_path, "cnn", deep(shape=old))
    data = deep(shape=new)
    assert learner("cnn", start=file).fit(feed(data), Run(folder=tmp_path)).predict(data.val).shape == (24, 3)


def test_finetuning_carries_body_and_logits_of_mapped_classes(tmp_path):
    old, file = first(tmp_path, "finetune")
    data = deep(names=("up", "east", "north"))
    still = {"start": file, "steps": 1, "lr": 1e-5, "head_lr": 1e-5, "weight_decay": 1e-4}
    model = learner("finetune", **still).fit(feed(data), Run(folder=tmp_path))
    assert all((v - body(old)[k]).abs().max() < 1e-4 for k, v in body(model).items())
    z = model._features(data.val.x)
    with torch.no_grad():
        torch.testing.assert_close(model.head_(z)[:, 1:], old.head_(z)[:, [1, 0]], atol=2e-3, rtol=1e-3)
    assert model.knows == {Knowledge.pretrained, Knowledge.source}
    again = learner("finetune", **still | {"start": str(tmp_path / "gone"), "labels": ""}).restore(data, model.state())
    assert torch.equal(again.predict(data.val), model.predict(data.val)), "a saved learner needs its start no more"


def test_finetuning_starts_from_adapters_of_the_same_rank(tmp_path):
    old, file = first(tmp_path, "finetune", lora=4)
    data = deep()
    model = learner("finetune", lora=4, start=file, lr=1e-5, steps=1).fit(feed(data), Run(folder=tmp_path))
    assert all((body(model)[k] - v).abs().max() < 1e-4 for k, v in body(old).items())
    restored = learner("finetune", lora=4, start=file, steps=1).restore(data, model.state())
    assert torch.equal(restored.predict(data.val), model.predict(data.val))
    for settings, said in (({}, "lora=4"), ({"lora": 4, "backbone": "other"}, "belong to the backbone 'lite0@96'")):
        with pytest.raises(UsageError, match=said):
            learner("finetune", start=file, **settings).fit(feed(data), Run(folder=tmp_path))


def test_adapters_may_be_put_on_a_body_from_elsewhere_and_are_stored_with_it(tmp_path):
    old, file = first(tmp_path, "finetune")
    data = deep()
    model = learner("finetune", lora=4, start=file, steps=2).fit(feed(data), Run(folder=tmp_path))
    assert torch.equal(body(model)["out.base_layer.weight"], body(old)["out.weight"])
    restored = learner("finetune", lora=4, start=file, steps=2).restore(data, model.state())
    assert torch.equal(restored.predict(data.val), model.predict(data.val))


def test_pretraining_on_synthetic_rows_may_start_from_elsewhere(tmp_path):
    _, file = first(tmp_path, "cnn")
    data = deep()
    way = make("transfers", Choice(name="pretrain"))
    model = way.train(learner("cnn", start=file), feed(data, synthetic=synthetic(data)), Run(folder=tmp_path))
    assert model.predict(data.val).shape == (24, 3)


def test_a_start_that_cannot_serve_is_refused_in_one_sentence(tmp_path):
    data, run = deep(), Run(folder=tmp_path)
    model, file = first(tmp_path, "cnn")
    bare, broken = tmp_path / "bare.safetensors", tmp_path / "broken.safetensors"
    save_tensors(bare, model.state())
    broken.write_bytes(b"no tensors")
    for name, settings, said in (
        ("cnn", {"start": str(tmp_path / "none")}, "there is no file"),
        ("cnn", {"start": str(broken)}, "can be read"),
        ("cnn", {"start": str(bare)}, "does not say"),
        ("cnn", {"start": file, "width": 24}, "there and"),
        ("cnn", {"start": file, "labels": "west=up"}, "west"),
        ("finetune", {"start": file}, "learnt by 'cnn'"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            learner(name, **settings).fit(feed(data), run)
        assert caught.value.help
    with pytest.raises(UsageError, match="without a start"):
        learner("cnn", labels="a=b")
