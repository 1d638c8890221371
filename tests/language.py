"""Language models for tests: one of a few thousand weights, made on the spot, and one behind an endpoint."""

import json
import random
import threading
import zlib
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch

from augmind.nn.weights import cache_folder
from rows import MANNERS, TOPICS


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


def tiny_encoder(folder: Path, masked: bool = False) -> Path:
    """A random BERT of two layers over letters, as a folder of safetensors; `masked`: with the head of a masked language model."""
    from transformers import BertConfig, BertForMaskedLM, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(known))
    config = BertConfig(vocab_size=len(known), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        (BertForMaskedLM if masked else BertModel)(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def tiny_translator(folder: Path) -> Path:
    """A random BART of one layer with a byte-level vocabulary, as a folder of safetensors."""
    from transformers import AutoTokenizer, BartConfig, BartForConditionalGeneration

    tiny_language(folder)
    size = len(AutoTokenizer.from_pretrained(folder))
    wide = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ends = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0, "forced_eos_token_id": None}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BartForConditionalGeneration(BartConfig(vocab_size=size, encoder_ffn_dim=16, decoder_ffn_dim=16, **wide, **ends)).save_pretrained(folder)
    return folder


@cache
def tiny_rewriters() -> dict[str, dict[str, str]]:
    """Settings of transforms and screens that need models: tiny ones, made once a process."""
    root = cache_folder().parent / "rewriters"
    there, reader = str(tiny_translator(root / "there")), str(tiny_language(root / "reader"))
    masked = str(tiny_encoder(root / "masked", masked=True))
    rewriters = {"masked": {"model": masked}, "backtranslation": {"model": there, "back": there}}
    return rewriters | {"fluency": {"model": reader}, "labeller": {"model": reader}}


def pulled() -> None:
    """Puts it where "smollm2" is looked for."""
    if not (target := cache_folder() / "smollm2").is_dir():
        tiny_language(target)


class Answers(BaseHTTPRequestHandler):
    """Says of each request a sentence that depends on it alone; the server's `script` is gone through first: (status, body) each."""

    def do_GET(self) -> None:
        self._say(200, {"data": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((json.loads(body), dict(self.headers)))
        if self.server.script:
            status, told = self.server.script.pop(0)
        else:
            status, told = 200, said(answer_to(json.loads(body)["messages"][0]["content"], zlib.crc32(body)))
        self._say(status, told)

    def _say(self, status: int, told: object) -> None:
        text = told.encode() if isinstance(told, str) else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def answer_to(prompt: str, seed: int) -> str:
    """A sentence as JSON. Where a kind is asked for, the number of its topic; where pairs are, one of those shown in other manners, of which every
    fifth lacks its second side."""
    if "Of which kind" in prompt:
        text = prompt.rsplit("\n", 1)[1]
        hits = [sum(word in text for word in nouns.split()) for nouns, _ in TOPICS]
        return str(hits.index(max(hits)) + 1)
    if "JSON object" not in prompt:
        return json.dumps(f"The river number {seed} swims.")
    rng, rows = random.Random(seed), json.loads(prompt[prompt.index("\n[") : prompt.rindex("]") + 1])
    told = {name: " ".join(rng.choice(MANNERS) if w in MANNERS else w for w in text.split()) for name, text in rng.choice(rows).items()}
    return json.dumps(dict(list(told.items())[:1]) if seed % 5 == 0 else told)


def said(text: object) -> dict:
    return {"choices": [{"message": {"content": text}}]}


def server(*script: tuple[int, object]) -> ThreadingHTTPServer:
    """An endpoint on a free port of this machine; `asked` holds the requests with their headers."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    made.script, made.asked, made.url = list(script), [], f"http://127.0.0.1:{made.server_port}/v1"
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made


@cache
def answering() -> str:
    """The address of an endpoint that stays up."""
    return server().url
