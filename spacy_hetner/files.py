"""How files are written, whole or not at all, told apart, and read once by many shards."""

import errno
import hashlib
import json
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator, Mapping

from .errors import Errors
from .types import PathLike

_BLOCK = 2**20


def hash_file(path: PathLike) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    hashed = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Give a name to write to, which becomes ``path`` if all goes well and vanishes if not.

    Missing folders are made. Raises ValueError (HE081) if the file cannot be written.
    """
    target = Path(path)
    partial = _hidden(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as error:
        raise ValueError(Errors.HE081.format(path=path, reason=error)) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            partial.unlink()


@contextmanager
def replacing_folder(path: PathLike) -> Iterator[Path]:
    """Give a folder to fill, which becomes ``path`` if all goes well and vanishes if not.

    All in it is on the disk before it takes that name, so that not even a loss of power leaves a
    part of it. What had the name is gone. Missing parents are made. Raises ValueError (HE081) if
    the folder cannot be written.
    """
    target = Path(path)
    scratch = _hidden(target)
    new, old = scratch / "new", scratch / "old"
    try:
        shutil.rmtree(scratch, ignore_errors=True)  # of a killed process that had our number
        new.mkdir(parents=True)
        yield new
        readable = new.stat().st_mode & 0o666
        for part in (*new.rglob("*"), new):
            if part.is_file():
                part.chmod(readable)  # safetensors lets nobody else read what it writes
            _sync(part)
        if target.exists():
            target.replace(old)
        new.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise ValueError(Errors.HE081.format(path=path, reason=error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove_folder(path: PathLike) -> None:
    """Delete a folder so that no part of it is ever seen under its name.

    Raises ValueError (HE081) if it cannot be deleted.
    """
    hidden = _hidden(Path(path))
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        Path(path).replace(hidden)
    except OSError as error:
        raise ValueError(Errors.HE081.format(path=path, reason=error)) from error
    shutil.rmtree(hidden, ignore_errors=True)


def clear_partial(folder: PathLike) -> None:
    """Delete what killed processes left of ``replacing_folder`` and ``remove_folder`` in a folder.

    Nobody may be writing there.
    """
    for partial in Path(folder).glob(".*.partial"):
        old, target = partial / "old", partial.with_name(partial.name[1:].rsplit(".", 2)[0])
        if old.exists() and not target.exists():  # killed between taking it away and replacing it
            old.replace(target)
        shutil.rmtree(partial, ignore_errors=True)


def _hidden(path: Path) -> Path:
    """A name beside another for what is not whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk.

    Not every file system can do it for folders, and Windows only for files being written.
    """
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def write_json(path: PathLike, content: Mapping[str, Any]) -> None:
    """Write JSON for people and programs: indented, not ASCII only, one newline at the end.

    Raises ValueError (HE081) if the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False)
    with replacing(path) as partial:
        partial.write_text(f"{text}\n", encoding="utf8", newline="\n")


def load_once(kind: Any, path: PathLike) -> Any:
    """What ``kind.from_disk(path)`` gives, read once a process, and again if it was written anew.

    path (PathLike): A file, or a folder whose files are put into it by renaming, see ``replacing``.
    """
    path = Path(path)
    return _load(kind, str(path), path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _load(kind: Any, path: str, written: int) -> Any:
    return kind.from_disk(path)
