"""A speech model that samples, with weights drawn at random: Bark, as small as it can be."""

import json
from pathlib import Path
from string import ascii_lowercase

import torch


def tiny(folder: Path) -> Path:
    """Writes it; gives its folder."""
    from transformers import BarkConfig, BarkModel, BertTokenizerFast, EncodecConfig
    from transformers.models.bark import generation_configuration_bark as generation

    folder.mkdir(parents=True)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ascii_lowercase, *(f"##{c}" for c in ascii_lowercase)]
    (folder / "vocab.txt").write_text("\n".join(pieces))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    small = {"block_size": 512, "num_layers": 1, "num_heads": 2, "hidden_size": 8}
    semantic = {"input_vocab_size": 129_600, "output_vocab_size": 10_048, **small}
    coarse = {"input_vocab_size": 12_096, "output_vocab_size": 12_096, **small}
    fine = {"n_codes_total": 4, "n_codes_given": 1, "input_vocab_size": 1056, "output_vocab_size": 1056, **small}
    waves = {"upsampling_ratios": [4, 2, 2, 2], "target_bandwidths": [10.0], "sampling_rate": 8000}
    codec = EncodecConfig(hidden_size=8, num_filters=2, num_lstm_layers=1, **waves)
    torch.manual_seed(0)
    parts = {"semantic_config": semantic, "coarse_acoustics_config": coarse, "fine_acoustics_config": fine, "codec_config": codec.to_dict()}
    net = BarkModel(BarkConfig(**parts))
    for layer in net.codec_model.quantizer.layers:
        layer.codebook.embed.normal_()
    net.save_pretrained(folder)
    ways = (
        generation.BarkSemanticGenerationConfig(max_new_tokens=20, do_sample=True, max_input_semantic_length=16),
        generation.BarkCoarseGenerationConfig(do_sample=True, max_coarse_input_length=32, max_coarse_history=20, sliding_window_len=20),
        generation.BarkFineGenerationConfig(max_fine_input_length=64, max_fine_history_length=32, n_fine_codebooks=4),
    )
    told = generation.BarkGenerationConfig.from_sub_model_configs(*ways).to_dict()
    (folder / "generation_config.json").write_text(json.dumps(told, default=str))
    return folder
