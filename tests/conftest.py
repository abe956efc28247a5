"""Fixtures shared by all tests: where optional real data and golden numbers are found."""

import json
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from hypothesis import settings

# A test may not fail because the machine is busy.
settings.register_profile("hetner", deadline=None)
settings.load_profile("hetner")

ROOT = Path(__file__).resolve().parent.parent


def _mirror(variable: str, folder: str) -> Path:
    """A folder named by an environment variable, or found beside the checkout."""
    return Path(os.environ.get(variable) or ROOT.parent / "shared" / folder)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The local mirror of the public corpora; skips the test where there is none."""
    path = _mirror("HETNER_DATA", "data")
    if not (path / "counts.json").exists():
        pytest.skip(f"no public corpora at {path}: set HETNER_DATA to a local mirror")
    return path


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Load a file of independently computed numbers by name; skips where there is none."""
    folder = _mirror("HETNER_GOLDEN", "golden")

    def load(name: str) -> Any:
        path = folder / f"{name}.json"
        if not path.exists():
            pytest.skip(f"no golden file at {path}: set HETNER_GOLDEN to their folder")
        return json.loads(path.read_text(encoding="utf8"))

    return load


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """The checkout that holds the tests, for configs/, assets/ and project.yml."""
    return ROOT


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder folder with random weights, two layers of width 32; no download."""
    from spacy_hetner.encoders.build import build_encoder

    return build_encoder("tiny", tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """OpenMP's threads do not survive a fork: a child that asks for several waits for ever."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
