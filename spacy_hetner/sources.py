"""Files as lines and text: transparently unpacked, strictly decoded, cut only at line feeds."""

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, Sequence, Tuple

from .errors import Errors
from .types import PathLike

_OPENERS: Dict[str, Callable[..., Any]] = {".xz": lzma.open, ".bz2": bz2.open, ".gz": gzip.open}
PACKED_SUFFIXES = (*_OPENERS, ".zip")
# zipfile raises RuntimeError for an encrypted file and for a method that it does not know.
UNREADABLE = (EOFError, OSError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)


def find_files(
    paths: Sequence[PathLike], suffixes: Sequence[str] = (), *, deep: bool = False
) -> List[Path]:
    """Existing files, in the order given; a folder stands for its files, sorted by name.

    suffixes (Sequence[str]): In a folder, take only names that end so (packed or not).
    deep (bool): Take the files of folders in a folder, too, save for hidden ones.

    Raises ValueError (HE075) for a path that is not there and for a folder without such files.
    """
    found: List[Path] = []
    for path in map(Path, paths):
        files = sorted(path.rglob("*") if deep else path.iterdir()) if path.is_dir() else [path]
        if path.is_dir() and suffixes:
            files = [file for file in files if unpacked_name(file).endswith(tuple(suffixes))]
        files = [file for file in files if file.is_file() and not _is_hidden(file, path)]
        if not files:
            pattern = f" ending in {' or '.join(suffixes)}" if suffixes else ""
            raise ValueError(Errors.HE075.format(path=path, pattern=pattern))
        found.extend(files)
    return found


def _is_hidden(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts or (file.name,)
    return any(part.startswith(".") for part in parts)


def unpacked_name(path: Path) -> str:
    """The name of a file without the suffix of its packing."""
    return path.stem if path.suffix in PACKED_SUFFIXES else path.name


def read_lines(path: PathLike, encoding: str = "utf-8") -> Iterator[Tuple[int, str]]:
    r"""Stream the lines of a file, numbered from 1, without their line ends.

    A line ends at ``\n`` or ``\r\n`` and nowhere else: U+0085, U+2028 and a lone ``\r`` are text.
    ``.xz``, ``.bz2``, ``.gz`` and ``.zip`` files are unpacked on the way; a leading byte order
    mark is dropped.

    Raises ValueError, with file and line, for bytes that are not in the encoding (HE063) and for
    a file that is damaged, cut off or encrypted (HE064).
    """
    number = 0
    with _reading(path, encoding, lambda: number + 1) as file:
        for line in file:
            number += 1
            yield number, line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")


def read_text(path: PathLike, encoding: str = "utf-8") -> str:
    """The whole text of a file, its line ends as they are. Raises as ``read_lines`` does."""
    with _reading(path, encoding, lambda: 1) as file:
        return file.read()


@contextmanager
def _reading(
    path: PathLike, encoding: str, line_number: Callable[[], int]
) -> Iterator[TextIOWrapper]:
    """Open a file, and turn what can go wrong in reading it into errors with file and line."""
    try:
        # "-sig" drops a byte order mark, which no corpus means as text.
        codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        with (
            open_binary(Path(path)) as binary,
            TextIOWrapper(binary, encoding=codec, newline="\n") as text,
        ):
            yield text
    except FileNotFoundError as error:
        raise ValueError(Errors.HE075.format(path=path, pattern="")) from error
    except LookupError as error:
        place = f"{path}:{line_number()}"
        raise ValueError(
            Errors.HE063.format(place=place, encoding=encoding, reason="no such encoding")
        ) from error
    except UnicodeDecodeError as error:
        # The decoder works on blocks: the bad byte lies so many lines after the last one read.
        place = f"{path}:{line_number() + error.object[: error.start].count(10)}"
        raise ValueError(
            Errors.HE063.format(place=place, encoding=encoding, reason=error.reason)
        ) from error
    except UnicodeError as error:  # such as UTF-16 without a byte order mark
        place = f"{path}:{line_number()}"
        raise ValueError(
            Errors.HE063.format(place=place, encoding=encoding, reason=error)
        ) from error
    except UNREADABLE as error:
        place = f"{path}:{line_number()}"
        raise ValueError(Errors.HE064.format(place=place, reason=error)) from error


@contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes, unpacked if its suffix says that it is packed."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_only_member(archive, path)) as file:
            yield file
    else:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            yield file


def _only_member(archive: zipfile.ZipFile, path: Path) -> str:
    names = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/")
    ]
    if len(names) != 1:
        shown = ", ".join(names[:5]) or "none"
        raise ValueError(Errors.HE065.format(path=path, count=len(names), names=shown))
    return names[0]
