"""The rules of docs/architecture.md, held against the imports of every file."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Set

import pytest

PACKAGE = "spacy_hetner"
ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / PACKAGE).rglob("*.py"))
TORCH_MODULES = [path for path in SOURCES if path.name in ("module.py", "features.py")]


def read_rows(page: str) -> Dict[str, int]:
    """The row of each file or folder, from the table "What is where"."""
    return {name: int(row) for row, name in re.findall(r"^\| (\d+) \| `([\w.]+)/?` \|", page, re.M)}


@pytest.fixture(scope="module")
def rows() -> Dict[str, int]:
    return read_rows((ROOT / "docs" / "architecture.md").read_text(encoding="utf8"))


def unit_of(parts: List[str]) -> str:
    """The top-level file or folder of a module given by its parts below the package."""
    return parts[0] if (ROOT / PACKAGE / parts[0]).is_dir() else f"{parts[0]}.py"


def imported_modules(path: Path, package: Path) -> Iterator[str]:
    """Full names of all modules that a file imports, wherever in it the import stands."""
    inside = path.relative_to(package).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [PACKAGE, *inside][: len(inside) + 2 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if node.module:
                yield module
            else:  # from . import name
                yield from (f"{module}.{alias.name}" for alias in node.names)


def our_units(path: Path, package: Path) -> Set[str]:
    """Our files and folders that a file imports from."""
    found = set()
    for module in imported_modules(path, package):
        parts = module.split(".")
        if parts[0] == PACKAGE and len(parts) > 1:
            found.add(unit_of(parts[1:]))
    return found


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / PACKAGE))


def test_every_unit_has_one_row(rows: Dict[str, int]) -> None:
    units = {
        unit_of([path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")]) for path in SOURCES
    }
    assert units - {"__init__.py"} == set(rows)


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_come_from_rows_above(path: Path, rows: Dict[str, int]) -> None:
    own = unit_of([path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")])
    if own == "__init__.py":
        assert our_units(path, ROOT / PACKAGE) == {"about.py"}
        return
    wrong = {unit for unit in our_units(path, ROOT / PACKAGE) - {own} if rows[unit] >= rows[own]}
    assert not wrong, f"{name_of(path)} (row {rows[own]}) imports from {sorted(wrong)}"


@pytest.mark.parametrize("path", TORCH_MODULES, ids=name_of)
def test_torch_modules_know_neither_spacy_nor_thinc(path: Path) -> None:
    packages = {module.split(".")[0] for module in imported_modules(path, ROOT / PACKAGE)}
    assert not packages & {"spacy", "thinc", "spacy_transformers"}
    assert "torch" in packages


def test_torch_modules_load_neither_spacy_nor_thinc() -> None:
    """Not through what they import either; all in one process, the first to do so is named."""
    code = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert not {'spacy', 'thinc', 'spacy_transformers'} & set(sys.modules), name\n"
    )
    names = [
        ".".join((PACKAGE, *path.relative_to(ROOT / PACKAGE).with_suffix("").parts))
        for path in TORCH_MODULES
    ]
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_torch_modules() -> None:
    folders = {path.parent.name for path in TORCH_MODULES if path.name == "module.py"}
    assert {"locate", "classify", "encoders"} <= folders


def test_two_files_know_transformers() -> None:
    knowing = {
        name_of(path)
        for path in SOURCES
        for module in imported_modules(path, ROOT / PACKAGE)
        if module.split(".")[0] in ("transformers", "spacy_transformers")
    }
    assert knowing == {"encoders/hugging_face.py", "encoders/spacy_adapter.py"}


def test_nothing_unpickles() -> None:
    for path in SOURCES:
        modules = {module.split(".")[0] for module in imported_modules(path, ROOT / PACKAGE)}
        assert not modules & {"pickle", "dill", "joblib", "cloudpickle"}, name_of(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Attribute) and node.attr == "load":
                is_torch = isinstance(node.value, ast.Name) and node.value.id == "torch"
                assert not is_torch, f"{name_of(path)}:{node.lineno} calls torch.load"


@pytest.mark.parametrize(
    "code,expected",
    [
        ("from ..classify.loss import class_loss", {"classify"}),
        ("from .. import errors", {"errors.py"}),
        ("from . import loss", {"locate"}),
        ("from .loss import focal_loss", {"locate"}),
        ("def f():\n    import spacy_hetner.cli.convert", {"cli"}),
        ("from spacy_hetner.types import SpanArray", {"types.py"}),
        ("import numpy", set()),
    ],
)
def test_imports_are_seen_in_every_form(code: str, expected: Set[str], tmp_path: Path) -> None:
    path = tmp_path / "locate" / "component.py"
    path.parent.mkdir()
    path.write_text(code, encoding="utf8")
    assert our_units(path, tmp_path) == expected
