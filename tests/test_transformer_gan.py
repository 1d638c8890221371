"""The generator made of attention: what its blocks promise in closed form, that it learns classes, and what sharing shares."""

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softmax

from augmind.core.run import Run
from augmind.core.seeds import row_seeds
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Data, Samples, Spec
from augmind.generators.transformer_gan import TransformerGan
from augmind.nn.attention import HEAD, Attention, Block, Modulated
from augmind.nn.patches import TOKENS, Cut, Join, TokenCritic, TokenDecoder, layout, patch, tokens, width_of
from augmind.testing import toy_data

RUN = Run(folder=Path("unused"), seed=3)
QUICK = {"width": 8, "latent": 8, "batch": 16, "depth": 1}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def test_attention_does_not_know_the_order_of_tokens():
    h, order = torch.randn(3, 12, 32), torch.randperm(12)
    for layer in (Attention(32), Attention(32, spectral=True).eval()):
        torch.testing.assert_close(layer(h[:, order]), layer(h)[:, order])
    block, norms = Block(32), [Modulated(32, 5), Modulated(32, 5)]
    for norm in norms:
        torch.nn.init.normal_(norm.affine.weight)
    style = torch.randn(3, 5)
    torch.testing.assert_close(block(h[:, order], *norms, style), block(h, *norms, style)[:, order])


def test_attention_weighs_tokens_by_their_distance():
    layer, h = Attention(2 * HEAD), torch.randn(2, 5, 2 * HEAD)
    heads = []
    for q, v in zip(layer.query(h).chunk(2, 2), layer.value(h).chunk(2, 2), strict=True):
        heads.append(softmax(-torch.cdist(q, q).square() / HEAD**0.5, 2) @ v)
    torch.testing.assert_close(layer(h), layer.out(torch.cat(heads, 2)), atol=1e-5, rtol=1e-5)


def test_attention_grows_no_steeper_far_out():
    """The slope of dot products grows with the square of the input (arXiv:2006.04710); that by distance does not."""
    layer = Attention(HEAD)
    steep = [torch.autograd.functional.jacobian(layer, size * torch.randn(1, 6, HEAD)).norm() for size in (1.0, 10.0, 100.0, 1000.0)]
    assert max(steep[1:]) < 3 * steep[0]


def test_spectral_normalisation_bounds_every_map_of_the_critic():
    critic = TokenCritic((1, 8, 8), 2, 8, 1, True)
    for _ in range(30):
        critic(torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
    maps = [critic.cut.layer[0].weight, critic.blocks[0].wide.weight, critic.blocks[0].attention.query.weight, critic.score.weight]
    assert [float(torch.linalg.matrix_norm(w.detach().flatten(1), 2)) for w in maps] == pytest.approx([1.0] * 4, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 21), (1, 28, 28), (3, 32, 32), (1, 40, 100), (2, 64, 64), (1, 8, 64), (6,), (500,)])
@pytest.mark.parametrize("bounded", [True, False])
def test_networks_fit_rows_of_any_size(shape, bounded):
    x, y = 3 * torch.randn(2, *shape), torch.tensor([0, 1])
    made = TokenDecoder(shape, 5, 2, 8, 1, bounded, False)(torch.randn(2, 5), y)
    assert made.shape == x.shape and (made.abs().max() <= 1 or not bounded or len(shape) == 1)
    assert TokenCritic(shape, 2, 8, 1, False)(x, y).shape == (2,)
    assert Cut(shape, 16, False)(x).shape == (2, tokens(shape), 16) and Join(shape, 16)(torch.randn(2, tokens(shape), 16)).shape == x.shape


def test_patches_are_few_and_as_fine_as_that_allows():
    assert [patch((1, side, side)) for side in (8, 16, 28, 32, 64)] == [2, 2, 4, 4, 8]
    assert layout((1, 9, 21)) == (5, 11) and all(tokens((1, h, w)) <= TOKENS for h in range(8, 65, 7) for w in range(8, 257, 31))
    assert [width_of(w) for w in (8, 30, 32, 128)] == [16, 64, 64, 256]


