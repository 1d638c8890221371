"""No pickle is ever loaded and no code of a dataset, model or run folder is ever run: planted payloads leave no canary.

All cases run in one process of their own, under an audit hook that writes down every name that a pickle asks for; processes
that it starts have the hook too. The decoders of files, which start without any environment, are watched by the canaries.
"""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augmind.core.store import Store, file_digest
from runs import TINY, folder

HOOK = """
import os, sys
def heard(event, args, log=os.open(os.environ["HEARD"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)):
    if event == "pickle.find_class":
        os.write(log, f"{args[0]}.{args[1]}\\n".encode())
sys.addaudithook(heard)
"""
DRIVER = """
import contextlib, io, json, os, pickle, sys
from pathlib import Path
from augmind import cli
cases, heard = json.load(open(sys.argv[1])), Path(os.environ["HEARD"])
for case in cases:
    err, before = io.StringIO(), len(heard.read_text())
    cli.look.err.file = err  # one console serves all verbs
    code = 0
    os.chdir(case["home"])
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            if case["verb"][0] == "unpickle":
                pickle.loads(Path(case["verb"][1]).read_bytes())
            else:
                cli.main(case["verb"])
        except SystemExit as stop:
            code = stop.code or 0
    case |= {"code": code, "err": err.getvalue(), "heard": heard.read_text()[before:].split()}
    print(json.dumps(case), flush=True)
"""
QUICK = ("--preset", "quick", "--jobs", "0", "--quiet", "--folds", "2", "--seeds", "1")


