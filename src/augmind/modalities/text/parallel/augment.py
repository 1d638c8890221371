"""New pairs out of real ones: noise in the text, texts translated back from translations, and other wordings of texts."""

from collections.abc import Sequence

from augmind.core.errors import UsageError
from augmind.core.plugin import Transform
from augmind.core.registry import make
from augmind.core.seeds import seeded
from augmind.core.types import Choice
from augmind.modalities.text.fewshot import reworded
from augmind.modalities.text.read import length_for
from augmind.modalities.text.rows import rows_of, texts_of

from .decode import translated
from .screens import Candidate
from .translator import Translator
from .vocabulary import Vocabulary

NOISES = ("eda", "typos")
"""Transforms that the arm of classical augmentation may choose from."""
ROOM = 2
"""A text may become so many times as long by noise."""
LONGEST = 200
"""Tokens of a text that a language model is shown."""


def noisy(texts: Sequence[str], targets: Sequence[str], name: str, rows: Sequence[int], seeds: Sequence[int]) -> list[Candidate]:
    """The pairs at `rows` with their texts changed by a transform; each a function of its pair and seed. Translations stay as they are."""
    import torch

    transform: Transform = make("transforms", Choice(name=name))
    out = []
    for row, seed in zip(rows, seeds, strict=True):
        x = rows_of([texts[row]], ROOM * length_for([texts[row]]))
        changed, _ = transform.apply(x, torch.zeros(1, 1), seed)
        out.append(Candidate(text=texts_of(changed)[0].strip(), target=targets[row], row=row))
    return out


def back_translated(
    reverse: Translator, vocabulary: Vocabulary, targets: Sequence[str], rows: Sequence[int], seeds: Sequence[int], temperature: float
) -> list[Candidate]:
    """Texts that `reverse` draws for translations (Sennrich et al. 2016, arXiv:1511.06709); `rows` as in `Candidate`, -1 for monolingual ones."""
    texts = translated(reverse, vocabulary, targets, seeds=seeds, temperature=temperature)
    return [Candidate(text=text, target=target, row=row) for text, target, row in zip(texts, targets, rows, strict=True)]


def back_translated_by(model: str, targets: Sequence[str], rows: Sequence[int], seeds: Sequence[int], top_p: float) -> list[Candidate]:
    """The same by a translation model of `transformers`, from the language of the translations into that of the texts."""
    from augmind.modalities.text.transforms.backtranslation import translated as said

    out = []
    for target, row, seed in zip(targets, rows, seeds, strict=True):
        with seeded(seed):
            text = said(model, target, do_sample=True, top_p=top_p, top_k=0)
        out.append(Candidate(text=text.strip(), target=target, row=row))
    return out


def paraphrased(
    texts: Sequence[str], targets: Sequence[str], rows: Sequence[int], seeds: Sequence[int], *, model: str, temperature: float, top_p: float
) -> list[Candidate]:
    """Pairs whose texts a language model says in other words, each a function of its pair and seed; translations stay as they are.

    It is shown three pairs of English wordings, then the text. What it says may be half as long again as the text.
    """
    from augmind.modalities.text.language import language

    own = language(model)
    cut = {row: own.cut(texts[row], LONGEST) for row in dict.fromkeys(rows)}
    prompts = {row: own.tokens(reworded(text)) for row, text in cut.items()}
    sizes = dict(zip(cut, own.length(list(cut.values())).tolist(), strict=True))
    longest = [int(1.5 * sizes[row]) + 8 for row in rows]
    said = own.lines([prompts[row] for row in rows], seeds, longest=longest, temperature=temperature, top_p=top_p)
    return [Candidate(text=text, target=targets[row], row=row) for row, text in zip(rows, said, strict=True)]


def source(model: str, maker: str) -> str:
    """A hash of a model's files. Raises `MachineError` where it is not on this machine."""
    from augmind.nn.weights import content, needed

    if not model:
        raise UsageError(f"'{maker}' names no model", help=f"add --set {maker}.model=FOLDER, or leave it out")
    return content(needed(model, f"model of '{maker}'"))