def two_classes(shape: tuple[int, ...]) -> Data:
    """Light above or light below, under noise; as vectors light in the first or the second half."""
    rng, y = torch.Generator().manual_seed(1), torch.arange(40) % 2
    x = torch.zeros(40, *shape)
    first, second = x[y == 0], x[y == 1]
    (first.narrow(-2, 0, shape[-2] // 2) if len(shape) == 3 else first.narrow(1, 0, shape[0] // 2)).add_(180)
    (second.narrow(-2, shape[-2] // 2, shape[-2] // 2) if len(shape) == 3 else second.narrow(1, shape[0] // 2, shape[0] // 2)).add_(180)
    x[y == 0], x[y == 1] = first, second
    x = (x + 20 + 15 * torch.randn(x.shape, generator=rng)).clamp(0, 255)
    bounded = len(shape) == 3
    spec = Spec(kind="continuous", shape=shape, classes=("above", "below"), bounded=bounded)
    rows = Samples.real(x.to(torch.uint8) if bounded else x, y)
    return dataclasses.replace(toy_data(), train=rows, val=rows, spec=spec)


@cache
def fitted(shape, share):
    data = two_classes(shape)
    return TransformerGan(**QUICK, steps=200, lr=2e-3, critic_lr=2e-3, share=share).fit(data, RUN), data


each = pytest.mark.parametrize(("shape", "share"), [((1, 8, 8), False), ((1, 8, 8), True), ((10,), False), ((10,), True)])


@each
def test_rows_of_a_class_look_like_it(shape, share):
    gan, data = fitted(shape, share)
    y = torch.arange(60) % 2
    x = gan.sample(y, row_seeds(60, "classes"))
    real = data.spec.to_model(data.train.x)
    means = torch.stack([real[data.train.y == k].mean(0) for k in range(2)])
    near = (x[:, None] - means).square().flatten(2).sum(2).argmin(1)
    assert (near == y).float().mean() > 0.95 and gan.curves_.usable


@each
def test_a_row_is_a_function_of_its_label_and_seed(shape, share):
    gan, _ = fitted(shape, share)
    y, seeds = torch.arange(70) % 2, row_seeds(70, "rows")
    x = gan.sample(y, seeds)
    scale = x.abs().max().item()
    torch.testing.assert_close(gan.sample(y[5:8], seeds[5:8]), x[5:8], atol=1e-5 * scale, rtol=0)
    assert not torch.equal(gan.sample(y[5:8], seeds[15:18]), x[5:8]) and not torch.equal(gan.sample(1 - y[5:8], seeds[5:8]), x[5:8])


@each
def test_saved_and_restored_it_draws_the_very_same_rows(shape, share, tmp_path):
    gan, data = fitted(shape, share)
    save_tensors(tmp_path / "g.safetensors", gan.state())
    again = TransformerGan(**gan.settings()).restore(data.spec, load_tensors(tmp_path / "g.safetensors"))
    y, seeds = torch.arange(20) % 2, row_seeds(20, "again")
    assert torch.equal(again.sample(y, seeds), gan.sample(y, seeds))


@pytest.mark.parametrize("spectral", [False, True])
def test_a_shared_block_is_one_set_of_weights_and_an_unshared_one_two(spectral):
    spec = Spec(kind="continuous", shape=(1, 8, 8), classes=("a", "b"))
    for share in (True, False):
        gan = TransformerGan(**QUICK, share=share, spectral=spectral)
        painter = gan._build(spec)
        critic = gan._critic(spec, painter)
        both = {id(p) for p in painter.parameters()} & {id(p) for p in critic.parameters()}
        blocks = {id(p) for p in critic.blocks.parameters()}
        assert both == (blocks if share else set())
        before = critic(torch.ones(1, 1, 8, 8), torch.tensor([0]))
        with torch.no_grad():
            for weight in painter.decoder.blocks.parameters():
                weight.add_(0.5 * torch.randn(weight.shape))
        assert torch.equal(critic.eval()(torch.ones(1, 1, 8, 8), torch.tensor([0])), before) != share or spectral


def test_shared_blocks_learn_from_the_critic_alone(monkeypatch):
    """With a critic that does not move, the blocks stay as they are, and what is the generator's own learns."""
    data, seen = two_classes((1, 8, 8)), []
    gan = TransformerGan(**QUICK, steps=50, share=True, critic_lr=1e-5)
    built = gan._build(data.spec)
    monkeypatch.setattr(TransformerGan, "_build", lambda self, spec: seen.append(built) or setattr(self, "spec_", spec) or built)
    before = {k: v.clone() for k, v in built.state_dict().items()}
    gan.fit(data, RUN)
    moved = {k: float((v - before[k]).abs().max()) for k, v in built.state_dict().items()}
    assert max(v for k, v in moved.items() if ".blocks." in k) < 1e-3 < 5e-3 < max(v for k, v in moved.items() if ".join." in k)
