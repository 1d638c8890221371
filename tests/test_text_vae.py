"""The autoencoder of sentences: its vocabulary, its network, what it learns of planted texts, and what it keeps."""

import dataclasses
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from augmind.core.run import Run
from augmind.core.seeds import row_seeds, stream
from augmind.core.tensors import load_tensors, save_tensors
from augmind.core.types import Data, Samples, Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.generators.text_vae import TextVae
from augmind.modalities.text.subwords import Subwords
from augmind.modalities.text.words import words
from augmind.nn.posteriors import divergence
from augmind.nn.sequence import SequenceVae

RUN = Run(folder=Path("unused"), seed=3)
QUICK = {"width": 32, "latent": 8, "batch": 16, "dropout": 0.0}
RIVER, KITCHEN = ["boat", "fish", "water", "bridge", "swan", "reed"], ["bread", "oven", "flour", "sugar", "spoon", "butter"]
PRIORS = ("normal", "flow", "neighbour")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def texts(rows: list[str], y: list[int]) -> Data:
    spec = Spec(kind="tokens", shape=(96,), classes=("river", "kitchen"), bounded=False)
    codec = TextCodec(spec)
    samples = Samples.real(codec.encode(rows), torch.tensor(y))
    return Data(train=samples, val=samples.take([]), spec=spec, codec=codec)


@cache
def planted() -> Data:
    """Sentences of one form; each class has nouns of its own."""
    y = [i % 2 for i in range(32)]
    pick = torch.randint(6, (32, 2), generator=stream("planted")).tolist()
    nouns = (RIVER, KITCHEN)
    return texts([f"The {nouns[k][a]} is near the {nouns[k][b]}." for k, (a, b) in zip(y, pick, strict=True)], y)


@cache
def fitted(**settings) -> TextVae:
    return TextVae(**QUICK | {"steps": 300, "lr": 5e-3, "prior": "flow"} | settings).fit(planted(), RUN)


def like(**settings) -> TextVae:
    """The fitted generator with other settings of drawing."""
    return dataclasses.replace(fitted(), **settings).restore(planted().spec, fitted().state())


def rows_of(generator: TextVae, y: torch.Tensor) -> list[str]:
    return planted().codec.decode(generator.sample(y, row_seeds(len(y), "rows")))


LEARNT = Subwords.learnt(["The cat sat on the mat.", "a cat, a mat"], 400)


@given(st.lists(st.text(), max_size=4))
def test_every_text_comes_back_from_its_tokens(some):
    some = [t.encode(errors="ignore").decode() for t in [*some, "  你好，世界 👩‍👩‍👧 naïve\n\tx ", "", "مرحبا"]]
    assert LEARNT.texts(LEARNT.ids(some)) == some


def test_vocabulary_has_whole_words_of_the_rows_and_comes_back_from_its_tensors():
    ids = LEARNT.ids(["The cat sat"])[0]
    assert [LEARNT.texts([[i]])[0] for i in ids] == ["The", " cat", " sat"]
    again = Subwords.of(*LEARNT.state())
    assert again.pieces == LEARNT.pieces and again.ids(["a mat 世"]) == LEARNT.ids(["a mat 世"])
    assert len(Subwords.learnt(["one two three four five six"] * 3, 260)) <= 260


def net(**changes) -> SequenceVae:
    torch.manual_seed(0)
    return SequenceVae(**{"size": 11, "longest": 9, "classes": 2, "width": 16, "latent": 4, "drop": 0.2} | changes).eval()


@torch.no_grad()
def test_what_is_written_one_by_one_is_what_is_read_at_once():
    own, seen = net(), []
    z, y = torch.randn(5, 4), torch.tensor([0, 1, 0, 1, 1])

    def choose(logits, t):
        seen.append(logits)
        return torch.multinomial(logits.softmax(1), 1)[:, 0]

    tokens = own.write(z, y, choose)
    torch.testing.assert_close(own(z, y, tokens)[:, : len(seen)], torch.stack(seen, 1), atol=1e-5, rtol=1e-4)
    for row in tokens.tolist():
        end = row.index(own.end) if own.end in row else len(row)
        assert set(row[end:]) <= {own.end} and max(row[:end], default=0) < own.end


