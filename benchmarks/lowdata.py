"""The low-data table: every arm and an oracle with five times more real rows, on Fashion-MNIST and CIFAR-10.

    python -m benchmarks.lowdata --data FOLDER [--per 10 20 50] [--seeds 5] [--learner probe,cnn] [--sets fashion cifar]

FOLDER holds `images/fashion_mnist_small.zip` and `images/cifar10_small.zip` (train/CLASS/*, test/CLASS/*). Each cell is
`augmind expand --preset quick` on rows drawn with its own data seed, tested on 1,000 rows that no cell learns from; the oracle
is the arm "classical" on five times more rows. Prints the share of the oracle's gap (oracle less real) that each arm closes,
with its 95 % t interval over data seeds, and writes the figures as JSON and Markdown, and a picture of them. Finished cells are not repeated.
Expected: about 2 minutes a cell with the probe alone on 2 cores (60 cells with 5 seeds), 5 with the network from scratch.
"""

import argparse
import io
import json
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.stats import t as student

import augmind
from augmind.core.store import atomic_write, write_json

SETS = {"fashion": "fashion_mnist_small.zip", "cifar": "cifar10_small.zip"}
ARMS = ("real", "classical", "synthetic", "synthetic+classical")
TEST_PER_CLASS = 100
MORE = 5


def read(path: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Pictures and labels of each split, ordered by class."""
    found: dict[str, tuple[list[np.ndarray], list[str]]] = {"train": ([], []), "test": ([], [])}
    with zipfile.ZipFile(path) as z:
        for name in sorted(z.namelist()):
            parts = name.split("/")
            if len(parts) == 3 and parts[2]:
                x, y = found[parts[0]]
                x.append(np.asarray(Image.open(io.BytesIO(z.read(name)))))
                y.append(parts[1])
    return {k: (np.stack(x), np.array(y)) for k, (x, y) in found.items()}


def cell_data(rows: dict[str, tuple[np.ndarray, np.ndarray]], per: int, seed: int, out: Path) -> Path:
    """`per` training rows of each class, drawn with a seed, and the fixed test rows, as one .npz."""
    x, y = rows["train"]
    order = np.random.default_rng(1000 + seed).permutation(len(y))
    train = np.concatenate([order[y[order] == k][:per] for k in np.unique(y)])
    tx, ty = rows["test"]
    test = np.concatenate([np.flatnonzero(ty == k)[:TEST_PER_CLASS] for k in np.unique(ty)])
    if not out.exists():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, train_images=x[train], train_labels=y[train], test_images=tx[test], test_labels=ty[test])
        atomic_write(out, buffer.getvalue())
    return out


def run_cell(
    rows: dict, name: str, per: int, seed: int, learners: tuple[str, ...], out: Path, times: tuple[int, ...] = (1, MORE), preset: str = "quick"
) -> dict[str, dict[str, float]]:
    """Balanced accuracy in points by learner and arm, the oracle among them."""
    found: dict[str, dict[str, float]] = {learner: {} for learner in learners}
    for more in times:
        data = cell_data(rows, per * more, seed, out / f"{name}-{per * more}-{seed}.npz")
        options = {"generators": ()} if more > 1 else {}
        run = augmind.expand(data, out / f"run-{name}-{per}x{more}-{seed}", preset=preset, learner=learners, **options)
        note(found, run.record, oracle=more > 1)
    return found


def note(found: dict[str, dict[str, float]], record: dict, *, oracle: bool) -> None:
    """Puts the balanced accuracy of a run's arms, in points, beside what was found; of the oracle's run that of the classical arm."""
    for arm in record["arms"]:
        if arm["learner"] not in found:
            continue
        value = 100 * arm["metrics"]["balanced_accuracy"]["mean"]
        if not oracle:
            found[arm["learner"]][arm["arm"]] = value
        elif arm["arm"] == "classical":
            found[arm["learner"]]["oracle"] = value


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of the 95 % t interval over seeds."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return float(values.mean()), float(half)


def rows_of(name: str, per: int, learner: str, cells: list[dict[str, dict[str, float]]]) -> list[dict[str, object]]:
    """One line per arm: mean, difference to the best classical arm, share of the oracle's gap closed."""
    out = []
    table = {arm: np.array([c[learner][arm] for c in cells]) for arm in (*ARMS, "oracle")}
    gap = table["oracle"] - table["real"]
    for arm, values in table.items():
        mean, half = interval(values)
        d, d_half = interval(values - table["classical"])
        share = float((values - table["real"]).mean() / gap.mean()) if abs(gap.mean()) > 1e-9 else float("nan")
        out.append({"set": name, "per": per, "learner": learner, "arm": arm, "mean": mean, "half": half, "d": d, "d_half": d_half, "share": share})
    return out


def told(name: str, learner: str, cells: list[dict[str, float]], arms: tuple[str, ...]) -> list[dict[str, object]]:
    """One line for each of these arms: mean over data seeds, difference to the best classical arm, and what part of the way to the oracle that is."""
    gap = np.array([c["oracle"] - c["classical"] for c in cells]).mean()
    out: list[dict[str, object]] = []
    for arm in (arm for arm in arms if all(arm in c for c in cells)):
        values, against = (np.array([c[which] for c in cells]) for which in (arm, "classical"))
        (mean, half), (d, d_half) = interval(values), interval(values - against)
        out.append({"set": name, "learner": learner, "arm": arm, "mean": mean, "half": half, "d": d, "d_half": d_half, "share": d / gap})
        line = f"| {name} | {learner} | {arm} | {mean:.1f} ± {half:.1f} | {d:+.1f} ± {d_half:.1f} | {d / gap:+.0%} |"
        print(line, flush=True)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--per", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--learner", default="probe")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--out", type=Path, default=Path(".bench/lowdata"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    learners = tuple(args.learner.split(","))
    for name in args.sets:
        rows = read(args.data / "images" / SETS[name])
        for per in args.per:
            cells = [run_cell(rows, name, per, seed, learners, args.out) for seed in range(args.seeds)]
            for learner in learners:
                new = rows_of(name, per, learner, cells)
                lines += new
                for line in new:
                    print(markdown(line), flush=True)
    write_json(args.out / "lowdata.json", {"seeds": args.seeds, "rows": lines})
    draw(lines, args.out / "lowdata.svg")
    head = [
        "| set | per class | learner | arm | balanced accuracy | against best classical | share of the oracle's gap |",
        "|---|---|---|---|---|---|---|",
    ]
    atomic_write(args.out / "lowdata.md", ("\n".join([*head, *map(markdown, lines)]) + "\n").encode())
    print(json.dumps({"written": str(args.out / "lowdata.md")}))


