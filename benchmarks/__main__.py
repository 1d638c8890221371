"""`make bench`: what the project claims about speed and error rates, measured anew. Each part is a command of its own:

python -m benchmarks.speed       steps, rows and calls per second on one thread
python -m benchmarks.metrics     the metrics beside their peers: time and memory ratios
python -m benchmarks.nulls       false recommendations and power of the verdict (part names as arguments)
python -m benchmarks.lowdata     the low-data table with an oracle (needs datasets: --data FOLDER)
"""

import subprocess
import sys

PARTS = (["benchmarks.speed"], ["benchmarks.metrics"], ["benchmarks.nulls", "real"])


def main() -> None:
    print(__doc__)
    for part in PARTS:
        print(f"\n== python -m {' '.join(part)}", flush=True)
        subprocess.run([sys.executable, "-m", *part], check=True)


main()
