"""How files are written, whole or not at all, and how what many shards need is read once."""

import json
import os
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterator, Mapping

from .errors import Errors
from .types import PathLike


@contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Give a name to write to, which becomes ``path`` if all goes well and vanishes if not.

    Missing folders are made. Raises ValueError (HE081) if the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(target)
    except OSError as error:
        raise ValueError(Errors.HE081.format(path=path, reason=error)) from error
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            partial.unlink()


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