class Payload:
    """Its pickle, loaded by whoever, makes a file at `canary`."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.canary), "w")


def code(canary: Path) -> str:
    """A module that makes the canary when it is imported."""
    return f"open({str(canary)!r}, 'w')\nclass Model: pass\nConfig = Model\n"


Case = tuple[list[str], int, str]
"""A command, the exit code that is right, and what standard error must say."""
PLANTED: dict[str, Callable[[Path, Path, Path], Case]] = {}
"""By name: a function of (own folder, canary, finished run) that plants a payload."""


def planted(make: Callable[[Path, Path, Path], Case]) -> Callable[[Path, Path, Path], Case]:
    PLANTED[make.__name__] = make
    return make


def plan(data: Path, home: Path, *more: str) -> list[str]:
    return ["expand", str(data), "--out", str(home / "out"), *QUICK, "--dry-run", *more]


def pictures(root: Path) -> Path:
    return folder(root, per_class=8, classes=2)


# Datasets


@planted
def beside_pictures(home: Path, canary: Path, run: Path) -> Case:
    """Every ending by which picklers are known, at the top, in a class folder, and as hidden caches."""
    data = pictures(home / "data")
    for place in (data, data / "digit 0"):
        for ending in ("pkl", "pickle", "pt", "pth", "ckpt", "joblib", "bin", "npy", "h5", "dill", "pyd", "msgpack"):
            (place / f"cache.{ending}").write_bytes(pickle.dumps(Payload(canary)))
    return plan(data, home, "--max-bad", "0.9"), 0, ""


@planted
def pictures_that_are_pickles(home: Path, canary: Path, run: Path) -> Case:
    data = pictures(home / "data")
    for ending in ("png", "jpg", "tif", "webp"):
        (data / "digit 0" / f"x.{ending}").write_bytes(pickle.dumps(Payload(canary)))
    return plan(data, home, "--max-bad", "0.5"), 0, ""


@planted
def a_pickle_as_dataset(home: Path, canary: Path, run: Path) -> Case:
    (home / "data.pkl").write_bytes(pickle.dumps(Payload(canary)))
    return plan(home / "data.pkl", home), 3, "no known kind of dataset"


@planted
def a_checkpoint_as_dataset(home: Path, canary: Path, run: Path) -> Case:
    import torch

    torch.save({"state": Payload(canary)}, home / "data.ckpt")
    return plan(home / "data.ckpt", home), 3, "no known kind of dataset"


@planted
def a_pickle_named_npz(home: Path, canary: Path, run: Path) -> Case:
    (home / "data.npz").write_bytes(pickle.dumps(Payload(canary)))
    return plan(home / "data.npz", home), 3, "cannot be read"


@planted
def a_pickle_named_npy(home: Path, canary: Path, run: Path) -> Case:
    np.save(home / "data.npy", np.array([Payload(canary)] * 4, object), allow_pickle=True)
    return plan(home / "data.npy", home), 3, "no known kind of dataset"


@planted
def npz_with_object_pictures(home: Path, canary: Path, run: Path) -> Case:
    np.savez(home / "data.npz", train_images=np.array([Payload(canary)] * 4, object), train_labels=np.arange(4) % 2)
    return plan(home / "data.npz", home), 3, "holds Python objects"


@planted
def npz_with_object_labels(home: Path, canary: Path, run: Path) -> Case:
    np.savez(home / "data.npz", train_images=np.zeros((4, 8, 8), np.uint8), train_labels=np.array([Payload(canary)] * 4, object))
    return plan(home / "data.npz", home), 3, "holds Python objects"


@planted
def npz_with_an_object_array_that_nobody_needs(home: Path, canary: Path, run: Path) -> Case:
    x = np.random.default_rng(0).integers(0, 255, (16, 8, 8)).astype(np.uint8)
    np.savez(home / "data.npz", train_images=x, train_labels=np.arange(16) % 2, notes=np.array([Payload(canary)], object))
    return plan(home / "data.npz", home), 0, ""


def pack(data: Path, canary: Path) -> list[tuple[str, bytes]]:
    """Files of an archive: pictures, and beside them what WebDataset readers would unpickle."""
    blob = pickle.dumps(Payload(canary))
    files = [(p.relative_to(data).as_posix(), p.read_bytes()) for p in sorted(data.rglob("*.png"))]
    return [*files, *((f"digit 0/0000.{ending}", blob) for ending in ("pkl", "pyd", "pickle", "pth", "npy"))]


@planted
def a_zip_with_pickles(home: Path, canary: Path, run: Path) -> Case:
    with zipfile.ZipFile(home / "data.zip", "w") as z:
        for name, blob in pack(pictures(home / "data"), canary):
            z.writestr(name, blob)
    return plan(home / "data.zip", home), 0, ""


@planted
def a_tar_with_pickles(home: Path, canary: Path, run: Path) -> Case:
    with tarfile.open(home / "data.tar", "w") as t:
        for name, blob in pack(pictures(home / "data"), canary):
            info = tarfile.TarInfo(name)
            info.size = len(blob)
            t.addfile(info, io.BytesIO(blob))
    return plan(home / "data.tar", home), 0, ""


def columns(home: Path) -> dict[str, list[Any]]:
    """Good rows of a table."""
    files = sorted(pictures(home / "data").rglob("*.png"))
    return {"image": [p.read_bytes() for p in files], "label": [p.parent.name for p in files]}


@planted
def parquet_with_pickled_cells(home: Path, canary: Path, run: Path) -> Case:
    import pyarrow as pa
    import pyarrow.parquet as pq

    good, blob = columns(home), pickle.dumps(Payload(canary))
    table = {"image": [*good["image"], blob], "label": [*good["label"], "digit 0"], "extra": [blob] * (len(good["label"]) + 1)}
    pq.write_table(pa.table(table), home / "data.parquet")
    return plan(home / "data.parquet", home), 0, ""


@planted
def parquet_with_a_pickled_type(home: Path, canary: Path, run: Path) -> Case:
    """Old readers unpickled the description of this extension type (CVE-2023-47248)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    meta = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": pickle.dumps(Payload(canary))}
    schema = pa.schema([pa.field("image", pa.binary(), metadata=meta), pa.field("label", pa.string())])
    pq.write_table(pa.table(columns(home), schema=schema), home / "data.parquet")
    return plan(home / "data.parquet", home), 0, ""


def saved(home: Path) -> Path:
    """A folder made by `save_to_disk`."""
    import datasets

    good = columns(home)
    datasets.Dataset.from_dict({"image": [{"bytes": b, "path": None} for b in good["image"]], "label": good["label"]}).cast_column(
        "image", datasets.Image()
    ).save_to_disk(home / "saved")
    return home / "saved"


@planted
def a_saved_dataset_with_a_loading_script(home: Path, canary: Path, run: Path) -> Case:
    root = saved(home)
    for name in ("saved.py", "__init__.py", "dataset.py", "datasets.py", "torch.py"):
        (root / name).write_text(code(canary))
    (root / "cache.pkl").write_bytes(pickle.dumps(Payload(canary)))
    (root / "README.md").write_text(f"---\nconfigs: !!python/object/apply:builtins.open [{str(canary)!r}, w]\n---\n")
    return plan(root, home), 0, ""


@planted
def a_saved_dataset_that_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    root = saved(home)
    for path in root.glob("*.arrow"):
        path.write_bytes(pickle.dumps(Payload(canary)))
    return plan(root, home), 3, "damaged"


