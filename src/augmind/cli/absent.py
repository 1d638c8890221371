"""Models that are not on this machine, told before anything slow is imported."""

from importlib import import_module
from pathlib import Path
from typing import Any

from augmind.nn.weights import ROOT, needed, needed_backbone


def refuse_absent(data: Any, options: dict[str, Any]) -> None:
    """Raises `MachineError` with the command that gets it where a model that a run would read is missing, as the run itself would later.

    Where there are no such data, or an option that does not go with the others, the run has more to say and this says nothing.
    """
    said, generators = dict(options.get("set") or {}), options.get("generators") or ()
    if not Path(str(data)).expanduser().exists() or (options.get("target") and (generators or options.get("backbone"))):
        return
    for modality in sorted(path.parent.name for path in (ROOT / "modalities").glob("*/weights.py")):
        table = import_module(f"augmind.modalities.{modality}.weights")
        usual = {key: name for key, name in table.USUAL.items() if key.partition(".")[0] in generators}
        for key, what in table.READS.items():
            name = said.get(key, usual.get(key))
            part = key.partition(".")[0]
            unread = f"{part}.url" in said or (part in table.ASKED and part not in generators)
            if isinstance(name, str) and name and not unread and not name.endswith(table.FILES):
                needed(name, what)
        for part in sorted(name for name in table.CHECKS.keys() & set(generators) if not said.get(f"{name}.model")):
            import_module(f"augmind.modalities.{modality}.{table.CHECKS[part]}").needed()
    needed_backbone(options.get("backbone") or "", bool(options.get("download")))
