"""The shape of the source itself: layers, words, weight of imports, calls that are never made, size of files."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import augmind
from augmind.core.registry import BASES

ROOT = Path(augmind.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TOP = "augmind."

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"core"}),
    frozenset({"nn", "testing"}),
    frozenset({"modalities"}),
    frozenset({"data", *BASES}),
    frozenset(),  # modules that this table does not name: above the plug-ins, below the faces
    frozenset({"cli", "studio"}),
    frozenset({"__main__"}),
)
ORDER = ("pipeline", "search", "compare", "report", "api", "cli")
"""Each of these may import those before it, never those after it."""

MODALITY = {
    *("image", "images", "picture", "pictures", "pixel", "pixels", "photo", "photos"),
    *("audio", "waveform", "waveforms", "spectrogram", "spectrograms", "speech"),
}
MODAL = {"modalities", "data", "report", "record", "demo", "api", "cli", "studio"}
"""Where those words may stand: what knows the modality, and what speaks with people. ("Sentence" and "text" are not among
the words: every module has messages.)"""
GIVEN = ("pixel_shuffle", "pixel_unshuffle")
"""Names of other libraries that hold such a word."""

HEAVY = {
    "torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "sklearn",
    "PIL",
    "transformers",
    "diffusers",
    "datasets",
    "kornia",
    "matplotlib",
    "cleanlab",
    "torchmetrics",
    "optuna",
    "sqlalchemy",
    "peft",
    "imblearn",
}
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
LONGEST = 400


def part(module: str) -> str:
    """The layer's name for a module: `augmind.nn.unet` is in `nn`."""
    return module.removeprefix(TOP).partition(".")[0]


def rank(module: str) -> int:
    return next((i for i, names in enumerate(LAYERS) if part(module) in names), 4)


def where(file: Path, node: ast.AST | None = None) -> str:
    return f"{file.relative_to(ROOT.parent)}{f':{node.lineno}' if node is not None else ''}"


@pytest.fixture(scope="module")
def imports() -> list[tuple[str, str]]:
    """(importer, imported) for every import inside the package, those inside functions too, those for types alone not."""
    graph = grimp.build_graph("augmind", exclude_type_checking_imports=True, cache_dir=None)
    pairs = [(a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)]
    return sorted((a, b) for a, b in pairs if TOP in a and TOP in b)


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    return {f: ast.parse(f.read_text("utf-8")) for f in FILES}


def test_imports_go_downward_only(imports):
    upward = [f"{a} imports {b}" for a, b in imports if rank(a) < rank(b)]
    late = {name: i for i, name in enumerate(ORDER)}
    upward += [f"{a} imports {b}" for a, b in imports if part(a) in late and part(b) in late and late[part(a)] < late[part(b)]]
    assert not upward, upward


def test_packages_of_one_layer_never_import_each_other(imports):
    sideways = [f"{a} imports {b}" for a, b in imports if part(a) != part(b) and rank(a) == rank(b) != 4]
    assert not sideways, sideways


def test_plugins_never_import_each_other(imports):
    """What two plug-ins of a kind share stands in a file whose name begins with an underscore, or lower down."""

    def plugin(module: str) -> bool:
        *_, kind, name = module.split(".")
        return kind in BASES and not name.startswith("_")

    assert not [f"{a} imports {b}" for a, b in imports if plugin(a) and plugin(b)]


def test_modalities_never_import_each_other(imports):
    both = [(a.split("."), b.split(".")) for a, b in imports if part(a) == part(b) == "modalities"]
    assert not [f"{a} imports {b}" for a, b in both if len(a) > 2 and len(b) > 2 and a[2] != b[2]]


def test_there_is_no_import_cycle(imports):
    below: dict[str, set[str]] = {}
    for a, b in imports:
        below.setdefault(a, set()).add(b)
    assert tuple(TopologicalSorter(below).static_order())


def words(text: str) -> Iterator[str]:
    """Lower-case words of a source file, with names like `read_pixels` and `PixelReader` taken apart."""
    for name in GIVEN:
        text = text.replace(name, "")
    for match in re.finditer(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text):
        yield match.group().lower()


def test_words_are_taken_apart():
    assert list(words("read_pixels PixelReader RGBImage pixel_shuffle")) == ["read", "pixels", "pixel", "reader", "rgb", "image"]


def test_only_modalities_data_and_faces_name_a_modality():
    found = {
        where(f): sorted(said)
        for f in FILES
        if f.relative_to(ROOT).parts[0].removesuffix(".py") not in MODAL and (said := MODALITY & set(words(f.read_text("utf-8"))))
    }
    assert not found, found


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import augmind", "import augmind.cli"])
def test_start_is_light(statement):
    assert not HEAVY & loaded_by(statement)


