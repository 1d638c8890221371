"""A small convolutional or recurrent network over words, trained from scratch or from word vectors that were learnt elsewhere."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from augmind.core.feed import Feed
from augmind.core.loop import cosine, descend
from augmind.core.plugin import Learner
from augmind.core.run import Run
from augmind.core.seeds import in_chunks, seeded
from augmind.core.tune import tune
from augmind.core.types import Data, Knowledge, Samples, Spec
from augmind.modalities.text.codec import TextCodec
from augmind.modalities.text.sides import RELATED, related
from augmind.modalities.text.vectors import Vectors, content_of, place, word_vectors
from augmind.modalities.text.words import words
from augmind.nn.objective import learn

BUCKETS = 2**14
LONGEST = 256
"""Words of a row that are read."""
WIDTHS = (3, 4, 5)
"""Words that a filter sees at once."""


@dataclass(kw_only=True)
class Textcnn(Learner):
    """Word vectors, then filters of three to five words with the maximum over places (Kim 2014, arXiv:1408.5882), or `cell="lstm"`: a bidirectional
    LSTM with the maximum over places; dropout, a linear head. AdamW for `steps` batches, the rate rises for a tenth and falls as a cosine.

    The vector of a word is the mean of those of the word and of its pieces of three to five letters, hashed (arXiv:1607.04606), so words that no row
    had are not strangers. The sides of a pair are read by one network and then compared (`sides.related`). It works on the processor.

    vectors  a file of word vectors (word2vec's or GloVe's text format), or a model whose input embeddings serve as such: what every word begins with,
             brought to `width`; the hashed vectors begin at zero and learn the difference
    content  a hash of what `vectors` names
    """

    kinds: ClassVar[frozenset[str]] = frozenset({"tokens"})
    axes: ClassVar[tuple[int, ...]] = (1,)

    steps: int = tune(400, 1, 20_000, log=True)
    batch: int = tune(32, options=(8, 16, 32, 64))
    width: int = tune(64, options=(16, 32, 64, 128))
    cell: Literal["cnn", "lstm"] = tune("cnn", options=("cnn", "lstm"))
    dropout: float = tune(0.5, 0.0, 0.8)
    lr: float = tune(2e-3, 1e-4, 2e-2, log=True)
    weight_decay: float = tune(1e-2, 1e-4, 1e-1, log=True)
    vectors: str = ""
    content: str = ""

    @property
    def knows(self) -> frozenset[Knowledge]:
        """Where what it knows comes from."""
        return frozenset({Knowledge.pretrained if self.vectors else Knowledge.rows})

    def ready(self) -> None:
        if self.vectors:
            place(self.vectors)

    def source(self) -> str:
        if not self.vectors:
            return ""
        found = content_of(self.vectors)
        word_vectors(self.vectors, self.width, found)
        return found

    def fit(self, feed: Feed, run: Run) -> "Textcnn":
        self.require(feed.spec)
        with seeded(run.seed_for("textcnn", "start")):
            self._build(feed.spec)
        return self._train(feed, run)

    def fit_from(self, state: dict[str, Tensor], feed: Feed, run: Run) -> "Textcnn":
        """`fit`, starting from the learned state of another learner of these settings."""
        self.require(feed.spec)
        self._build(feed.spec)
        self.net_.load_state_dict(state)
        return self._train(feed, run)

    def _build(self, spec: Spec) -> None:
        self.spec_ = spec
        known = word_vectors(self.vectors, self.width, self.content) if self.vectors else None
        self.net_ = Net(spec, self.width, self.cell, self.dropout, known)

    def _train(self, feed: Feed, run: Run) -> "Textcnn":
        net, seed = self.net_.train(), run.seed_for("textcnn", "batches")
        adamw = torch.optim.AdamW(net.parameters(), lr=self.lr, weight_decay=self.weight_decay)

        def step(t: int) -> dict[str, Tensor]:
            batch = feed.batch(t, self.batch, seed)
            with seeded(run.seed_for("textcnn", "dropout", t)):
                return learn(net, net, adamw, feed, batch, t, self.steps)

        def rate(t: int) -> float:
            return cosine(t, self.steps, warmup=self.steps // 10)

        self.curves_ = descend(step, {"net": net, "adamw": adamw}, steps=self.steps, run=run, name="textcnn", rate=rate)
        net.eval()
        return self

    def predict(self, samples: Samples) -> Float[Tensor, "n k"]:
        with torch.no_grad():
            return in_chunks(lambda x: self.net_(x).softmax(1), samples.x, size=128)

    def state(self) -> dict[str, Tensor]:
        return self.net_.state_dict()

    def restore(self, data: Data, state: dict[str, Tensor]) -> "Textcnn":
        self._build(data.spec)
        self.net_.load_state_dict(state)
        self.net_.eval()
        return self


class Net(nn.Module):
    """Rows of bytes in, logits out. `known` are word vectors that stay as they are; the network's own are added to them."""

    def __init__(self, spec: Spec, width: int, cell: str, dropout: float, known: Vectors | None = None) -> None:
        super().__init__()
        self.codec = TextCodec(spec)
        self.vectors = nn.EmbeddingBag(BUCKETS, width, mode="mean")
        nn.init.normal_(self.vectors.weight, std=0.1 if known is None else 0.0)
        self.known = known
        self.dropout = nn.Dropout(dropout)
        self.filters = nn.ModuleList(nn.Conv1d(width, width, k, padding=k - 1) for k in WIDTHS) if cell == "cnn" else None
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True) if cell == "lstm" else None
        found = width * (len(WIDTHS) if cell == "cnn" else 2)
        self.head = nn.Linear(found * (RELATED if self.codec.sides > 1 else 1), len(spec.classes))

    def forward(self, x: UInt8[Tensor, "b length"]) -> Float[Tensor, "b k"]:
        return self.head(self.dropout(related(self._features, self.codec.decode(x), self.codec.sides)))

    def _features(self, texts: list[str]) -> Float[Tensor, "n f"]:
        rows = [words(text.lower())[:LONGEST] or [""] for text in texts]
        pieces = [buckets(w) for row in rows for w in row]
        starts = torch.tensor([0, *map(len, pieces)]).cumsum(0)[:-1]
        flat = self.vectors(torch.tensor([i for word in pieces for i in word]), starts)
        if self.known is not None:
            flat = flat + self.known([w for row in rows for w in row])
        sizes = torch.tensor([len(row) for row in rows])
        seen = nn.utils.rnn.pad_sequence(list(flat.split(sizes.tolist())), batch_first=True)
        blank = torch.arange(seen.shape[1]) >= sizes[:, None]
        return self._read(self.dropout(seen), blank)

    def _read(self, seen: Float[Tensor, "b t w"], blank: Tensor) -> Float[Tensor, "b f"]:
        """The maximum over the words of each row; places after its end count for nothing."""
        if self.lstm is not None:
            packed = nn.utils.rnn.pack_padded_sequence(seen, (~blank).sum(1), batch_first=True, enforce_sorted=False)
            out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
            return out.masked_fill(blank[..., None], -torch.inf).max(1).values
        assert self.filters is not None
        found = []
        for conv, k in zip(self.filters, WIDTHS, strict=True):
            out = conv(seen.transpose(1, 2)).relu()
            beyond = torch.arange(out.shape[2]) >= ((~blank).sum(1) + k - 1)[:, None]
            found.append(out.masked_fill(beyond[:, None], 0.0).max(2).values)
        return torch.cat(found, 1)


@lru_cache(maxsize=2**16)
def buckets(word: str) -> tuple[int, ...]:
    """The rows of the table that a word's vector is made of: its own and those of its pieces."""
    whole = f"<{word}>"
    pieces = {whole[i : i + n] for n in WIDTHS for i in range(len(whole) - n + 1)} - {whole}
    return tuple(zlib.crc32(p.encode()) % BUCKETS for p in (whole, *sorted(pieces)))
