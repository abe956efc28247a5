"""The benchmark scripts as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def load_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def accuracy(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "accuracy.py")


@pytest.fixture(scope="module")
def tables(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "tables.py")


@pytest.fixture(scope="module")
def plans(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "plans.py")