@torch.no_grad()
def test_decoder_sees_only_what_is_before_and_encoder_no_padding():
    own, z, y = net(), torch.randn(3, 4), torch.tensor([0, 1, 1])
    tokens = torch.randint(11, (3, 7))
    other = tokens.clone()
    other[:, 4] = (other[:, 4] + 1) % 11
    same, changed = own(z, y, tokens) - own(z, y, other), (own(z, y, tokens) - own(z, y, other))[:, 5:]
    assert same[:, :5].abs().max() < 1e-6 and changed.abs().amax(2).min() > 1e-4
    padded = torch.cat([tokens, torch.full((3, 2), own.blank)], 1)
    for a, b in zip(own.posterior(tokens, y), own.posterior(padded, y), strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(own.nll(z, y, padded, 0.0), own.nll(z, y, tokens, 0.0))
    assert not torch.allclose(own.posterior(tokens, y)[0], own.posterior(tokens, 1 - y)[0])


@torch.no_grad()
def test_nats_of_a_network_that_knows_nothing_are_those_of_a_uniform_choice():
    own = net()
    for weight in (own.tokens.weight, own.bias):
        weight.zero_()
    tokens = torch.tensor([[3, 4, own.end, own.blank], [1, own.end, own.blank, own.blank]])
    uniform = 2.5 * torch.log(torch.tensor(12.0))
    torch.testing.assert_close(own.nll(torch.randn(2, 4), torch.tensor([0, 1]), tokens, 0.5), uniform)


def test_a_small_corpus_is_learnt_by_heart():
    rows = ["the swan swims under the old bridge", "sugar and butter go into the flour", "a boat lost its way in the reed", "bake the bread!"]
    vae = TextVae(**QUICK, steps=300, lr=5e-3, hidden=0.1, beta=0.1).fit(texts(rows, [0, 1, 0, 1]), RUN)
    means = vae.posteriors_[0]
    own = vae.net_.write(means, torch.tensor([0, 0, 1, 1]), lambda logits, t: logits.argmax(1))
    assert vae.words_.texts([[i for i in ids if i != vae.net_.end] for ids in own.tolist()]) == [rows[i] for i in (0, 2, 1, 3)]


def test_free_bits_keep_every_dimension_in_use():
    means, log_variances = fitted().posteriors_
    assert divergence(means, log_variances).mean(0).min() > 0.8 * fitted().free and means.var(0).median() > 0.1
    silent, _ = fitted(free=0.0, warmup=0.0, prior="neighbour").posteriors_
    assert silent.var(0).max() < 0.01, "without them the latent says nothing"


@pytest.mark.parametrize("prior", PRIORS)
def test_rows_are_those_of_their_class(prior):
    y = torch.arange(60) % 2
    found = [{0: RIVER, 1: KITCHEN}[k] for k in y.tolist()]
    nouns = [[w for w in words(t) if w in RIVER + KITCHEN] for t in rows_of(like(prior=prior), y)]
    right = [w in own for said, own in zip(nouns, found, strict=True) for w in said]
    assert len(right) > 60 and sum(right) > 0.9 * len(right)
    assert len(set(rows_of(like(prior=prior), y))) > 20


@pytest.mark.parametrize("prior", PRIORS)
def test_a_row_is_a_function_of_its_label_and_seed_and_comes_back_from_a_file(prior, tmp_path):
    vae, y, seeds = like(prior=prior), torch.arange(40) % 2, row_seeds(40, "rows")
    x = vae.sample(y, seeds)
    assert torch.equal(torch.cat([vae.sample(y[i : i + 1], seeds[i : i + 1]) for i in (0, 7, 39)]), x[[0, 7, 39]])
    save_tensors(tmp_path / "state.safetensors", vae.state())
    again = dataclasses.replace(vae).restore(planted().spec, load_tensors(tmp_path / "state.safetensors"))
    assert torch.equal(again.sample(y, seeds), x)
    assert not any(k.startswith("net/encoder") for k in vae.state())


def test_colder_rows_vary_less():
    y = torch.zeros(40, dtype=torch.long)
    cold, hot = (len(set(rows_of(like(**how), y))) for how in ({"temperature": 0.1}, {"temperature": 2.0, "top_p": 1.0}))
    assert cold < hot
