"""Toy datasets for tests: rows as a loader gives them, and ways of copying a grid nearly."""

import dataclasses
import hashlib

import torch
from torch.nn.functional import interpolate, pad

from augmind.core.seeds import stream
from augmind.core.sides import joined
from augmind.core.types import Data, Samples, Spec
from augmind.data.dataset import Dataset, Row
from augmind.modalities.joint.codec import JointCodec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.sides import as_row
from augmind.testing import ToyCodec, toy_data


def dataset(x, y, *, splits=None, groups=None, classes=None, codec=None, kind="continuous", bounded=True):
    """Rows as a loader would give them."""
    n = len(y)
    y = torch.as_tensor(y)
    names = tuple(f"class {k}" for k in range(classes or int(y.max()) + 1))
    spec = Spec(kind=kind, shape=tuple(x.shape[1:]), classes=names, bounded=bounded)
    group = None if groups is None else torch.as_tensor(groups)
    rows = tuple(
        Row(
            id=i,
            source=f"{names[int(y[i])]}/{i:04d}.png",
            label=names[int(y[i])],
            split=splits[i] if splits else "",
            group="" if groups is None else f"g{groups[i]}",
            digest=hashlib.blake2b(x[i].contiguous().numpy().tobytes()).hexdigest(),
            about={"width": x.shape[-1]},
        )
        for i in range(n)
    )
    return Dataset(
        name="toy", samples=Samples.real(x, y, group=group), spec=spec, codec=(codec or ToyCodec)(spec), rows=rows, fingerprint="f", findings=()
    )


def patterns(n, shape=(1, 24, 24), seed=0):
    """Smooth random grids, each unlike the others."""
    coarse = torch.randn((n, shape[0], 6, 6), generator=stream("patterns", seed))
    return (interpolate(coarse, size=shape[1:], mode="bicubic") * 45 + 128).clamp(0, 255).to(torch.uint8)


def noisy(x, seed=0):
    return (x.float() + 6 * torch.randn(x.shape, generator=stream("noise", seed))).clamp(0, 255).to(torch.uint8)


def shifted(x):
    return pad(x.float(), (1, 1, 1, 1), mode="replicate")[..., :-2, 2:].to(torch.uint8)


COPIES = {
    "noise": noisy,
    "shift": shifted,
    "mirror": lambda x: x.flip(-1),
    "brighter": lambda x: (x.float() * 1.2 + 5).clamp(0, 255).to(torch.uint8),
    "darker": lambda x: (x.float() * 0.7).to(torch.uint8),
    "all": lambda x: noisy(shifted(x.flip(-1)).float().mul(0.9).to(torch.uint8)),
}


MANNERS = ["old", "new", "big", "small", "cold", "warm", "quick", "slow", "bright", "dark", "soft", "loud"]
TOPICS = (("river boat water fish", "swims"), ("engine wheel road brake", "drives"), ("flour oven sugar bread", "bakes"))


def sentences(n=24, seed=0):
    """A small learnable dataset of three classes of sentences with hashed features, and as many held-out rows."""
    spec = Spec(kind="tokens", shape=(64,), classes=("river", "road", "kitchen"), bounded=False)
    codec, parts = TextCodec(spec), []
    for part in range(2):
        pick = torch.randint(0, 4, (n, 2), generator=stream("sentences", 2 * seed + part)).tolist()
        y = torch.arange(n) % 3
        texts = []
        for i, (k, (a, b)) in enumerate(zip(y.tolist(), pick, strict=True)):
            nouns, verb = TOPICS[k][0].split(), TOPICS[k][1]
            how = [MANNERS[m] for m in torch.randint(0, len(MANNERS), (3,), generator=stream("manner", seed, part, i)).tolist()]
            texts.append(f"The {how[0]} {nouns[a]} {verb} {how[1]} by the {how[2]} {nouns[b]}, number {i}.")
        x = codec.encode(texts)
        parts.append(Samples.real(x, y).with_features(codec.embed(x)))
    return Data(train=parts[0], val=parts[1], spec=spec, codec=codec)


def pairs(n=24, seed=0, parts=("premise", "hypothesis")):
    """A small learnable dataset of pairs of sentences with hashed features, and as many held-out rows: two on one topic, or on two."""
    spec = Spec(kind="tokens", shape=(128,), classes=("other", "same"), bounded=False, parts=parts)
    codec, parts_ = TextCodec(spec), []
    for part in range(2):
        rng = stream("pairs", 2 * seed + part)
        y, rows = torch.arange(n) % 2, []
        for i, same in enumerate(y.tolist()):
            topic = int(torch.randint(0, len(TOPICS), (), generator=rng))
            rows.append(as_row([said_of(t, rng, i) for t in (topic, topic if same else (topic + 1) % len(TOPICS))]))
        x = codec.encode(rows)
        parts_.append(Samples.real(x, y).with_features(codec.embed(x)))
    return Data(train=parts_[0], val=parts_[1], spec=spec, codec=codec)


def said_of(topic, rng, number):
    """A sentence on a topic, with manners drawn at random."""
    nouns, verb = TOPICS[topic][0].split(), TOPICS[topic][1]
    how = [MANNERS[m] for m in torch.randint(0, len(MANNERS), (2,), generator=rng).tolist()]
    a, b = torch.randint(0, len(nouns), (2,), generator=rng).tolist()
    return f"The {how[0]} {nouns[a]} {verb} by the {how[1]} {nouns[b]}, number {number}."


def joint(n=24, seed=0):
    """A small learnable dataset of grids of colours joined with grids of waves, of three classes, with features, and as many held-out rows."""
    grids, waves = toy_data(n, (1, 16, 16), seed=seed), toy_data(n, (1, 16, 24), seed=seed + 50)
    sides = (
        dataclasses.replace(grids.spec, classes=()),
        dataclasses.replace(waves.spec, classes=(), rate=8000),
    )
    parts = [joined([a.x, b.x]) for a, b in ((grids.train, waves.train), (grids.val, waves.val))]
    spec = Spec(kind="continuous", shape=tuple(parts[0].shape[1:]), classes=grids.spec.classes, parts=("image", "audio"), sides=sides)
    codec = JointCodec(spec, "image=lite0@32")
    train, val = (Samples.real(x, own.y).with_features(codec.embed(x)) for x, own in zip(parts, (grids.train, grids.val), strict=True))
    return Data(train=train, val=val, spec=spec, codec=codec)
