"""Where texts come from: files and folders of several layouts, and the texts of record stores."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from ..engine.tables import first_row, parquet_files, parquet_shards, read_shard
from ..engine.task import Counts, Shard
from ..errors import Errors
from ..files import hash_file
from ..sources import UNREADABLE, find_files, open_binary
from ..types import PathLike
from .free_text import (
    BYTE_ORDER_MARK,
    LINES,
    SHARD_BYTES,
    WHOLE,
    FreeText,
    TextLayout,
    cut_file,
    read_texts,
)
from .records import Record

STORE = "records"
"""In the place of a layout's kind: a Parquet store."""


@dataclass(frozen=True)
class TextSource:
    """Files that hold texts in one way.

    path (Path): A file, or a folder: of Parquet files, or of texts, then with all folders in it.
    layout (Optional[TextLayout]): How texts lie in a file; None: as records in Parquet.
    """

    path: Path
    layout: Optional[TextLayout] = LINES

    @property
    def kind(self) -> str:
        """The kind of the layout, or ``records``."""
        return STORE if self.layout is None else self.layout.kind

    @property
    def selector(self) -> str:
        """The key or column that the texts stand under; empty if they stand alone."""
        return "" if self.layout is None else self.layout.key or str(self.layout.column or "")

    @cached_property
    def files(self) -> List[Path]:
        """The files, absolute, a folder's sorted by their paths.

        Raises ValueError for a path without files (HE075), an unfinished job (HE130), and Parquet
        files among others (HE233).
        """
        if self.layout is None:
            found, others = parquet_files(self.path), texts_beside([self.path])
        else:
            found = find_files([self.path], deep=True)
            others = [file for file in found if file.suffix == ".parquet"]
        if others:
            kind = "texts" if self.layout else "stores of records"
            raise ValueError(Errors.HE233.format(path=self.path, kind=kind, file=others[0]))
        return [file.resolve() for file in found]

    def digest(self) -> str:
        """SHA-256 of the file; of a folder, that of the lines ``<SHA-256>  <path in the folder>``.

        These lines are what ``sha256sum`` prints for the files.
        """
        if not self.path.is_dir():
            return hash_file(self.path)
        folder, hashed = self.path.resolve(), hashlib.sha256()
        for file in self.files:
            hashed.update(f"{hash_file(file)}  {file.relative_to(folder).as_posix()}\n".encode())
        return hashed.hexdigest()


def parse_source(written: Union[PathLike, TextSource]) -> TextSource:
    """The source that ``PATH``, ``PATH:KEY`` or ``PATH:COLUMN`` names.

    A path that exists as it is written is that path: a text a line, or a store of records if it
    is Parquet. Else what follows a colon is a column if it is a number, else a key, and whether
    files hold a JSON object a line or one JSON value is told by the first that is not empty.

    Raises ValueError for a path that is not there (HE232), and for a store of records with a key
    or column (HE234).
    """
    if isinstance(written, TextSource):
        return written
    if Path(written).exists():
        return TextSource(Path(written), None if is_store(Path(written)) else LINES)
    text = str(written)
    for colon in (place for place in reversed(range(1, len(text))) if text[place] == ":"):
        path, selector = Path(text[:colon]), text[colon + 1 :]
        if selector and path.exists():
            if is_store(path):
                raise ValueError(Errors.HE234.format(path=path, selector=selector))
            if selector.isdecimal():
                return TextSource(path, TextLayout(column=int(selector)))
            return TextSource(path, TextLayout(_kind_of_json(path), selector))
    raise ValueError(Errors.HE232.format(source=text))


def is_store(path: Path) -> bool:
    """Whether a path is a Parquet file, or a folder that holds some."""
    return path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet")))


def texts_beside(stores: Sequence[PathLike]) -> List[Path]:
    """Files in folders of stores that are neither stores nor an engine's notes on them."""
    folders = [path for path in map(Path, stores) if path.is_dir()]
    files = [file for folder in folders for file in sorted(folder.iterdir()) if file.is_file()]
    return [file for file in files if file.suffix not in (".parquet", ".json", "")]


