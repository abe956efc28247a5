"""What a job of the toy tasks must give, whatever happens to it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Callable, Dict, Iterator, List

import pyarrow.parquet as pq
import pytest
from engine.toy_tasks import ROWS, run

from spacy_hetner.engine.folder import part_files
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import digest

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def expected_digest(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """The digest of a quiet run of so many shards in one process."""
    known: Dict[int, str] = {}

    def find(shards: int = 6) -> str:
        if shards not in known:
            folder = tmp_path_factory.mktemp("quiet")
            run(LocalEngine(), folder, shards=shards)
            known[shards] = digest(folder / "out")
        return known[shards]

    return find


@pytest.fixture
def check_output(expected_digest: Callable[[int], str]) -> Callable[[Path, int], None]:
    """Every row once, and the same as of a quiet run; nothing half-written is left."""

    def check(out: Path, shards: int = 6) -> None:
        numbers = [
            number
            for file in part_files(out)
            for number in pq.read_table(file, columns=["number"])["number"].to_pylist()
        ]
        assert sorted(numbers) == list(range(shards * ROWS))
        assert digest(out) == expected_digest(shards)
        assert not list(out.glob(".*.partial"))

    return check


@pytest.fixture(scope="module")
def start_python() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start Python on a text of code, in a process group of its own; it imports what tests do."""
    started: List[subprocess.Popen] = []

    def start(code: str, *arguments: object) -> subprocess.Popen:
        path = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
