"""A language model behind an OpenAI-compatible endpoint: hosted, vLLM, Ollama, llama.cpp. Replies are kept, so nothing is asked or paid for twice."""

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from augmind.core.errors import MachineError, UsageError, first_line
from augmind.core.run import Finding
from augmind.core.store import atomic_write
from augmind.nn.weights import cache_folder

from .sides import as_row

AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
"""Answers after which a request is made again."""
MOST_WAIT = 20.0
"""Seconds between two tries, at most."""
READY = 10.0
"""Seconds in which an endpoint has to say that it is there."""
KEY = "OPENAI_API_KEY"
"""The environment variable of the key where none is named."""
SLOW = "it takes longer than is waited for"
LARGEST = 2**20
"""Bytes of a reply that are read."""


class Reply(NamedTuple):
    """A line of text, "" for a reply without any, and the tokens that were read and written for it; none where it was known from before."""

    text: str
    read: int
    written: int


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """`url` ends before "/chat/completions"; `key` names the environment variable that holds the key, which is sent there and written nowhere.
    With `sides` a reply is a JSON object of texts by these names, which become one row; with `whole` it is taken as it is, even one that was cut
    off."""

    url: str
    model: str
    key: str = KEY
    tries: int = 5
    seconds: float = 120.0
    together: int = 8
    sides: tuple[str, ...] = ()
    whole: bool = False
    owner: str = "llm"

    def ready(self) -> None:
        """Raises `UsageError` for an address or name that can be none, `MachineError` where nobody answers there."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            way = f"write for example --set {self.owner}.url=http://localhost:11434/v1; a key belongs into the environment"
            raise UsageError(f"'{self.url}' is no address of an endpoint", help=way)
        if self.key != KEY and self.key not in os.environ:
            text = f"the environment variable that --set {self.owner}.key names is not set"
            raise MachineError(text, help=f"export {self.key}=... with the key of {self.url}")
        if not self.model:
            raise UsageError("no model is named for the endpoint", help=f"add --set {self.owner}.model=NAME, as the endpoint calls it")
        try:
            self._call("models", None, READY)
        except HTTPError as error:
            if error.code in (401, 403):
                text = f"the endpoint {self.url} refuses the key in {self.key} ({error.code})"
                raise MachineError(text, help=f"export {self.key}=..., or name another variable by --set {self.owner}.key=NAME") from error
        except ValueError as error:
            text = f"what answers at {self.url} is no endpoint of language models: its reply is no JSON"
            raise MachineError(text, help=f"give the address that ends before /chat/completions by --set {self.owner}.url=URL") from error
        except (URLError, OSError, HTTPException) as error:
            text = f"nobody answers at the endpoint {self.url}: {reason(error)}"
            raise MachineError(text, help=f"start it, or give another address by --set {self.owner}.url=URL") from error

    def replies(self, asked: list[tuple[str, int]], temperature: float, longest: int) -> list[Reply]:
        """What the model says to each prompt, by its seed; from the cache where it was asked before.

        Raises `MachineError` where the endpoint fails for good; what it has said until then is kept.
        """
        with ThreadPoolExecutor(self.together) as pool:
            return list(pool.map(lambda pair: self._reply(pair[0], pair[1], temperature, longest), asked))

    def _reply(self, prompt: str, seed: int, temperature: float, longest: int) -> Reply:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "seed": seed % 2**31,
            "temperature": temperature,
            "max_tokens": longest,
        }
        text = json.dumps(body, sort_keys=True)
        name = hashlib.blake2b(f"{self.url}\0{text}".encode(), digest_size=16).hexdigest()
        file = cache_folder().parent / "replies" / name[:2] / f"{name}.json"
        if (known := kept(file)) is not None:
            return Reply(known, 0, 0)
        answer = self._patiently(text)
        said = message(answer) if self.whole else content(answer, self.sides)
        read, written = used(answer, prompt, said)
        if not said:  # such replies are often the fault of a setting that is mended before the next try
            return Reply("", read, written)
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(file, json.dumps({"asked": body, "said": said, "read": read, "written": written}, ensure_ascii=False).encode())
        return Reply(said, read, written)

    def _patiently(self, text: str) -> Any:
        """What a request is answered with; failures that may pass, and answers that hold no message, are waited for."""
        last = "nothing was asked"
        for attempt in range(self.tries):
            try:
                answer = self._call("chat/completions", text.encode(), self.seconds)
                message(answer)
                return answer
            except HTTPError as error:
                last = f"{error.code} {error.reason}"
                if error.code not in AGAIN:
                    raise MachineError(f"the endpoint {self.url} refuses: {last}", help=f"look at --set {self.owner}.model and the key") from error
                wait = float(told) if (told := error.headers.get("Retry-After", "")).isdigit() else 0.5 * 2**attempt
            except (ValueError, KeyError, IndexError, TypeError):
                last, wait = "its answer is no chat completion", 0.5 * 2**attempt
            except (URLError, OSError, HTTPException) as error:
                late = isinstance(error, TimeoutError) or isinstance(getattr(error, "reason", None), TimeoutError)
                last, wait = SLOW if late else reason(error), 0.5 * 2**attempt
            if attempt + 1 < self.tries:
                time.sleep(min(wait, MOST_WAIT))
        text = f"the endpoint {self.url} failed {self.tries} time{'s' * (self.tries != 1)}: {last}"
        way = f"; one that is slow wants a larger --set {self.owner}.seconds" if last == SLOW else ""
        raise MachineError(text, help=f"the same command goes on from here; replies until now are kept{way}")

    def _call(self, path: str, body: bytes | None, seconds: float) -> Any:
        """One request. Raises `ValueError` for an answer that is no JSON."""
        headers = {"Content-Type": "application/json", "User-Agent": "augmind"}
        if secret := os.environ.get(self.key):
            headers["Authorization"] = f"Bearer {secret}"
        with urlopen(Request(f"{self.url.rstrip('/')}/{path}", data=body, headers=headers), timeout=seconds) as answer:
            return json.loads(read_until(answer, time.monotonic() + seconds))


def read_until(answer: Any, until: float) -> bytes:
    """Up to `LARGEST` bytes of an answer. Raises `TimeoutError` for one that comes in drops and has not ended by then."""
    parts, size = list[bytes](), 0
    while size < LARGEST and (part := answer.read1(LARGEST - size)):
        parts.append(part)
        size += len(part)
        if time.monotonic() > until:
            raise TimeoutError("its answer does not end")
    return b"".join(parts)


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    return first_line(getattr(error, "reason", error))


def kept(file: Path) -> str | None:
    """A reply of an earlier time; None where there is none that can be read."""
    try:
        found = json.loads(file.read_bytes())["said"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def tokens(text: str) -> int:
    """About how many tokens a text has: one for four bytes."""
    return -(-len(text.encode()) // 4)


def used(answer: Any, prompt: str, said: str) -> tuple[int, int]:
    """(read, written) tokens as the answer tells, else about."""
    told = answer.get("usage") if isinstance(answer, dict) else None
    found = [told.get(name) for name in ("prompt_tokens", "completion_tokens")] if isinstance(told, dict) else [None, None]
    about = (tokens(prompt), tokens(said))
    read, written = (n if isinstance(n, int) and n >= 0 else m for n, m in zip(found, about, strict=True))
    return read, written


def message(answer: Any) -> str:
    """What the model says, "" for nothing. Raises `KeyError`, `IndexError` or `TypeError` for an answer of another form."""
    said = answer["choices"][0]["message"]["content"]
    return whole_signs(said) if isinstance(said, str) else ""


def whole_signs(text: str) -> str:
    """Halves of surrogate pairs, which models that cut an emoji in two send, as question marks."""
    return text.encode("utf-8", "replace").decode()


def content(answer: Any, sides: Sequence[str] = ()) -> str:
    """The text of an answer: a JSON string or whole number, or the first line of anything else; "" for an answer of another form or one that
    was cut off. With `sides` the row of a JSON object that has them all."""
    try:
        said, cut = message(answer), answer["choices"][0].get("finish_reason") == "length"
    except (KeyError, IndexError, TypeError, AttributeError):
        return ""
    if cut or not (lines := said.strip().removeprefix("```json").strip("`").strip().splitlines()):
        return ""
    try:
        found, _ = json.JSONDecoder().raw_decode(" ".join(lines)) if sides else (json.loads(lines[0]), 0)
    except ValueError:
        return "" if lines[0].strip().startswith(('"', "{", "<think>")) else lines[0].strip()
    if sides and isinstance(found, dict) and all(isinstance(found.get(name), str) for name in sides):
        return as_row([whole_signs(" ".join(found[name].split())) for name in sides])
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    if isinstance(found, dict) and len(found) == 1 and not sides:  # {"text": "..."}
        found = next(iter(found.values()))
    return whole_signs(" ".join(found.split())) if isinstance(found, str) else ""


def taken(name: str, spent: list[tuple[int, int]], prices: tuple[float, float] = (0.0, 0.0)) -> list[Finding]:
    """AM222: what plug-in `name` has asked for; tokens (read, written) of each reply, both 0 where it was known before; `prices` of a million."""
    new = [pair for pair in spent if any(pair)]
    read, written = sum(r for r, _ in new), sum(w for _, w in new)
    cost = round((read * prices[0] + written * prices[1]) / 1e6, 6)
    about = {"plugin": name, "requests": len(new), "read": read, "written": written, "known": len(spent) - len(new), "cost": cost}
    return [spending([about])] if spent else []


def spending(parts: Sequence[dict[str, Any]]) -> Finding:
    """AM222 of one plug-in from what several of them say."""
    about = {key: sum(p[key] for p in parts) for key in ("requests", "read", "written", "known", "cost")} | {"plugin": parts[0]["plugin"]}
    text = f"{about['plugin']}: {about['requests']:,} requests, {about['read']:,} tokens read and {about['written']:,} written{priced(about['cost'])}"
    old = about["known"]
    return Finding("AM222", "info", text + (f"; {old:,} {'reply was' if old == 1 else 'replies were'} known from before" if old else ""), about)


def priced(cost: float) -> str:
    return f", at the prices given {cost:.2f}" if cost else ""