def test_pipeline_loads_heavy_libraries_only_when_used():
    assert not {"transformers", "datasets", "kornia", "matplotlib", "cleanlab", "torchmetrics"} & loaded_by("import augmind.pipeline")


def dotted(node: ast.AST) -> str:
    """`torch.load` for that expression; only its end where the beginning is not a plain name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def forbidden(call: ast.Call) -> str:
    """Why this call may run foreign code or write outside its folder; empty if it may not."""
    name, flags = dotted(call.func), {k.arg: k.value for k in call.keywords}

    def is_(flag: str, value: bool) -> bool:
        return flag in flags and isinstance(flags[flag], ast.Constant) and flags[flag].value is value

    if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen") or name.endswith((".extractall", "yaml.load", ".unsafe_load")):
        return name
    if name == "torch.load" and not is_("weights_only", True):
        return "torch.load without weights_only=True"
    if name.startswith("torch.hub."):
        return name
    for flag in ("allow_pickle", "trust_remote_code", "shell"):
        if flag in flags and not is_(flag, False):
            return f"{name}({flag}=...)"
    return ""


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "torch.load(f)",
        "torch.load(f, weights_only=flag)",
        "np.load(f, allow_pickle=True)",
        "yaml.load(f)",
        "run(c, shell=True)",
        "z.extractall(p)",
        "A.from_pretrained(n, trust_remote_code=True)",
    ],
)
def test_forbidden_calls_are_seen(code):
    assert forbidden(ast.parse(code).body[0].value)


@pytest.mark.parametrize("code", ["net.eval()", "torch.load(f, weights_only=True)", "np.load(f, allow_pickle=False)", "yaml.safe_load(f)"])
def test_harmless_calls_are_let_by(code):
    assert not forbidden(ast.parse(code).body[0].value)


def test_no_foreign_code_is_ever_run(trees):
    found = [
        f"{where(f, node)}: {reason}"
        for f, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (reason := forbidden(node))
    ]
    assert not found, found


def test_no_pickler_is_imported(trees):
    def roots(node: ast.AST) -> set[str]:
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        return {n.partition(".")[0] for n in names}

    found = [where(f, node) for f, tree in trees.items() for node in ast.walk(tree) if roots(node) & PICKLERS]
    assert not found, found


def silent(node: ast.AST) -> bool:
    """An error caught without a word: a bare except, one whose body does nothing, everything skipped or suppressed."""
    everything = ("Exception", "BaseException")
    if isinstance(node, ast.ExceptHandler):
        skips = (ast.Pass, ast.Continue) if node.type is not None and dotted(node.type) in everything else (ast.Pass,)
        idle = (isinstance(s, skips) or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)) for s in node.body)
        return node.type is None or all(idle)
    if isinstance(node, ast.Call) and dotted(node.func) in ("suppress", "contextlib.suppress"):
        return any(dotted(a) in everything for a in node.args)
    return False


def test_no_error_is_swallowed(trees):
    found = [where(f, node) for f, tree in trees.items() for node in ast.walk(tree) if silent(node)]
    assert not found, found


def test_silent_handlers_are_seen():
    for body in ("try:\n  f()\n except OSError:\n  pass", "try:\n  f()\n except:\n  g()", "try:\n  f()\n except Exception:\n  continue"):
        assert any(map(silent, ast.walk(ast.parse(f"while True:\n {body}"))))
    assert any(map(silent, ast.walk(ast.parse("with suppress(Exception):\n f()"))))
    for body in ("try:\n  f()\n except OSError:\n  x = 1", "try:\n  f()\n except OSError:\n  continue"):
        assert not any(map(silent, ast.walk(ast.parse(f"while True:\n {body}"))))


def test_files_can_be_held_in_mind():
    lengths = {where(f): len(f.read_text("utf-8").splitlines()) for f in FILES}
    assert not {f: n for f, n in lengths.items() if n > LONGEST}


def test_every_module_says_what_it_is(trees):
    assert not [where(f) for f, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


def test_every_code_is_documented():
    """Each finding's and each error's code stands in docs/findings.md, by itself or inside a range."""
    text = (ROOT.parents[1] / "docs" / "findings.md").read_text("utf-8")
    known = set(re.findall(r"[A-Z]+-?\d{3}", text))
    for name, first, last in re.findall(r"([A-Z]+-?)(\d{3}) to [A-Z]+-?(\d{3})", text):
        known |= {f"{name}{i:03d}" for i in range(int(first), int(last) + 1)}
    used = {code for f in FILES for code in re.findall(r"\"((?:AM|USE-|DATA-|ENV-|RUN-|SCREEN-)\d{3})\"", f.read_text("utf-8"))}
    assert used and used <= known, used - known
