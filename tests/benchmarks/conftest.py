"""The benchmark scripts as modules."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Sequence

import numpy
import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.types import LabelledSpan


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


@pytest.fixture(scope="module")
def pretraining(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "pretrain.py")


@pytest.fixture(scope="module")
def pretraining_speed(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "pretrain_speed.py")


@pytest.fixture(scope="module")
def pretraining_tables(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "pretraining_tables.py")


@pytest.fixture(scope="module")
def adaptation(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "adapt.py")


@pytest.fixture(scope="module")
def adaptation_tables(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "adaptation_tables.py")


@pytest.fixture(scope="module")
def decoupled_speed(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "decoupled_speed.py")


@pytest.fixture(scope="module")
def decoupled_stages(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "decoupled_stages.py")


@pytest.fixture(scope="module")
def decoupled_tables(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "decoupled_tables.py")


@pytest.fixture(scope="module")
def coarse(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "coarse_to_fine.py")


@pytest.fixture(scope="module")
def coarse_tables(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "coarse_tables.py")


@pytest.fixture(scope="module")
def msra(repo_root: Path) -> ModuleType:
    return load_script(repo_root / "benchmarks" / "msra.py")


@pytest.fixture
def typed_work(tmp_path: Path) -> Path:
    """What `pretrain.py` makes pools of, in small: steps of Wikipedia, and LitBank."""

    def write(path: str, prefix: str, count: int, labels: Sequence[str]) -> None:
        random = numpy.random.default_rng(len(prefix))
        records = []
        for number in range(count):
            tokens = random.choice(list("abcdefgh"), random.integers(3, 15)).tolist()
            label = labels[number % len(labels)]
            records.append(Record(tokens, [LabelledSpan(0, 2, label)], id=f"{prefix}{number}"))
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(records, tmp_path / path)

    for step in ("train", "kept", "typed"):
        count = {"train": 40, "kept": 50, "typed": 80}[step]
        write(f"wiki/{step}/part.parquet", "wiki-", count, ["city", "person"])
    write("wiki/dev/part.parquet", "wiki-dev-", 10, ["city", "person"])
    write("litbank.parquet", "", 100, ["PER"])
    return tmp_path
