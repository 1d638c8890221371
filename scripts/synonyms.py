"""Builds `modalities/text/tables/synonyms.txt.gz` from the files of WordNet 3.0: one line a synset, its single words.

python scripts/synonyms.py /usr/share/wordnet        # Debian's package wordnet-base
"""

import gzip
import re
import sys
from pathlib import Path

OUT = Path(__file__).parent.parent / "src" / "augmind" / "modalities" / "text" / "tables" / "synonyms.txt.gz"


def synsets(file: Path) -> set[tuple[str, ...]]:
    """The synsets of two single words or more (wndb(5WN): offset, file, kind, hexadecimal count, then word and sense in turn)."""
    out = set()
    for line in file.read_text("ascii").splitlines():
        if line.startswith("  "):
            continue
        fields = line.split(" ")
        count = int(fields[3], 16)
        found = [re.sub(r"\(.*\)$", "", w) for w in fields[4 : 4 + 2 * count : 2]]
        single = sorted({w.lower() for w in found if re.fullmatch(r"[A-Za-z][a-z'-]*", w)})
        if len(single) > 1:
            out.add(tuple(single))
    return out


def main() -> None:
    folder = Path(sys.argv[1])
    lines = sorted({" ".join(s) for kind in ("noun", "verb", "adj", "adv") for s in synsets(folder / f"data.{kind}")})
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    print(f"{len(lines):,} synsets, {OUT.stat().st_size:,} bytes: {OUT}")


if __name__ == "__main__":
    main()
