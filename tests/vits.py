"""A speech model with weights drawn at random: every letter is a hum of about a twentieth of a second."""

import json
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import torch


def tiny(folder: Path, *, speakers: int = 1, **tokenizer: Any) -> Path:
    """Writes a VITS model that reads letters, as MMS-TTS does; gives its folder."""
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    folder.mkdir(parents=True)
    (folder / "letters.json").write_text(json.dumps({c: i for i, c in enumerate(f"_{ascii_lowercase} '")}))
    given = {"phonemize": False, "pad_token": "_", "unk_token": "_"} | tokenizer
    VitsTokenizer(str(folder / "letters.json"), **given).save_pretrained(folder)
    (folder / "letters.json").unlink()
    small = {"hidden_size": 16, "num_hidden_layers": 1, "ffn_dim": 16, "flow_size": 8, "spectrogram_bins": 9, "prior_encoder_num_flows": 2}
    layers = {"prior_encoder_num_wavenet_layers": 1, "posterior_encoder_num_wavenet_layers": 1, "duration_predictor_num_flows": 1}
    decoder = {"upsample_initial_channel": 16, "upsample_rates": [8, 8, 4], "upsample_kernel_sizes": [16, 16, 8], "resblock_kernel_sizes": [3]}
    decoder |= {"resblock_dilation_sizes": [[1]], "duration_predictor_filter_channels": 16}
    torch.manual_seed(0)
    voices = {"num_speakers": speakers, "speaker_embedding_size": 8 if speakers > 1 else 0}
    net = VitsModel(VitsConfig(vocab_size=29, speaking_rate=0.5, sampling_rate=16_000, **small, **layers, **decoder, **voices))
    torch.nn.init.normal_(net.decoder.conv_post.weight, std=0.5)
    net.save_pretrained(folder)
    return folder
