"""What a person sees while a run works: pieces done and left, an ETA, and how the piece at hand is going."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .core.pool import Item
from .core.run import Events
from .cost import LENDING, STEP_SECONDS


@runtime_checkable
class Planned(Protocol):
    """All that is asked of a plan: the training steps of each plug-in."""

    @property
    def steps(self) -> dict[str, int]: ...


QUIET_SECONDS = 30.0
"""Between two lines where the output is not a terminal."""


class Display:
    """Listens to the pool and to `events.jsonl`. A live panel on a terminal, one line now and then elsewhere."""

    def __init__(self, console: Console, folder: Path, quiet: bool = False) -> None:
        self.console, self.folder, self.quiet = console, folder, quiet
        self.live = console.is_terminal and not quiet
        self.columns = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.total: TaskID | None = None
        self.tasks: dict[str, TaskID] = {}
        self.weights: dict[str, float] = {}
        self.done: set[str] = set()
        self.best = ""
        self.said = self.started = time.monotonic()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Display":
        if self.live:
            self.columns.start()
            self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop.set()
        if self.live:
            self.thread.join(timeout=2)
            self.columns.stop()

    def expect(self, items: list[Item], plan: Planned) -> None:
        """What is coming, with the weight of each piece for the ETA."""
        self.weights = {i.name: weight(i, plan) for i in items}
        self.started = time.monotonic()
        if self.live:
            self.total = self.columns.add_task("whole run", total=len(items), note="")

    def eta(self) -> str:
        """Time left, from the weight done so far."""
        done = sum(self.weights.get(n, 0.0) for n in self.done)
        if done < 0.02 * sum(self.weights.values()) or not done:
            return ""
        left = (sum(self.weights.values()) - done) * (time.monotonic() - self.started) / done
        return f"about {clock(left)} left"

    def __call__(self, item: Item, state: str) -> None:
        """Called by the pool when a piece starts or ends, and where a tracker was lost."""
        if state.startswith("lost: "):
            self.console.print(f"{item.name} was {state}; the run goes on without it", style="yellow", markup=False)
            return
        if state != "started":
            self.done.add(item.name)
        elif not item.name.startswith("try ") and any(n.startswith("try ") for n in self.done):
            self.done |= {n for n in self.weights if n.startswith("try ")}
        if self.live:
            self._show(item, state)
        elif not self.quiet and state != "started" and time.monotonic() - self.said > QUIET_SECONDS:
            self.said = time.monotonic()
            far = f"{len(self.done & set(self.weights))} of {len(self.weights)} done, last: " if self.weights else "done: "
            told = "; ".join(part for part in (far + item.name, self.best.removesuffix("; "), self.eta()) if part)
            self.console.print(told, style="dim", markup=False)

    def _show(self, item: Item, state: str) -> None:
        if state == "started":
            self.tasks[item.name] = self.columns.add_task(f"  {item.name}", total=None, note="")
        elif item.name in self.tasks:
            self.columns.remove_task(self.tasks.pop(item.name))
        if self.total is not None:
            self.columns.update(self.total, completed=len(self.done & set(self.weights)), note=self.best + self.eta())

    def _follow(self) -> None:
        """Reads new events and moves the bars."""
        events = Events(self.folder)
        while not self.stop.wait(0.3):
            for event in events.new():
                self._event(event)

    def _event(self, event: dict[str, Any]) -> None:
        label = event.get("label", "")
        if event["event"] == "progress" and label.startswith("search "):
            self.best = f"best so far {100 * event['best']:.1f}; "
            return
        names = [n for n in self.tasks if matches(n, label)]
        if event["event"] == "progress" and names:
            extra = {k: v for k, v in event.items() if k not in ("time", "event", "label", "done", "total") and isinstance(v, int | float)}
            note = "  ".join(f"{k} {v:.4g}" for k, v in list(extra.items())[:3])
            self.columns.update(self.tasks[names[0]], completed=event["done"], total=event["total"], note=note)
        elif event["event"] in ("rollback", "finding"):
            self.columns.console.print(f"! {event.get('text', label)}", highlight=False, markup=False)


def matches(name: str, label: str) -> bool:
    """Whether an event's label belongs to a piece of work: the words of the name all stand in the label."""
    words = label.replace(",", " ").replace(":", " ").split()
    first, *rest = name.split()
    if first == "teach":
        return bool(words) and words[0] == rest[0] and all(w in words for w in rest[1:])
    return bool(words) and words[0] == first and all(w in words for w in rest)


def weight(item: Item, plan: Planned) -> float:
    """Expected seconds of a piece of work, for the ETA alone."""
    kind, args = item.name.split()[0], item.args
    name = args.get("generator") or args.get("learner") or ""
    seconds = plan.steps.get(name, 0) * STEP_SECONDS.get(name, 0.0)
    if kind == "train":
        return 0.5 + seconds
    if kind == "teach":
        return 0.6 + seconds
    if kind == "lend":
        return 0.6 + LENDING * seconds
    if kind == "try":
        return 0.7 + seconds
    if kind == "choose":
        return 3.0 + 8 * seconds
    return {"features": 3.0, "draw": 5.0, "views": 3.0, "quality": 3.0}.get(kind, 2.0)


def clock(seconds: float) -> str:
    """65 as "1:05 min", 40 as "40 s", 4000 as "1:07 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, s = divmod(round(seconds), 60)
    return f"{minutes}:{s:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
