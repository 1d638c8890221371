"""Pipelines of `diffusers` for tests: of a few thousand weights drawn at random, made on the spot and saved as published ones are."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch

from augmind.modalities.image.pipelines import hushed
from augmind.nn.weights import cache_folder

LABELS = ("cat", "dog", "tench")


def tokenizer(folder: Path) -> Any:
    """CLIP's tokenizer, of single letters."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(i) for i in range(33, 127)]
    known = {piece: i for i, piece in enumerate([*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(known))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=32)


def reader(known: Any, projected: bool = False) -> Any:
    """CLIP's encoder of texts, of one layer."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    ends = {"bos_token_id": known.bos_token_id, "eos_token_id": known.eos_token_id, "pad_token_id": known.pad_token_id}
    size = {"hidden_size": 16, "intermediate_size": 16, "projection_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPTextConfig(vocab_size=len(known), max_position_embeddings=32, **size, **ends)
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def coder(channels: int = 4, **more: Any) -> Any:
    """An autoencoder that halves the sides."""
    from diffusers import AutoencoderKL

    size = {"block_out_channels": (8, 8), "norm_num_groups": 4, "latent_channels": channels, "sample_size": 16}
    return AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, **size, **more)


def stable_diffusion(folder: Path, channels: int = 4, checker: bool = False, **scheduler: Any) -> Any:
    import diffusers

    known = tokenizer(folder / "letters")
    blocks = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
    size = {"block_out_channels": (8, 16), "layers_per_block": 1, "cross_attention_dim": 16, "attention_head_dim": 4, "norm_num_groups": 4}
    net = diffusers.UNet2DConditionModel(sample_size=8, in_channels=channels, out_channels=4, **blocks, **size)
    kind = diffusers.StableDiffusionPipeline if channels == 4 else diffusers.StableDiffusionInpaintPipeline
    return kind(
        vae=coder(),
        unet=net,
        text_encoder=reader(known),
        tokenizer=known,
        scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="trailing", steps_offset=1, **scheduler),
        safety_checker=strict() if checker else None,
        feature_extractor=eye() if checker else None,
        requires_safety_checker=checker,
    )


def strict() -> Any:
    """A safety checker that finds everything unsafe."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    seen = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=seen, projection_dim=8))
    checker.concept_embeds_weights.fill_(-2.0)
    return checker


def eye() -> Any:
    from transformers import CLIPImageProcessor

    return CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})


def flow_matching(folder: Path) -> Any:
    """Stable Diffusion 3, without its third reader of texts."""
    import diffusers

    known = tokenizer(folder / "letters")
    size = {"num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2, "caption_projection_dim": 16, "joint_attention_dim": 32}
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(sample_size=8, patch_size=2, in_channels=16, out_channels=16, pooled_projection_dim=32, **size),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=coder(16, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=reader(known, projected=True),
        tokenizer=known,
        text_encoder_2=reader(known, projected=True),
        tokenizer_2=known,
        text_encoder_3=None,
        tokenizer_3=None,
    )


def two_readers(folder: Path) -> Any:
    """Stable Diffusion XL, whose second reader marks the end of texts in the old way."""
    import diffusers

    known = tokenizer(folder / "letters")
    second = reader(known, projected=True)
    second.config.eos_token_id = 2
    blocks = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
    size = {"block_out_channels": (8, 16), "layers_per_block": 1, "cross_attention_dim": 32, "attention_head_dim": 4, "norm_num_groups": 4}
    more = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 16 + 6 * 4}
    return diffusers.StableDiffusionXLPipeline(
        vae=coder(),
        unet=diffusers.UNet2DConditionModel(sample_size=8, in_channels=4, out_channels=4, **blocks, **size, **more),
        text_encoder=reader(known),
        tokenizer=known,
        text_encoder_2=second,
        tokenizer_2=known,
        scheduler=diffusers.EulerDiscreteScheduler(steps_offset=1),
    )


def packed(folder: Path) -> Any:
    """Flux, whose transformer sees latents as a row of patches."""
    import diffusers
    from transformers import T5Config, T5EncoderModel

    known = tokenizer(folder / "letters")
    size = {"num_layers": 1, "num_single_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2, "joint_attention_dim": 16}
    net = diffusers.FluxTransformer2DModel(in_channels=16, pooled_projection_dim=16, axes_dims_rope=(2, 2, 4), guidance_embeds=True, **size)
    return diffusers.FluxPipeline(
        transformer=net,
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=coder(shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=reader(known),
        tokenizer=known,
        text_encoder_2=T5EncoderModel(T5Config(vocab_size=len(known) + 3, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        tokenizer_2=known,
    )


def unconditional(folder: Path) -> Any:
    import diffusers

    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    size = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4}
    return diffusers.DDPMPipeline(diffusers.UNet2DModel(sample_size=16, **blocks, **size), diffusers.DDPMScheduler())


def labelled(folder: Path) -> Any:
    """A transformer that was trained on classes, whose names its index holds as the published one's does."""
    import diffusers

    size = {"num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 2, "norm_num_groups": 4, "num_embeds_ada_norm": 1000}
    net = diffusers.DiTTransformer2DModel(sample_size=8, patch_size=2, in_channels=4, out_channels=8, **size)
    return diffusers.DiTPipeline(net, coder(), diffusers.DDIMScheduler())


KINDS = {
    "sd": stable_diffusion,
    "sdxl": two_readers,
    "sd3": flow_matching,
    "flux": packed,
    "ddpm": unconditional,
    "dit": labelled,
    "v": lambda folder: stable_diffusion(folder, prediction_type="v_prediction"),
    "inpainting": lambda folder: stable_diffusion(folder, channels=9),
    "checked": lambda folder: stable_diffusion(folder, checker=True),
}


@cache
def tiny(kind: str) -> Path:
    """The folder of such a pipeline, made once a process."""
    folder = cache_folder().parent / "pipelines" / kind
    with torch.random.fork_rng(), hushed():
        torch.manual_seed(0)
        pipe = KINDS[kind](folder.with_name(f"{kind}-parts"))
        pipe.save_pretrained(folder, safe_serialization=True)
    if kind == "dit":
        index = folder / "model_index.json"
        index.write_text(json.dumps(json.loads(index.read_text()) | {"id2label": dict(enumerate(LABELS))}))
    return folder
