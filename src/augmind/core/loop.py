"""The one training loop: progress, checkpoints, a budget, recovery from NaN, and a watchman who may stop it.

Step t is a pure function of (state, seed, t), so a killed training goes on bit-identically from its last checkpoint.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .errors import Diverged
from .run import Finding, Run
from .seeds import stable_seed
from .tensors import load_tensors, save_tensors, tensor_meta

SNAPSHOT = 50
"""Steps between good states kept in memory; losses are looked at (and NaN noticed) as often."""
CHECKPOINT_SECONDS = 15.0
RETRIES = 3


@dataclass
class Curves:
    """How a training went: mean losses per `SNAPSHOT` steps, and what was noticed."""

    steps: int = 0
    planned: int = 0
    seconds: float = 0.0
    rollbacks: int = 0
    points: dict[str, list[float]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    usable: bool = True
    """False when the watchman objected before any state had passed."""


def flatten(parts: Mapping[str, nn.Module | Optimizer]) -> dict[str, Tensor]:
    """The state of modules and optimisers as named tensors, for safetensors."""
    out: dict[str, Tensor] = {}
    for name, part in parts.items():
        if isinstance(part, Optimizer):
            for i, slots in part.state_dict()["state"].items():
                out |= {f"{name}/{i}/{k}": torch.as_tensor(v) for k, v in slots.items()}
        else:
            out |= {f"{name}/{k}": v for k, v in part.state_dict().items()}
    return {k: v.detach().clone() for k, v in out.items()}


def unflatten(parts: Mapping[str, nn.Module | Optimizer], state: Mapping[str, Tensor]) -> None:
    """Puts back what `flatten` took."""
    for name, part in parts.items():
        own = {k[len(name) + 1 :]: v.clone() for k, v in state.items() if k.startswith(name + "/")}
        if isinstance(part, Optimizer):
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in own.items():
                i, _, slot = key.partition("/")
                slots.setdefault(int(i), {})[slot] = value
            part.load_state_dict({"state": slots, "param_groups": part.state_dict()["param_groups"]})
        else:
            part.load_state_dict(own)


def cosine(t: int, steps: int, warmup: int = 50) -> float:
    """A learning-rate factor: linear warm-up, then a half cosine to zero."""
    if t < warmup:
        return (t + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (t - warmup) / max(1, steps - warmup)))


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 arithmetic where the hardware has it, float32 elsewhere."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is fast there."""
    return device.type == "cuda" or (
        device.type == "cpu" and "AVX512" in torch.backends.cpu.get_cpu_capability() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def descend(
    step: Callable[[int], Mapping[str, Tensor]],
    parts: Mapping[str, nn.Module | Optimizer],
    *,
    steps: int,
    run: Run,
    name: str,
    rate: Callable[[int], float] = lambda t: 1.0,
    watch: Callable[[int], Finding | None] | None = None,
    watch_at: tuple[float, ...] = (0.5, 0.75, 1.0),
) -> Curves:
    """Calls `step(t)` for t = 0..steps-1; each call makes one whole update and returns named scalar losses.

    `parts` is everything that changes. `rate(t)` scales every optimiser's own learning rate. A loss or weight that is not
    finite brings back the last good state at half the rate, three times at most, then `Diverged` is raised. `watch(t)`
    looks at the state at these fractions of the way; a finding from it ends the training with the last state that it
    passed. The deadline of `run` ends the training with what there is. A checkpoint that is none of this loop's is ignored.
    """
    curves, started, said = Curves(planned=steps), time.monotonic(), 0.0
    optimisers = [p for p in parts.values() if isinstance(p, Optimizer)]
    base = [[g["lr"] for g in o.param_groups] for o in optimisers]
    scale, t, window = 1.0, 0, []
    file = run.checkpoints / f"{name}.safetensors" if run.checkpoints else None
    saved, passed = started, None
    state = load_tensors(file) if file and file.exists() else {}
    if file and state.keys() >= {"loop/t", "loop/scale", "loop/rollbacks"}:
        unflatten(parts, state)
        t, scale, curves.rollbacks = int(state["loop/t"]), float(state["loop/scale"]), int(state["loop/rollbacks"])
        curves.points = {k[len("loop/curve/") :]: v.tolist() for k, v in state.items() if k.startswith("loop/curve/")}
        curves.findings = [Finding(**f) for f in tensor_meta(file).get("findings", [])]
        passed = {k[len("loop/passed/") :]: v for k, v in state.items() if k.startswith("loop/passed/")} or None
        run.event("resumed", step=t)
    good, good_t = flatten(parts), t
    looks = {max(1, round(f * steps)) for f in watch_at} if watch else set()

    with torch.random.fork_rng(devices=[]):
        while t < steps:
            for optimiser, rates in zip(optimisers, base, strict=True):
                for group, lr in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = lr * rate(t) * scale
            torch.default_generator.manual_seed(stable_seed(run.seed, name, t))
            window.append({k: v.detach() for k, v in step(t).items()})
            t += 1
            if t % SNAPSHOT and t != steps and t not in looks:
                continue
            means = {k: torch.stack([w[k].float() for w in window]).mean().item() for k in window[0]}
            window = []
            if not all(map(math.isfinite, means.values())) or not _finite(parts):
                curves.rollbacks += 1
                if curves.rollbacks > RETRIES:
                    raise Diverged(
                        f"{run.label or name}: the training was not finite at step {t} of {steps} after {RETRIES} attempts at lower rates",
                        help="lower its learning rate, or leave this generator out with --generators",
                    )
                scale *= 0.5
                unflatten(parts, good)
                run.event("rollback", step=t, back_to=good_t, rate_scale=scale)
                text = f"{run.label or name}: not finite at step {t}; went back to step {good_t} at {scale:g} of the learning rate"
                curves.findings.append(Finding("AM201", "warning", text, {"step": t}))
                t = good_t
                continue
            for k, v in means.items():
                curves.points.setdefault(k, []).append(v)
            if t % SNAPSHOT == 0 or t == steps:
                good, good_t = flatten(parts), t
            now = time.monotonic()
            if now - said > 1.0 or t == steps:
                run.progress(t, steps, **{k: round(v, 4) for k, v in means.items()})
                said = now
            if t in looks and watch and (finding := watch(t)):
                curves.findings.append(finding)
                run.event("finding", code=finding.code, text=finding.text)
                curves.usable = passed is not None
                if passed:
                    unflatten(parts, passed)
                break
            if t in looks:
                passed = flatten(parts)
            if file and t % SNAPSHOT == 0 and t < steps and now - saved > CHECKPOINT_SECONDS:
                extra = {"loop/t": torch.tensor(t), "loop/scale": torch.tensor(scale), "loop/rollbacks": torch.tensor(curves.rollbacks)}
                extra |= {f"loop/curve/{k}": torch.tensor(v, dtype=torch.float64) for k, v in curves.points.items()}
                extra |= {f"loop/passed/{k}": v for k, v in (passed or {}).items()}
                save_tensors(file, good | extra, {"findings": [dataclasses.asdict(f) for f in curves.findings]})
                saved = now
            if run.out_of_time() and t < steps:
                text = f"{run.label or name}: the time budget ended at step {t} of {steps}"
                curves.findings.append(Finding("AM202", "warning", text, {"step": t, "planned": steps}))
                break
    for optimiser, rates in zip(optimisers, base, strict=True):
        for group, lr in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = lr
    curves.steps, curves.seconds = t, time.monotonic() - started
    return curves


def _finite(parts: Mapping[str, nn.Module | Optimizer]) -> bool:
    tensors = [p for m in parts.values() if isinstance(m, nn.Module) for p in (*m.parameters(), *m.buffers())]
    norms = [p.detach().abs().max().float() for p in tensors if p.numel() and p.is_floating_point()]
    return not norms or bool(torch.isfinite(torch.stack(norms)).all())
