"""The models that people use, where they are on this machine: `AUGMIND_REAL_MODELS=1 pytest tests/test_real.py`.

They come by `augmind models pull minilm`, `smollm2`, `espeak-ng`, `speech`, `speaker` and `hifigan`.
"""

import os

import pytest
import torch

from augmind.core.errors import UsageError
from augmind.core.run import Run
from augmind.core.types import Samples, Spec
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


def test_espeak_says_words_that_differ_in_voices_that_differ_and_a_text_sounds_the_same_in_any_company():
    from augmind.modalities.audio.speech import Pool, Said, needed

    here("espeak-ng")
    voices = ("en", "en-us+f3", "en-gb-scotland+klatt2", "de+m4", "en+Alex", "en-us+Reed", "en+caleb", "en+a variant that there is not")
    said = [Said(text=text, voice=voice, speed=speed) for voice in voices for text in ("zero", "seven", "?") for speed in (120, 200)]
    one, other = [list(Pool().spoken(some, needed())) for some in (said, said[::-1])]
    assert all(torch.equal(torch.tensor(a), torch.tensor(b)) and rate == 22_050 for (a, rate), (b, _) in zip(one, other[::-1], strict=True))
    loud = {s: wave for s, (wave, _) in zip(said, one, strict=True)}
    assert all(wave.any() == (s.text != "?") for s, wave in loud.items())
    slow, fast = (loud[Said(text="seven", speed=speed)] for speed in (120, 200))
    assert len(slow) > 1.2 * len(fast)
    assert not torch.equal(torch.tensor(loud[said[0]][:2000]), torch.tensor(loud[said[6]][:2000]))
    with pytest.raises(UsageError, match="no voice 'xx'"):
        list(Pool().spoken([Said(text="a", voice="xx")], needed()))


def test_the_same_word_in_other_voices_is_nearest_to_itself():
    """Rows that one half of the draws spoke are the nearest neighbours of the same words from others, far beyond chance."""
    from augmind.modalities.audio.codec import AudioCodec
    from augmind.modalities.audio.generators.tts import Tts

    here("espeak-ng")
    spec = Spec(kind="continuous", shape=(1, 40, 64), classes=tuple(map(str, range(10))), rate=8000)
    made, codec = Tts(), AudioCodec(spec)
    made._built(spec, [[name] for name in spec.classes], ("en", "en-us"))
    y = torch.arange(200) % 10
    x = spec.to_store(made.sample(y, torch.arange(200)))
    z = codec.embed(x)
    z = (z - z[:150].mean(0)) / (z[:150].std(0) + 1e-6)
    nearest = torch.cdist(z[150:], z[:150]).argmin(1)
    assert (y[:150][nearest] == y[150:]).float().mean() > 0.5


def test_the_speech_embedding_answers_as_its_onnx_file_does():
    """Numbers of onnxruntime 1.31 for a fixed input."""
    from augmind.modalities.audio.backbones.speech import Speech

    here("speech")
    net = Speech(Spec(kind="continuous", shape=(1, 40, 64), classes=("a", "b"), bounded=True, rate=8000)).module
    x = 3 * torch.sin(torch.arange(76 * 32).view(1, 1, 76, 32) * 0.37) + 8
    with torch.inference_mode():
        found = net(x)[0, :, 0]
    assert torch.allclose(found[:4], torch.tensor([-3.8492, 10.7088, 20.7066, -12.9246]), atol=1e-3)


def test_the_encoder_of_speakers_answers_as_the_published_code_does():
    """Numbers of the module that its package carries, for a fixed input."""
    from augmind.modalities.audio.backbones._carried import loaded
    from augmind.modalities.audio.backbones.speaker import Net

    here("speaker")
    with torch.inference_mode():
        found = loaded("speaker", Net())((torch.sin(torch.arange(160 * 40).view(1, 160, 40) * 0.37) + 1) / 20)[0]
    assert torch.allclose(found[4:10], torch.tensor([0.10762, 0.00690, 0.0, 0.04320, 0.14342, 0.07875]), atol=1e-4)


def test_the_vocoder_answers_as_the_published_code_does_and_a_hum_comes_back():
    """Numbers of the module that its package carries, for a fixed input."""
    from augmind.modalities.audio.distances import mel_distance
    from augmind.modalities.audio.mel import Mel
    from augmind.modalities.audio.vocoder import installed

    here("hifigan")
    mel = Mel(rate=8000, bands=40, frames=48)
    made = installed(mel)
    assert made is not None
    found = made.generator(3 * torch.sin(torch.arange(80 * 8).view(1, 80, 8) * 0.37) - 4)[0]
    assert torch.allclose(found[1000:1004], torch.tensor([-0.0778, 0.0622, -0.1116, 0.0446]), atol=1e-4)
    t = torch.arange(mel.samples) / mel.rate
    wave = sum(0.2 / k * torch.sin(2 * torch.pi * k * (140 * t + 40 * t**2)) for k in range(1, 12)) * torch.hann_window(mel.samples)
    assert mel_distance(mel, made.decode(mel.encode(wave[None])), wave[None]) < 3