def draw(lines: list[dict], path: Path) -> None:
    """A panel per set and learner: every arm's balanced accuracy by rows a class, with its interval over data seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = list(dict.fromkeys((line["set"], line["learner"]) for line in lines))
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), squeeze=False, layout="constrained")
    for axis, (name, learner) in zip(axes[0], panels, strict=True):
        for i, arm in enumerate((*ARMS, "oracle")):
            own = [line for line in lines if (line["set"], line["learner"], line["arm"]) == (name, learner, arm)]
            x = [line["per"] * (1 + 0.02 * (i - 2)) for line in own]
            style = {"real": "o-", "classical": "s-", "synthetic": "^--", "synthetic+classical": "D--", "oracle": "x:"}[arm]
            axis.errorbar(x, [line["mean"] for line in own], [line["half"] for line in own], fmt=style, ms=4, lw=1.2, capsize=2, label=arm)
        sizes = sorted({line["per"] for line in lines if line["set"] == name})
        axis.set(xscale="log", title=f"{SETS[name].split('_')[0]}, {learner}", xlabel="real rows a class", ylabel="balanced accuracy, points")
        axis.set_xticks(sizes, [str(s) for s in sizes])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
    axes[0][0].legend(fontsize=8, frameon=False, title=f"oracle: {MORE} times the real rows", title_fontsize=8)
    figure.savefig(path)
    plt.close(figure)


def markdown(line: dict) -> str:
    cells = [line["set"], line["per"], line["learner"], line["arm"]]
    cells += [f"{line['mean']:.1f} ± {line['half']:.1f}", f"{line['d']:+.1f} ± {line['d_half']:.1f}", f"{line['share']:+.0%}"]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
