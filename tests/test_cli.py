"""The command line as a person meets it: help that teaches, errors in one sentence, documented exit codes, nothing lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import augmind
from augmind import cli
from augmind.core.registry import find, names
from runs import TINY, folder

VERBS = ("compare", "demo", "expand", "export", "inspect", "report", "resume", "runs", "sample", "search", "why")


def call(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of a command run in this process."""
    try:
        cli.main([str(a) for a in arguments])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> augmind.Finished:
    data = folder(tmp_path_factory.mktemp("data") / "digits", per_class=8, classes=3)
    return augmind.expand(data, tmp_path_factory.mktemp("runs") / "a", **TINY, generators=("vae",))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb, capsys):
    code, out, _ = call(verb, "--help", capsys=capsys)
    assert code == 0 and f"augmind {verb}" in out
    if verb not in ("demo", "runs"):
        assert "Examples" in out


@pytest.mark.parametrize(("verb", "said"), [("expand", "'*_{}_*'"), ("expand", "'{}/*/*'"), ("translate", "such as '*_{}_*'")])
def test_help_shows_patterns_as_they_are_to_be_written(verb, said, capsys):
    assert said in " ".join(call(verb, "--help", capsys=capsys)[1].replace("│", " ").split())


def test_help_lists_exactly_the_verbs_and_is_quick(capsys):
    _, out, _ = call("--help", capsys=capsys)
    assert all(f"│ {v} " in out for v in VERBS)
    heavy = ("torch", "numpy", "matplotlib", "transformers", "datasets")
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, augmind.cli; print([m for m in {heavy} if m in sys.modules])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "[]"


def one_class(root: Path) -> Path:
    return folder(root / "one", classes=1)


def lonely(root: Path) -> Path:
    data = folder(root / "lonely", classes=2)
    (data / "alone").mkdir()
    Image.new("L", (8, 8), 9).save(data / "alone" / "a.png")
    return data


def empty(root: Path) -> Path:
    (root / "empty").mkdir()
    return root / "empty"


def all_corrupt(root: Path) -> Path:
    for k in "ab":
        (root / "bad" / k).mkdir(parents=True)
        for i in range(3):
            (root / "bad" / k / f"{i}.png").write_text("<html>not a picture")
    return root / "bad"


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda root: root / "nowhere", 3, "nowhere"),
        (empty, 3, "empty"),
        (one_class, 3, "class"),
        (lonely, 3, "alone"),
        (all_corrupt, 3, "not"),
    ],
    ids=["missing", "empty", "one class", "one row", "all corrupt"],
)
def test_unusable_data_is_one_sentence_and_exit_3(make, code, says, tmp_path, capsys):
    got, out, err = call("expand", make(tmp_path), "--out", tmp_path / "r", "--preset", "quick", "--jobs", 0, capsys=capsys)
    assert got == code and says in err and "Traceback" not in out + err and "error [DATA" in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--preset", "fast"], "quick"),
        (["--budget", "soon"], "not a time"),
        (["--generators", "vea"], "did you mean 'vae'"),
        (["--want", "cat"], "NAME=NUMBER"),
        (["--want", "digit 0=²"], "NAME=NUMBER, of 1 or more"),
        (["--steps", "vae=0"], "NAME=NUMBER, of 1 or more"),
        (["--folds", "1"], "folds=1 is not allowed"),
        (["--sede", "1"], "--seed"),
        (["--generators", ","], "names nothing"),
        (["--out", "d/runs/a"], "lies inside the dataset"),
        (["--size", "4"], "size=4 is not allowed"),
        (["--steps", "vea=3"], "did you mean 'vae'"),
        (["--set", "lm.attributes=[shorter,longer]"], "begins like a list and is no JSON"),
        (["--generators", "llm", "--set", 'llm.attributes=["a\\nb"]'], "llm: attributes=['a\\nb'] is not allowed"),
    ],
)
def test_wrong_options_are_exit_2_and_name_the_way_out(arguments, says, tmp_path, capsys, monkeypatch):
    data = folder(tmp_path / "d", per_class=8, classes=3)
    monkeypatch.chdir(tmp_path)
    code, out, err = call("expand", data, *(() if "--out" in arguments else ("--out", tmp_path / "r")), *arguments, capsys=capsys)
    assert code == 2 and says in err and "Traceback" not in out + err


def test_a_corrupt_row_is_set_aside_and_the_run_goes_on(tmp_path, capsys):
    data = folder(tmp_path / "d", per_class=8, classes=3)
    (data / "digit 0" / "notes.png").write_text("I am text")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save(data / "digit 1" / "cmyk.jpg")
    code, _, _ = call("expand", data, "--out", tmp_path / "r", "--preset", "quick", "--jobs", 0, "--dry-run", capsys=capsys)
    from augmind.job import Job

    rows = {r.source: r.status for r in Job(tmp_path / "r").rows}
    assert code == 0 and rows["digit 0/notes.png"] == "corrupt" and rows["digit 1/cmyk.jpg"] == "ok"


