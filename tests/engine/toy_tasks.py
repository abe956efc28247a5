"""Tasks for tests, in a module of their own because other processes must be able to import it."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Sequence

import pyarrow as pa

from spacy_hetner.engine.engine import Engine
from spacy_hetner.engine.task import Counts, Shard

ROWS = 50
"""A shard."""
PATIENCE = 1200
"""Seconds until a process counts as hanging, on however busy a machine."""


def make_shards(count: int) -> List[Shard]:
    return [
        Shard(f"{number:02d}", f"in-{number}.txt", number * ROWS, number * ROWS + ROWS)
        for number in range(count)
    ]


@dataclass(frozen=True)
class Numbers:
    """Each number of a shard as a row; a file in the log for each time that a shard is begun.

    In the middle of the shard ``victim`` it gets into ``trouble``, until there is a file "well".
    """

    log: str
    victim: str = ""
    trouble: str = ""
    step: int = 7

    schema = pa.schema([("id", pa.string()), ("number", pa.int64()), ("noise", pa.binary())])

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        log = Path(self.log)
        number = 0
        while (log / f"{shard.name}.{number}").exists():
            number += 1
        (log / f"{shard.name}.{number}").write_text(str(os.getpid()))
        for start in range(shard.start, shard.end, self.step):
            numbers = range(start, min(start + self.step, shard.end))
            counts["numbers"].update("even" if number % 2 == 0 else "odd" for number in numbers)
            yield self._batch(numbers)
            if shard.name == self.victim and not (log / "well").exists():
                TROUBLES[self.trouble](log)

    def _batch(self, numbers: Sequence[int]) -> pa.RecordBatch:
        noise = [bytes((number * k * k) % 251 for k in range(100)) for number in numbers]
        columns = {"id": [f"n{number}" for number in numbers], "number": numbers, "noise": noise}
        return pa.RecordBatch.from_pydict(columns, schema=self.schema)


def _die(log: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_once(log: Path) -> None:
    (log / "well").touch()
    _die(log)


def _wait(log: Path) -> None:
    (log / "waiting").touch()
    while not (log / "well").exists():
        time.sleep(0.01)


def _raise_key_error(log: Path) -> None:
    raise KeyError("no such thing")


def _raise_os_error(log: Path) -> None:
    raise OSError("the input is gone")


def _raise_coded(log: Path) -> None:
    raise ValueError("[HE064] The file is damaged.")


TROUBLES = {
    "die": _die,
    "die once": _die_once,
    "wait": _wait,
    "KeyError": _raise_key_error,
    "OSError": _raise_os_error,
    "coded": _raise_coded,
}


def begun(log: Path) -> Counter:
    """How often each shard was begun."""
    return Counter(path.stem for path in log.iterdir() if path.suffix)


def run(engine: Engine, folder: Path, *, shards: int = 6, **settings: object) -> Counts:
    """Run a task in ``folder / "out"``, with its log in ``folder / "log"``."""
    log = folder / "log"
    log.mkdir(parents=True, exist_ok=True)
    resume = bool(settings.pop("resume", True))
    key = settings.pop("key", {"seed": 1})
    task = Numbers(str(log), **settings)  # type: ignore[arg-type]
    return engine.map(task, make_shards(shards), folder / "out", key=key, resume=resume)  # type: ignore[arg-type]
