"""A language model of a few thousand weights, made on the spot."""

from pathlib import Path

import torch

from augmind.nn.weights import cache_folder
from rows import TOPICS


def tiny_language(folder: Path) -> Path:
    """A random Llama of two layers with a byte-level vocabulary of 300, as a folder of safetensors."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    known = Tokenizer(models.BPE())
    known.pre_tokenizer, known.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    known.train_from_iterator(
        [" ".join(topic) for topic in TOPICS], trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet)
    )
    PreTrainedTokenizerFast(tokenizer_object=known, eos_token="<end>").save_pretrained(folder)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(LlamaConfig(vocab_size=known.get_vocab_size(), eos_token_id=0, **sizes)).save_pretrained(folder)
    return folder


def pulled() -> None:
    """Puts it where "smollm2" is looked for."""
    if not (target := cache_folder() / "smollm2").is_dir():
        tiny_language(target)