def test_an_output_that_cannot_be_written_is_exit_4_or_2(tmp_path, capsys):
    data = folder(tmp_path / "d", per_class=8, classes=3)
    (tmp_path / "file").write_text("mine")
    code, _, err = call("expand", data, "--out", tmp_path / "file", "--jobs", 0, capsys=capsys)
    assert code == 2 and "is not a run folder" in err and (tmp_path / "file").read_text() == "mine"
    code, _, err = call("expand", data, "--out", "/proc/augmind", "--jobs", 0, capsys=capsys)
    assert code == 4 and "cannot write" in err


def test_a_full_disk_is_exit_4_and_freeing_space_continues(tmp_path):
    """The limit on file sizes stands for a full disk: writes beyond it fail as they would there."""
    data, out = folder(tmp_path / "d", per_class=8, classes=3), tmp_path / "r"
    verb = [sys.executable, "-m", "augmind", "expand", str(data), "--out", str(out), "--preset", "quick", "--dry-run"]
    limited = "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (12000, resource.RLIM_INFINITY)); sys.argv = sys.argv[1:]; "
    run = subprocess.run(
        [sys.executable, "-c", limited + "runpy.run_module('augmind', run_name='__main__', alter_sys=True)", *verb[2:]],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 4 and "disk is full" in run.stderr and "Traceback" not in run.stderr, run.stderr
    assert subprocess.run(verb, capture_output=True, text=True).returncode == 0


def test_control_c_keeps_everything_and_the_same_command_continues(tmp_path):
    data, out = folder(tmp_path / "d", per_class=8, classes=3), tmp_path / "r"
    verb = [sys.executable, "-m", "augmind", "expand", str(data), "--out", str(out), "--preset", "quick", "--seeds", "1", "--folds", "2"]
    verb += ["--generators", "vae", "--steps", "vae=20000"]
    process = subprocess.Popen(verb, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((out / "stages").glob("features-*")):
        time.sleep(0.2)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "continues" in err and "Traceback" not in err, err
    from augmind.core.store import Store

    assert any(name.startswith("features") for name in Store(out).finished()) and Store(out).damaged() == []


def test_a_killed_parent_leaves_no_worker_behind(tmp_path):
    data, out = folder(tmp_path / "d", per_class=8, classes=3), tmp_path / "r"
    verb = [
        sys.executable,
        "-m",
        "augmind",
        "expand",
        str(data),
        "--out",
        str(out),
        "--preset",
        "quick",
        "--generators",
        "vae",
        "--steps",
        "vae=20000",
    ]
    process = subprocess.Popen(verb, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list((out / "stages").glob("features-*")):
        time.sleep(0.2)
    children = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and parent(p) == process.pid]
    assert children
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any(alive(c) for c in children):
        time.sleep(0.2)
    assert not any(alive(c) for c in children)


def parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def alive(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}") / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_verbs_that_read_a_run(run, tmp_path, capsys):
    code, out, _ = call("report", run.folder, capsys=capsys)
    assert (code == 0 and "report.html" in out and "Do not use" in out) or "Use" in out
    code, out, _ = call("compare", run.folder, "--json", capsys=capsys)
    assert code == 0 and list(json.loads(out)["runs"]) == [str(run.folder)]
    code, out, _ = call("runs", run.folder.parent, "--json", capsys=capsys)
    assert code == 0 and json.loads(out)[0]["verdict"]["sentence"] == run.verdict["sentence"]
    table = run.table()
    code, out, _ = call("why", f"vae:{table['seed'][0]}", "--run", run.folder, capsys=capsys)
    assert code == 0 and "agreement" in out and "nearest real row: digit" in out
    code, _, err = call("why", "vae:1", "--run", run.folder, capsys=capsys)
    assert code == 2 and "no synthetic row" in err
    code, _, err = call("report", tmp_path, capsys=capsys)
    assert code == 2 and "not a run folder" in err
    code, _, err = call("runs", tmp_path / "nowhere", capsys=capsys)
    assert code == 2 and "not a folder" in err
    started = shutil.copytree(run.folder, tmp_path / "started")
    (started / "report.json").unlink()
    for arguments in (["sample", started, "--label", "digit 0"], ["export", started, "--to", "npz"], ["report", started]):
        code, _, err = call(*arguments, capsys=capsys)
        assert code == 2 and "is not finished" in err


def test_a_damaged_run_is_answered_alike_by_all_that_need_its_files(run, tmp_path, capsys):
    copy = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    page = (copy / "report.html").read_bytes()
    path = next((copy / "stages").glob("draw-vae-*/table.parquet"))
    path.write_bytes(path.read_bytes()[:-50])
    for arguments in (["report", copy], ["export", copy, "--to", "npz"], ["sample", copy, "--label", "digit 1"]):
        code, _, err = call(*arguments, capsys=capsys)
        assert code == 1 and "RUN-004" in err and f"augmind resume {copy}" in err, err
    assert (copy / "report.html").read_bytes() == page


@pytest.mark.parametrize(("name", "way"), [("plan.json", "augmind resume"), ("config.json", "another --out")])
@pytest.mark.parametrize("content", ["{", "[]", '{"seeds": 1}'])
def test_a_damaged_plan_or_configuration_is_told_with_a_way_that_works(run, name, way, content, tmp_path, capsys):
    copy = Path(shutil.copytree(run.folder, tmp_path / "copy"))
    (copy / name).write_text(content)
    for arguments in (["resume", copy], ["export", copy, "--to", "npz"]):
        code, _, err = call(*arguments, capsys=capsys)
        told = " ".join(err.split())
        assert code == 1 and "Traceback" not in err and name in told and way in told, err
    code, out, _ = call("runs", tmp_path, capsys=capsys)
    assert code == 0 and "damaged" in out
    if name == "plan.json" and content == "{":
        (copy / name).unlink()
        assert call("resume", copy, "--quiet", capsys=capsys)[0] == 0
        assert augmind.Finished(copy).verdict == run.verdict


HOSTILE = (":dog:", "[red]plain[/red]", "[/]", "C:\\[x]", "[link=file:///etc]a")


def test_names_are_printed_as_they_are(run, tmp_path, capsys, monkeypatch):
    """Neither markup nor emoji codes in the names of classes, files and folders are interpreted, and no markup is left over."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).integers(0, 255, (50, 8, 8), dtype=np.uint8)
    for i in range(50):
        folder_of = tmp_path / "set [red] :cat:" / HOSTILE[i % 5].replace("/", "-")
        folder_of.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[i]).save(folder_of / f"{i} :dog:.png")
    (tmp_path / "set [red] :cat:" / ":dog:" / "[bold]bad.png").write_text("no picture")
    code, out, _ = call("inspect", "set [red] :cat:", "--out", tmp_path / "p.png", capsys=capsys)
    assert code == 0 and "Health of set [red] :cat:" in out and "[bold]bad.png" in out
    assert all(name.replace("/", "-") in out for name in HOSTILE)
    assert "[cyan]" not in out and "\\[" not in out.replace(HOSTILE[3], "") and "AM101" in out and "info" in out
    for name in (":dog:", "[red]run[/]"):
        shutil.copytree(run.folder, tmp_path / "copies" / name.replace("/", "-"))
    monkeypatch.chdir(tmp_path / "copies")
    code, out, _ = call("compare", ":dog:", "./[red]run[-]", capsys=capsys)
    assert code == 0 and ":dog:" in out and "[red]run[-]" in out
    code, out, _ = call("runs", ".", capsys=capsys)
    assert code == 0 and ":dog:" in out and "[red]run[-]" in out


def test_the_verbs_that_take_from_a_run(run, tmp_path, capsys):
    code, _, err = call("sample", run.folder, "--label", "digit 1", "-n", 2, "--out", tmp_path / "s", capsys=capsys)
    assert code in (0, 5), err
    code, _, err = call("sample", run.folder, "--label", "digit", capsys=capsys)
    assert code == 2 and "did you mean 'digit" in err
    code, _, _ = call("export", run.folder, "--to", "npz", "--out", tmp_path / "e", capsys=capsys)
    assert code == 0 and (tmp_path / "e" / "dataset.npz").is_file()
    code, _, err = call("export", run.folder, "--to", "npz", "--out", tmp_path / "e", capsys=capsys)
    assert code == 2 and "nothing is ever overwritten" in err


def test_public_names_are_these():
    known = ["AugmindError", "Finished", "Resampler", "expand", "inspect", "load", "load_policy", "resume", "runs", "translate"]
    assert augmind.__all__ == sorted(augmind.__all__) == known
    assert all(getattr(augmind, name) for name in augmind.__all__)


# Models that are missing


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("--generators lm", "augmind models pull smollm2"),
        ("--generators lm,feature --set lm.model=someone/absent", "augmind models pull someone/absent"),
        ("--set masked.model=someone/absent", "augmind models pull someone/absent"),
        ("--backbone someone/absent", "augmind models pull someone/absent"),
        ("--target label --set paraphrase.model=smollm2", "augmind models pull smollm2"),
    ],
)
def test_a_missing_model_is_told_before_torch_is_imported(said, told, tmp_path, monkeypatch):
    monkeypatch.setenv("AUGMIND_CACHE", str(tmp_path / "cache"))
    (tmp_path / "d.csv").write_text("text,label\na b,x\n")
    words = ["expand", str(tmp_path / "d.csv"), "--text", "text", "--label", "label", "--out", str(tmp_path / "r"), *said.split()]
    tried = f"try:\n    main({words!r})\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)"
    code = f"import sys; from augmind.cli import main\n{tried}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4 False" and told in done.stderr and not (tmp_path / "r").exists()


def test_what_is_looked_for_early_are_settings_of_parts_and_their_usual_models():
    from augmind.modalities.text.weights import READS, USUAL
    from augmind.parallel.config import MODELS

    for key in READS:
        part, field = key.split(".")
        kinds = [kind for kind in ("generators", "screens", "transforms", "learners") if part in names(kind)]
        usual = find(kinds[0], part).__dataclass_fields__[field].default if kinds else ""
        assert (kinds or key in MODELS) and USUAL.get(key, "") == usual
