"""The models that people use, where they are on this machine: `AUGMIND_REAL_MODELS=1 pytest tests/test_real.py`.

They come by `augmind models pull minilm` and `augmind models pull smollm2`.
"""

import os

import pytest
import torch

from augmind.core.run import Run
from augmind.core.types import Samples
from augmind.modalities.text.generators.lm import Lm
from augmind.modalities.text.screens.form import Form
from augmind.nn.weights import located
from rows import sentences

pytestmark = pytest.mark.skipif(os.environ.get("AUGMIND_REAL_MODELS") != "1", reason="asked for by AUGMIND_REAL_MODELS=1 alone")


@pytest.fixture(autouse=True)
def own_models(monkeypatch):
    """The cache of models that this person has, not the empty one of the other tests."""
    monkeypatch.setenv("AUGMIND_CACHE", os.environ["AUGMIND_OWN_CACHE"])


def here(name: str) -> str:
    if located(name) is None:
        pytest.skip(f"augmind models pull {name}")
    return name


def test_minilm_finds_what_is_said_in_other_words():
    from augmind.modalities.text.backbones.select import shared

    said = shared(here("minilm"))(["A man is playing a guitar.", "Someone makes music on a guitar.", "Share prices fell sharply on Monday."])
    alike = torch.nn.functional.cosine_similarity(said[:1], said[1:])
    assert alike[0] > 0.6 > 0.2 > alike[1]


def test_smollm2_writes_rows_that_look_like_texts_each_a_function_of_its_label_and_seed(tmp_path):
    data, run = sentences(12), Run(folder=tmp_path)
    lm = Lm(model=here("smollm2"), prompts=2, examples=4).fit(data, run)
    y, seeds = torch.arange(12) % data.classes, torch.arange(12)
    x = lm.sample(y, seeds)
    assert torch.equal(lm.sample(y[5:7], seeds[5:7]), x[5:7])
    drawn = Samples.synthetic("lm", x, y, seeds)
    assert Form().fit(data, run).score(drawn).mean() > 0.5
    assert len(set(data.codec.decode(x))) > 8