def distinct_names(paths: Iterable[Path]) -> Dict[Path, str]:
    """The file name of each absolute path, with as many of its folders as tell it from others."""
    names: Dict[Path, str] = {}
    alike, depth = set(paths), 1
    while alike:
        tails = {path: PurePath(*path.parts[-depth:]).as_posix() for path in alike}
        counts = Counter(tails.values())
        names.update((path, tail) for path, tail in tails.items() if counts[tail] == 1)
        alike -= names.keys()
        depth += 1
    return names


def name_sources(sources: Sequence[TextSource]) -> List[str]:
    """What to call each source: its path, as far as that tells it from others, and its selector."""
    names = distinct_names(source.path.resolve() for source in sources)
    pairs = [(names[source.path.resolve()], source.selector) for source in sources]
    return [f"{name}:{selector}" if selector else name for name, selector in pairs]


class Piece(NamedTuple):
    """A stretch of a file: what one reader reads at a time.

    source (int): The place of its source among all; name (str): what its texts' ids begin with.
    path (str): The file; kind, key, column: how texts lie in it.
    start, end (int): Bytes; in Parquet row groups.
    """

    source: int
    name: str
    path: str
    kind: str
    key: str
    column: int
    start: int
    end: int


def pack_pieces(sources: Sequence[TextSource], size: int = SHARD_BYTES) -> Iterator[List[Piece]]:
    """Cut large files, and put small ones together, to about ``size`` bytes, in their order."""
    packed: List[Piece] = []
    held = 0
    for piece in _pieces(sources, size):
        is_cut = piece.kind != STORE and piece.end != WHOLE
        length = piece.end - piece.start if is_cut else Path(piece.path).stat().st_size
        if packed and held + length > size:
            yield packed
            packed, held = [], 0
        packed.append(piece)
        held += length
    if packed:
        yield packed


def read_piece(piece: Piece, counts: Counts, *, strict: bool = False) -> Iterator[FreeText]:
    """Stream the texts of a piece; blank ones are passed over. See ``read_texts``.

    A text of a record store is named by its row in the file, counted from 0.
    """
    shard = Shard("", piece.path, piece.start, piece.end)
    if piece.kind != STORE:
        layout = TextLayout(piece.kind, piece.key, piece.column)
        yield from read_texts(shard, layout, counts, name=piece.name, strict=strict)
        return
    start = first_row(shard)
    for batch in read_shard(shard, ["tokens", "spaces"]):
        columns = (batch[name].to_pylist() for name in ("tokens", "spaces"))
        for row, (tokens, spaces) in enumerate(zip(*columns, strict=True), start):
            if text := Record(tokens, [], spaces).text.strip():
                yield FreeText(f"{piece.name}@{row}", text)
        start += len(batch)


def _pieces(sources: Sequence[TextSource], size: int) -> Iterator[Piece]:
    names = _names(sources)
    for number, source in enumerate(sources):
        layout = source.layout or LINES
        for file in source.files:
            name = names[file, source.selector]
            for start, end in _cut(file, source.layout, size):
                place = (str(file), source.kind, layout.key, layout.column)
                yield Piece(number, name, *place, start, end)


def _cut(file: Path, layout: Optional[TextLayout], size: int) -> List[Tuple[int, int]]:
    if layout is None:
        return [(shard.start, shard.end) for shard in parquet_shards(file)]
    return cut_file(file, layout, size)


def _names(sources: Sequence[TextSource]) -> Dict[Tuple[Path, str], str]:
    """What the ids of a file's texts begin with, for each way in which the file is read."""
    selectors: Dict[Path, Set[str]] = {}
    for source in sources:
        for file in source.files:
            selectors.setdefault(file, set()).add(source.selector)
    return {
        (file, selector): f"{name}:{selector}" if len(selectors[file]) > 1 else name
        for file, name in distinct_names(selectors).items()
        for selector in selectors[file]
    }


def _kind_of_json(path: Path) -> str:
    """``jsonl`` if the first line that holds anything is an object and another line follows."""
    for file in find_files([path], deep=True):
        try:
            with open_binary(file) as lines:
                filled = (line for line in lines if line.strip(BYTE_ORDER_MARK + b" \t\r\n"))
                first = next(filled, None)
                if first is None:
                    continue
                value = json.loads(first.removeprefix(BYTE_ORDER_MARK))
                follows = next(filled, None) is not None
        except (*UNREADABLE, ValueError, RecursionError):
            return "json"
        return "jsonl" if isinstance(value, dict) and follows else "json"
    return "json"
