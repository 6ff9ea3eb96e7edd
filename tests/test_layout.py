"""The rooms and the arrows between them, read off the sources and off a running interpreter."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from support import REPOSITORY

from hfvae.datasets import DATASETS
from hfvae.hub import bundled_names
from hfvae.probability.likelihoods import LIKELIHOODS
from hfvae.probability.posteriors import POSTERIORS
from hfvae.probability.priors import PRIORS

PACKAGE = REPOSITORY / "hfvae"
# Which rooms a room may import; a folder is a room.
ARROWS: dict[str, set[str]] = {
    "allocator": set(),
    "idx": set(),
    "sketch": set(),
    "tensors": set(),
    "version": set(),
    "networks": {"tensors"},
    "arguments": {"networks"},
    "datasets": {"networks"},
    "hub": {"datasets", "version"},
    "images": {"datasets", "networks"},
    "probability": {"arguments", "datasets", "networks", "tensors"},
    "data": {"datasets", "idx", "probability"},
    "models": {"arguments", "datasets", "hub", "networks", "probability", "tensors"},
    "inference": {"datasets", "images", "models", "probability"},
    "zoo": {"models"},
    "evaluation": {"data", "inference", "models", "probability"},
    "export": {"inference", "models", "version"},
    "demo": {
        *("allocator", "evaluation", "hub", "idx", "images", "inference", "models", "networks"),
        *("probability", "sketch", "zoo"),
    },
    "training": {"data", "evaluation", "hub", "inference", "models", "probability", "tensors"},
    "cli": {
        *("allocator", "data", "demo", "evaluation", "export", "hub", "inference", "models", "probability"),
        *("training", "version", "zoo"),
    },
    "__main__": {"cli"},
}
HEAVY = {
    "lightning": {"data", "training", "cli"},
    "torchvision": {"data/readers.py"},
    "gradio": {"demo", "cli"},
}
DESIGN = REPOSITORY / "docs" / "design.md"
TABLES = {
    "probability/likelihoods.py": LIKELIHOODS,
    "probability/priors.py": PRIORS,
    "probability/posteriors.py": POSTERIORS,
    "datasets.py": DATASETS,
}
MAX_FILE, MAX_FUNCTION = 350, 60
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def named(path: Path) -> str:
    return ".".join(("hfvae", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """The modules that a module imports, by their full names, and whether at its top."""
    tree = ast.parse(path.read_text())
    package = named(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree):
        top = node in tree.body
        if isinstance(node, ast.Import):
            yield from ((alias.name, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            submodules = {alias.name for alias in node.names if f"{module}.{alias.name}" in NAMES}
            yield from ((f"{module}.{name}", top) for name in submodules)
            if len(submodules) < len(node.names):
                yield module, top


NAMES = {named(path) for path in MODULES}


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name, _ in imports(path) if name.startswith("hfvae.")} - {room(path)}


def diagram() -> str:
    """The rooms as Mermaid text, an arrow from each to those it imports; one that a longer way implies is left out."""
    reached: dict[str, set[str]] = {}

    def reach(start: str) -> set[str]:
        if start not in reached:
            reached[start] = ARROWS[start].union(*map(reach, ARROWS[start]))
        return reached[start]

    lines = ["```mermaid", "flowchart TD"]
    for start in sorted(ARROWS):
        implied = set().union(*map(reach, ARROWS[start]))
        lines += [f"  {start} --> {end}" for end in sorted(ARROWS[start] - implied)]
    return "\n".join([*lines, "```"])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_point_down(path: Path) -> None:
    imported = [name for name, _ in imports(path)]
    assert rooms_imported(path) <= ARROWS[room(path)]
    for package, allowed in HEAVY.items():
        if package in {name.split(".")[0] for name in imported}:
            assert {room(path), str(path.relative_to(PACKAGE))} & allowed, f"{package} is not for {path.name}"


def test_every_arrow_is_used() -> None:
    used = {name: set().union(*(rooms_imported(path) for path in MODULES if room(path) == name)) for name in ARROWS}
    assert used == ARROWS


def test_the_picture_of_the_rooms_is_theirs() -> None:
    assert diagram() in DESIGN.read_text(), "draw it anew: python tests/test_layout.py"


def test_no_module_imports_itself_by_a_detour() -> None:
    edges = {named(path): {name for name, _ in imports(path) if name in NAMES} for path in MODULES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import circle: {' -> '.join((*trail, module))}"
        if module not in done:
            for following in edges.get(module, ()):
                visit(following, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < MAX_FUNCTION, node.name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_asked_for_by_name_outside_its_room(path: Path) -> None:
    """No string of the code, docstrings apart, is the name of an entry of a table; no class of a table is imported."""
    tree = ast.parse(path.read_text())
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in documented}
    for owner, table in TABLES.items():
        if path == PACKAGE / owner or (owner, path) == ("datasets.py", PACKAGE / "data/readers.py"):
            continue
        assert not {name for name in table if name in strings}, f"a name of {owner}"
        kinds = {entry.__name__ for entry in table.values() if isinstance(entry, type)}
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not kinds & used, f"a class of {owner}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_probability_looks_inside_distributions(path: Path) -> None:
    if room(path) != "probability":
        assert not re.search(r"\.base_dist|torch\.randn\(|Normal\(", path.read_text())


@pytest.mark.parametrize("script", sorted((PACKAGE / "demo").rglob("*.js")), ids=lambda path: path.name)
def test_the_page_knows_no_data_set(script: Path) -> None:
    assert not [name for name in DATASETS if name in script.read_text()]
    assert "digit" not in re.sub(r'["#]digits|=digits|\.hf-digits|FractionDigits|to_digit', "", script.read_text())


LATER = ("lightning", "torchvision", "sklearn", "torch._dynamo", "sympy")
"""What takes seconds to import, and an app starts without."""


@pytest.mark.parametrize(
    "statement",
    ["import hfvae.demo, app", *map("import hfvae; hfvae.load({!r}, device='cpu')".format, bundled_names())],
)
def test_an_app_starts_without_slow_imports(statement: str) -> None:
    probe = f"{statement}; import sys; print([name for name in {LATER} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names() -> None:
    import hfvae

    assert all(hasattr(hfvae, name) for name in hfvae.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hfvae.nothing  # noqa: B018


FORMER = {
    "hfvae.data": ["MNISTDataModule", "READERS"],
    "hfvae.datasets": ["DATASETS"],
    "hfvae.distributions": ["ContinuousBernoulli"],
    "hfvae.flows": ["Flow"],
    "hfvae.likelihoods": ["LIKELIHOODS", "Likelihood"],
    "hfvae.posteriors": ["POSTERIORS", "Posterior"],
    "hfvae.priors": ["PRIORS", "Prior"],
    "hfvae.sampling": ["rsample"],
    "hfvae.sketch": ["to_digit"],
}
"""Names that recipes, extensions and notebooks of earlier versions use."""


@pytest.mark.parametrize("module", FORMER)
def test_earlier_names_still_import(module: str) -> None:
    import hfvae

    found = import_module(module)
    assert getattr(hfvae, module.partition(".")[2]) is found
    assert all(hasattr(found, name) for name in FORMER[module])


def test_one_table_by_both_names() -> None:
    assert import_module("hfvae.likelihoods").LIKELIHOODS is LIKELIHOODS


def test_the_classes_that_recipes_name() -> None:
    recipes = [path.read_text() for path in (REPOSITORY / "configs").glob("*.yaml")]
    paths = {path for text in recipes for path in re.findall(r"class_path: (hfvae\.\S+)", text)}
    assert {"hfvae.ConvVAE", "hfvae.training.AverageWeights"} <= paths
    for path in paths:
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name)


def test_the_readmes_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(block, names)
        assert names["elbo"].shape == (25,)  # type: ignore[attr-defined]


def test_requirements_are_the_declared_ones() -> None:
    tomllib = pytest.importorskip("tomllib", reason="tomllib is new in Python 3.11")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["app"]}
    listed = {line for line in (REPOSITORY / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    assert listed == declared


@pytest.mark.parametrize("arguments", [[], ["--help"], ["nothing"], ["push", "--help"], ["app", "--help"]])
def test_the_console_command(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "hfvae", *arguments], capture_output=True, text=True, timeout=100)
    assert done.returncode == (2 if arguments == ["nothing"] else 0)
    assert ("no command nothing" in done.stdout) is (arguments == ["nothing"])
    if len(arguments) < 2:
        assert all(command in done.stdout for command in ("app", "fit", "evaluate", "push", "export"))


if __name__ == "__main__":
    DESIGN.write_text(re.sub(r"```mermaid\n.*?```", diagram(), DESIGN.read_text(), flags=re.DOTALL))
