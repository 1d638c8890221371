"""What the command line says of a run of translations before the work."""

from pathlib import Path
from typing import Any

from .app import err


def foreseen(folder: Path) -> list[Any]:
    """The pieces of work, for the display."""
    from augmind.parallel.conduct import work
    from augmind.parallel.job import Job

    return work(Job(folder), None)


def show_plan(plan: Any, folder: Path) -> None:
    """The plan in a few lines."""
    from augmind.parallel.job import Job
    from augmind.progress import clock

    cost, how = plan.estimates, "given" if plan.mode == "given" else "held out"
    err.print(
        f"plan      {plan.rows:,} pairs to learn from; {plan.test_rows:,} sealed test pairs ({how}); {plan.seeds} seed{'s' * (plan.seeds > 1)} an arm"
    )
    arms = Job(folder).wish.arms
    *first, last = arms["all"]
    err.print(f"make      {plan.synthetic:,} new pairs a seed by {', '.join(first)}, and as many by {last}")
    err.print(f"compare   {', '.join(arms)}; {plan.updates:,} steps each, scored by chrF and BLEU")
    err.print(
        f"expect    about {clock(cost['seconds'])}, {cost['disk_mb']:.0f} MB of disk, {cost['memory_mb'] / 1000:.1f} GB of memory; all in {folder}"
    )
    for note in plan.notes:
        err.print(f"note      {note}")
