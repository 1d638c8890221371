"""Tokens a second of a language model that writes rows, beside two other ways in the same process.

    python -m benchmarks.writing --data FOLDER [--model smollm2] [--lists 12] [--rows 20] [--threads 1]

FOLDER holds `text/sst2/train.csv`. `--lists` prompts of five rows each are continued by `--rows` rows each, up to 70 tokens. "rows together" is what
`lm` does: rows of all prompts side by side, those that wait in the place of finished ones. "prompt by prompt" reads each prompt once, repeats what
was read for its rows and drops finished rows; "generate" is `transformers`' own, which keeps finished rows until the last one of a prompt.
Figures are processor seconds; quote the ratio. Needs `augmind models pull smollm2`. Expected: 6 minutes on one thread.
"""

import argparse
import random
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from augmind.modalities.text.language import Language, language

LONGEST, TEMPERATURE, TOP_P, EXAMPLES = 70, 0.9, 0.95, 5


def prompts_of(own: Language, table: Path, lists: int) -> list[Tensor]:
    """Lists of rows, as `lm` shows them."""
    rows = pd.read_csv(table)["text"].astype(str).tolist()
    out = []
    for i in range(lists):
        shown = random.Random(i).sample(rows, EXAMPLES)
        told = "".join(f"{j}. {row.strip()}\n" for j, row in enumerate(shown, 1))
        out.append(own.tokens(f"Different texts of one kind: a movie review\n{told}{EXAMPLES + 1}."))
    return out


def together(own: Language, prompts: list[Tensor], rows: int) -> list[str]:
    asked = [p for p in prompts for _ in range(rows)]
    return own.lines(asked, list(range(len(asked))), longest=[LONGEST] * len(asked), temperature=TEMPERATURE, top_p=TOP_P)


@torch.inference_mode()
def by_prompt(own: Language, prompts: list[Tensor], rows: int) -> list[str]:
    """Each prompt read once, its cache repeated, finished rows dropped; the nucleus by a sort."""
    out = list[str]()
    for prompt in prompts:
        first = own.model(prompt[None], use_cache=True, logits_to_keep=1)
        past, logits = deepcopy(first[own.memory]), first.logits[:, -1].repeat(rows, 1)
        past.batch_repeat_interleave(rows)
        written, going = [list[int]() for _ in range(rows)], torch.arange(rows)
        for at in range(LONGEST):
            p, order = (logits / TEMPERATURE).softmax(1).sort(1, descending=True)
            nucleus = p * (p.cumsum(1) - p < TOP_P)
            token = order.gather(1, torch.multinomial(nucleus, 1))[:, 0]
            for row, i in zip(going.tolist(), token.tolist(), strict=True):
                written[row].append(i)
            left = (~own.stops[token]).nonzero()[:, 0]
            if not len(left) or at == LONGEST - 1:
                break
            if len(left) < len(going):
                past.batch_select_indices(left)
                going, token = going[left], token[left]
            where = torch.full((len(token), 1), len(prompt) + at)
            logits = own.model(token[:, None], **{own.memory: past}, position_ids=where, use_cache=True, logits_to_keep=1).logits[:, -1]
        out += [own.tokenizer.decode(ids, skip_special_tokens=True).partition("\n")[0].strip() for ids in written]
    return out


@torch.inference_mode()
def generate(own: Language, prompts: list[Tensor], rows: int) -> list[str]:
    ends = own.stops.nonzero()[:, 0].tolist()
    told = {"do_sample": True, "temperature": TEMPERATURE, "top_p": TOP_P, "top_k": 0, "max_new_tokens": LONGEST, "eos_token_id": ends}
    out = list[str]()
    for prompt in prompts:
        x = own.model.generate(prompt[None], attention_mask=torch.ones_like(prompt)[None], num_return_sequences=rows, pad_token_id=ends[0], **told)
        out += [text.partition("\n")[0].strip() for text in own.tokenizer.batch_decode(x[:, len(prompt) :], skip_special_tokens=True)]
    return out


WAYS: dict[str, Callable[[Language, list[Tensor], int], list[str]]] = {
    "rows together": together,
    "prompt by prompt": by_prompt,
    "generate": generate,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--lists", type=int, default=12)
    parser.add_argument("--rows", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    own = language(args.model)
    prompts = prompts_of(own, args.data / "text" / "sst2" / "train.csv", args.lists)
    n, found = args.lists * args.rows, {}
    print(f"{n} rows after {len(prompts)} prompts of {sum(map(len, prompts)) / len(prompts):.0f} tokens, {args.threads} thread(s)")
    for name, way in WAYS.items():
        torch.manual_seed(0)
        begun = time.process_time()
        texts = way(own, prompts, args.rows)
        seconds = time.process_time() - begun
        tokens = int((own.length(texts) + 1).sum())
        found[name] = tokens / seconds
        print(
            f"{name:18s} {tokens:6d} tokens in {seconds:6.1f} s: {tokens / seconds:5.0f} tokens a second, {1000 * seconds / n:4.0f} s for 1,000 rows "
            f"of {tokens / n:.0f} tokens; rows together are {found['rows together'] / found[name]:.2f} times as fast",
            flush=True,
        )


if __name__ == "__main__":
    main()