@planted
def a_dataset_of_the_hub_with_a_script(home: Path, canary: Path, run: Path) -> Case:
    """In the caches of both libraries, where a download with trust would have left it."""
    cache = Path(os.environ.get("PLANTED_HOME", home)) / "hub" / "datasets--planted--set"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("0" * 40)
    for place in (cache / "snapshots" / ("0" * 40), cache.parents[1] / "modules" / "datasets_modules" / "datasets" / "planted--set" / ("0" * 40)):
        place.mkdir(parents=True)
        for name in ("set.py", "__init__.py"):
            (place / name).write_text(code(canary))
    return ["expand", "planted/set", "--out", str(home / "out"), *QUICK, "--dry-run"], 3, "planted/set"


@planted
def a_dataset_in_whose_folder_the_command_is_given(home: Path, canary: Path, run: Path) -> Case:
    """Modules beside the pictures are named like those that worker processes import; Python would look there first."""
    pictures(home)
    for name in ("torch", "numpy", "json", "PIL", "augmind", "safetensors", "sklearn"):
        (home / f"{name}.py").write_text(code(canary))
    verb = ["expand", str(home), "--out", str(home.parent / "elsewhere"), *QUICK, "--dry-run"]
    verb[verb.index("--jobs") + 1] = "1"
    return verb, 0, ""


# Backbones


def backbone(home: Path, model: str, **more: Any) -> tuple[Path, list[str]]:
    """A model's folder with a configuration, and a run that asks for it."""
    root = home / "model"
    root.mkdir()
    tiny = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 16, "patch_size": 8}
    (root / "config.json").write_text(json.dumps({"model_type": model, **tiny, **more}))
    data = pictures(home / "data")
    return root, ["expand", str(data), "--out", str(home / "out"), *QUICK, "--generators", "vae", "--steps", "vae=50", "--backbone", str(root)]


@planted
def a_backbone_of_pickled_weights(home: Path, canary: Path, run: Path) -> Case:
    root, verb = backbone(home, "vit")
    (root / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(canary)))
    (root / "training_args.bin").write_bytes(pickle.dumps(Payload(canary)))
    return verb, 4, "no backbone that can be opened"


@planted
def a_backbone_whose_index_names_pickles(home: Path, canary: Path, run: Path) -> Case:
    root, verb = backbone(home, "vit")
    (root / "weights.bin").write_bytes(pickle.dumps(Payload(canary)))
    index = {"metadata": {"total_size": 1}, "weight_map": {"embeddings.cls_token": "weights.bin"}}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    return verb, 4, "no backbone that can be opened"


@planted
def a_backbone_of_safetensors_that_are_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    root, verb = backbone(home, "vit")
    (root / "model.safetensors").write_bytes(pickle.dumps(Payload(canary)))
    return verb, 4, "no backbone that can be opened"


@planted
def a_backbone_with_code_of_its_own(home: Path, canary: Path, run: Path) -> Case:
    from safetensors.numpy import save_file

    names = {"AutoConfig": "planted.Config", "AutoModel": "planted.Model"}
    root, verb = backbone(home, "planted", auto_map=names, architectures=["Model"], custom_pipelines={"x": {"impl": "planted.Model"}})
    (root / "planted.py").write_text(code(canary))
    save_file({"a": np.zeros(2, np.float32)}, root / "model.safetensors")
    return verb, 4, "no backbone that can be opened"


# Run folders


def copied(home: Path, run: Path) -> Path:
    return Path(shutil.copytree(run, home / "run"))


def forge(run: Path, pattern: str, blob: bytes) -> None:
    """Replaces a file of a finished stage and its hash in the ledger, as the giver of a run folder can."""
    import sqlite3

    path = next((run / "stages").glob(pattern))
    path.write_bytes(blob)
    files = Store(run).finished()[path.parent.name]["files"] | {path.name: file_digest(path)}
    with sqlite3.connect(run / "run.db") as db:
        db.execute("update stages set files=? where key=?", (json.dumps(files), path.parent.name))
    db.close()
    assert Store(run).damaged() == []


@planted
def a_run_folder_with_pickles_in_it(home: Path, canary: Path, run: Path) -> Case:
    copy, blob = copied(home, run), pickle.dumps(Payload(canary))
    for place in (copy, copy / "stages", copy / "checkpoints", *(p for p in (copy / "stages").iterdir() if p.is_dir())):
        place.mkdir(exist_ok=True)
        for name in ("checkpoint.pkl", "state.pt", "model.joblib"):
            (place / name).write_bytes(blob)
        (place / "sitecustomize.py").write_text(code(canary))
    return ["resume", str(copy), "--quiet"], 0, ""


