"""The folder of a job: what the job is, which of its shards are done, and who works on it."""

import hashlib
import json
import os
import re
import socket
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Sequence

from ..about import __version__
from ..errors import Errors, Warnings
from ..files import write_json
from ..types import PathLike
from .task import Counts, Shard, Task, merge_counts
from .work import Work

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

JOB = "job.json"
LOCK = ".lock"
_NAME = re.compile(r"[\w.-]+")


@contextmanager
def open_job(
    folder: PathLike,
    task: Task,
    shards: Sequence[Shard],
    *,
    key: Mapping[str, Any],
    resume: bool,
) -> Iterator[Work]:
    """Hold the folder of a job, and clear it of what a killed run left half-written.

    Raises ValueError for a folder that another run holds (HE128), that holds another job (HE125)
    or another's files (HE137), for shards without names of their own (HE131), and if the folder
    cannot be written (HE081).
    """
    _check_names(shards)
    folder = Path(folder).absolute()  # processes elsewhere start in folders of their own
    job = _describe(task, shards, key)
    with locked(folder):
        _clear(folder)
        try:
            _begin(folder, job, resume)
            yield Work(task, folder, _fingerprint(job))
        finally:
            _clear(folder)


def missing_shards(work: Work, shards: Sequence[Shard]) -> List[Shard]:
    """The shards that are still to be done."""
    return [shard for shard in shards if work.find(shard) is None]


def sum_counts(work: Work, shards: Sequence[Shard]) -> Counts:
    """The counts of all shards, with the number of rows as ``["rows"]["total"]``.

    Raises ValueError (HE135) if a shard that was done is not there.
    """
    done = [work.find(shard) for shard in shards]
    if lost := done.count(None):
        raise ValueError(Errors.HE135.format(missing=lost, folder=work.folder))
    total = merge_counts(part.counts for part in done if part is not None)
    rows = sum(part.rows for part in done if part is not None)
    return merge_counts([{"rows": Counter(total=rows)}, total])


def part_files(folder: PathLike) -> List[Path]:
    """The Parquet files that a finished job wrote, in the order of its shards' names.

    Raises ValueError for a folder that is no job's (HE136), and for an unfinished job (HE130).
    """
    folder = Path(folder)
    total = _read_job(folder)["shards"]["count"]
    files = sorted(folder.glob("part-*.parquet"))
    missing = total - sum(file.with_suffix(".json").exists() for file in files)
    if missing:
        raise ValueError(Errors.HE130.format(folder=folder, missing=missing, total=total))
    return files


def _check_names(shards: Sequence[Shard]) -> None:
    counts = Counter(shard.name for shard in shards)
    wrong = [name for name, count in counts.items() if count > 1 or not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(Errors.HE131.format(names=", ".join(map(repr, wrong[:5]))))


def _describe(task: Task, shards: Sequence[Shard], key: Mapping[str, Any]) -> Dict[str, Any]:
    """All that the rows depend on, as it is once written to JSON and read again.

    Sources count by their file names: an input may move, its content is the key's affair.
    """
    pieces = [[name, Path(source).name, start, end] for name, source, start, end in shards]
    job = {
        "key": dict(key),
        "columns": {field.name: str(field.type) for field in task.schema},
        "shards": {"count": len(shards), "digest": _fingerprint(pieces)},
        "version": __version__,
    }
    return json.loads(json.dumps(job, default=str))


def _fingerprint(content: Any) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out. The system drops the lock of a process that ends, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="utf8")
    except OSError as error:
        raise ValueError(Errors.HE081.format(path=folder, reason=error)) from error
    with file:
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise ValueError(Errors.HE128.format(folder=folder, owner=owner)) from error
        except OSError as error:  # a file system without locks
            warnings.warn(Warnings.HW125.format(folder=folder, reason=error), stacklevel=4)
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _lock(file: int) -> None:
    if sys.platform == "win32":
        # One byte far behind what is written, because Windows keeps others from reading it.
        os.lseek(file, 2**20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _clear(folder: Path) -> None:
    """Remove half-written files. A process that still writes one fails at renaming it."""
    for pattern in (".part-*.partial", f".{JOB}.*.partial"):
        for partial in folder.glob(pattern):
            partial.unlink(missing_ok=True)


def _begin(folder: Path, job: Dict[str, Any], resume: bool) -> None:
    """Make the folder one of this job.

    Parts are there only beside the description of their job: it comes before them, and when a
    folder starts anew they go before it does.
    """
    parts = sorted(folder.glob("part-*"))
    if (folder / JOB).exists():
        before = _read_job(folder)
        if resume and before == job:
            return
        if resume:
            differences = _differences(before, job)
            raise ValueError(Errors.HE125.format(folder=folder, differences=differences))
        for part in parts:
            part.unlink()
    elif parts:
        raise ValueError(Errors.HE137.format(folder=folder, file=parts[0].name))
    write_json(folder / JOB, job)


def _read_job(folder: Path) -> Dict[str, Any]:
    path = folder / JOB
    try:
        job = json.loads(path.read_text(encoding="utf8"))
        job["key"].items(), job["shards"]["count"] + 0
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(Errors.HE136.format(path=path, reason=error)) from error
    return job


def _differences(before: Dict[str, Any], now: Dict[str, Any]) -> str:
    """What differs between two jobs, setting by setting."""
    old, new = ({**job, **job["key"], "key": None} for job in (before, now))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    shown = [
        f"{name} ({_short(old.get(name))} there, {_short(new.get(name))} here)" for name in names
    ]
    return "; ".join(shown)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."