@planted
def a_run_folder_whose_state_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    copy = copied(home, run)
    next((copy / "stages").glob("train-vae-*/state.safetensors")).write_bytes(pickle.dumps(Payload(canary)))
    return ["sample", str(copy), "--label", "digit 0", "-n", "1"], 1, "changed after they were finished"


@planted
def a_run_folder_whose_forged_state_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    copy = copied(home, run)
    forge(copy, "train-vae-*/state.safetensors", pickle.dumps(Payload(canary)))
    return ["sample", str(copy), "--label", "digit 0", "-n", "1"], 1, "cannot read"


@planted
def a_run_folder_whose_forged_table_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    copy = copied(home, run)
    forge(copy, "prepare-*/rows.parquet", pickle.dumps(Payload(canary)))
    return ["export", str(copy), "--to", "npz", "--out", str(home / "out")], 1, "cannot read"


@planted
def a_run_folder_whose_ledger_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    copy = copied(home, run)
    for path in copy.glob("run.db*"):
        path.unlink()
    (copy / "run.db").write_bytes(pickle.dumps(Payload(canary)) * 20)
    return ["resume", str(copy), "--quiet"], 1, "cannot read"


@planted
def a_run_folder_whose_checkpoint_is_a_pickle(home: Path, canary: Path, run: Path) -> Case:
    """The training that it belongs to has to be made again."""
    copy = copied(home, run)
    store = Store(copy)
    stage = next(n for n in store.finished() if n.startswith("train-vae-"))
    store.forget(stage)
    place = store.checkpoints(copy / "stages" / stage)
    place.mkdir(parents=True)
    for name in ("vae.safetensors", "vae.pkl"):
        (place / name).write_bytes(pickle.dumps(Payload(canary)))
    return ["resume", str(copy), "--quiet"], 0, ""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of every case, and of a control that does unpickle."""
    import augmind

    root = tmp_path_factory.mktemp("payloads")
    options = {**TINY, "seeds": 1, "test": 0.25, "learner": ("probe",), "generators": ("vae",), "steps": {"vae": 50}}
    run = augmind.expand(folder(root / "digits", per_class=8, classes=2), root / "run", **options).folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_HOME", str(root / "hf"))
        cases = []
        for name, make in PLANTED.items():
            home = root / name
            home.mkdir()
            verb, right, says = make(home, root / f"{name}.canary", run)
            cases.append({"name": name, "verb": verb, "home": str(home), "right": right, "says": says})
    (root / "control.pkl").write_bytes(pickle.dumps(Payload(root / "control.canary")))
    cases.append({"name": "control", "verb": ["unpickle", str(root / "control.pkl")], "home": str(root), "right": 0, "says": ""})
    (root / "site").mkdir()
    (root / "site" / "sitecustomize.py").write_text(HOOK)
    (root / "driver.py").write_text(DRIVER)
    (root / "cases.json").write_text(json.dumps(cases))
    (root / "heard").touch()
    path = os.pathsep.join([str(root / "site"), *(p for p in (os.environ.get("PYTHONPATH"),) if p)])
    env = {**os.environ, "PYTHONPATH": path, "HEARD": str(root / "heard"), "OMP_NUM_THREADS": "1", "HF_HOME": str(root / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, str(root / "driver.py"), str(root / "cases.json")], capture_output=True, text=True, env=env)
    found = {case["name"]: case | {"canary": (root / f"{case['name']}.canary").exists()} for case in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {*PLANTED, "control"}, done.stderr[-3000:]
    return found


@pytest.mark.timeout(600)
def test_planted_payloads_are_never_run_and_the_trap_works(outcomes, capsys):
    """All in one test: what comes of them is found out once, whichever process of the suite that is."""
    control, cases = outcomes["control"], {name: case for name, case in outcomes.items() if name != "control"}
    assert control["canary"] and control["heard"] == ["io.open"] and len(cases) >= 12
    assert not {name: case["err"] for name, case in cases.items() if case["canary"] or case["heard"]}, "payloads ran"
    wrong = {n: c for n, c in cases.items() if c["code"] != c["right"] or c["says"] not in c["err"] or "Traceback" in c["err"]}
    assert not wrong and all(c["right"] == 0 or c["err"].startswith("error [") for c in cases.values())
    with capsys.disabled():
        print(f"\n{len(PLANTED)} planted payloads")
