"""Free text: raw sentences from files, cut into shards that several workers can read."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, List, NamedTuple, Sequence, Tuple

from ..engine.task import Counts, Shard
from ..errors import Errors
from ..sources import PACKED_SUFFIXES, UNREADABLE, open_binary
from ..types import PathLike
from ..validation import check_choice, check_count

LAYOUTS = ("lines", "jsonl", "json")
WHOLE = -1
"""The end of a shard that is a whole file."""
SHARD_BYTES = 32 * 2**20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

NOT_UTF8 = "line that is not UTF-8"
NOT_JSON = "line or file that is no JSON"
HALF = "text with half a character"
NO_TEXT = "line without a text under its key or in its column"
CUT_OFF = "file that is damaged or cut off"


class FreeText(NamedTuple):
    """One text, and its name: the file, and the byte of the unpacked file where its line begins."""

    id: str
    text: str


@dataclass(frozen=True)
class TextLayout:
    """How texts lie in a file.

    kind (str): ``lines``, a text a line; ``jsonl``, a JSON object a line; ``json``, one JSON value
        a file.
    key (str): The texts in JSON: in ``jsonl`` that of the line's object, in ``json`` those of all
        objects at any depth.
    column (int): In ``lines``, the column between tabs, counted from 1; 0 takes the line.

    Raises ValueError for an unknown kind (HE004), a negative column (HE078), JSON without a key and
    lines with one (HE180).
    """

    kind: str = "lines"
    key: str = ""
    column: int = 0

    def __post_init__(self) -> None:
        check_choice("layout", self.kind, LAYOUTS)
        check_count("column", self.column, 0)
        if (self.kind == "lines") == bool(self.key) or (self.column and self.kind != "lines"):
            raise ValueError(Errors.HE180.format(kind=self.kind, key=self.key, column=self.column))


LINES = TextLayout()


def text_shards(
    paths: Sequence[Path], layout: TextLayout, *, shard_bytes: int = SHARD_BYTES
) -> List[Shard]:
    """Cut files into shards at line ends. What is packed or one JSON value stays one shard.

    ``start`` and ``end`` of a shard are bytes, ``(0, WHOLE)`` those of a file that is not cut.

    Raises ValueError (HE183) for two files of one name, since texts are named by it.
    """
    names = Counter(path.name for path in paths)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise ValueError(Errors.HE183.format(names=", ".join(repeated[:5])))
    shards: List[Shard] = []
    for path in paths:
        for start, end in cut_file(path, layout, shard_bytes):
            shards.append(Shard(f"{len(shards):05d}", str(path.resolve()), start, end))
    return shards


def cut_file(path: Path, layout: TextLayout, size: int = SHARD_BYTES) -> List[Tuple[int, int]]:
    """Where each shard of a file begins and ends, see ``text_shards``."""
    whole = layout.kind == "json" or path.suffix in PACKED_SUFFIXES
    return [(0, WHOLE)] if whole else _cut_at_lines(path, size)


def read_texts(
    shard: Shard, layout: TextLayout, counts: Counts, *, name: str = "", strict: bool = False
) -> Iterator[FreeText]:
    """Stream the texts of a shard; blank ones are passed over.

    name (str): What the texts' names begin with; default: the name of the file.

    What cannot be read is counted under ``dropped`` by its cause, with the place of the first under
    ``places``, and with ``strict`` an error.

    Raises ValueError (HE181), with file and byte, for the first such thing if ``strict``.
    """
    name = name or Path(shard.source).name
    for offset, line in _readable_lines(shard, layout, counts, strict):
        for number, text in enumerate(_texts_in(line, layout)):
            if isinstance(text, _Loss):
                _drop(text.cause, f"{shard.source}, byte {offset}", counts, strict)
            elif not _is_whole(text):
                _drop(HALF, f"{shard.source}, byte {offset}", counts, strict)
            elif text.strip():
                yield FreeText(f"{name}@{offset}" + (f".{number}" if number else ""), text.strip())


class _Loss(NamedTuple):
    """In the place of a text: why there is none."""

    cause: str


def _cut_at_lines(path: PathLike, size: int) -> List[Tuple[int, int]]:
    """Borders of about ``size`` bytes, each at the start of a line."""
    borders = [0]
    with open(path, "rb") as file:
        length = file.seek(0, 2)
        while borders[-1] + size < length:
            file.seek(borders[-1] + size - 1)
            file.readline()
            borders.append(file.tell())
    return list(zip(borders, [*borders[1:], length], strict=True)) if length else []


def _readable_lines(
    shard: Shard, layout: TextLayout, counts: Counts, strict: bool
) -> Iterator[Tuple[int, bytes]]:
    """Lines, or the whole file of the layout ``json``, each with the byte that it begins at."""
    offset = shard.start
    try:
        with open_binary(Path(shard.source)) as file:
            if offset:
                file.seek(offset)
            if layout.kind == "json":
                yield 0, file.read().removeprefix(BYTE_ORDER_MARK)
                return
            for line in file:
                yield offset, line if offset else line.removeprefix(BYTE_ORDER_MARK)
                offset += len(line)
                if shard.end != WHOLE and offset >= shard.end:
                    return
    except UNREADABLE as error:
        place = f"{shard.source}, byte {offset}: {error}"
        _drop(CUT_OFF, place, counts, strict)


def _texts_in(line: bytes, layout: TextLayout) -> Iterator[Any]:
    """The texts of one line or file; a ``_Loss`` where one should be and is not."""
    try:
        text = line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        yield _Loss(NOT_UTF8)
        return
    if not text.strip():
        return
    if layout.kind == "lines":
        columns = text.split("\t") if layout.column else [text]
        has_column = layout.column <= len(columns)
        yield columns[max(0, layout.column - 1)] if has_column else _Loss(NO_TEXT)
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        yield _Loss(NOT_JSON)
        return
    if layout.kind == "json":
        yield from list(_values_of(layout.key, value)) or [_Loss(NO_TEXT)]
    else:
        found = value.get(layout.key) if isinstance(value, dict) else None
        yield found if isinstance(found, str) else _Loss(NO_TEXT)


def _is_whole(text: str) -> bool:
    r"""Whether no half of a surrogate pair is in a text, as ``"\\ud83d"`` in JSON makes one."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _values_of(key: str, value: Any) -> Iterator[Any]:
    """All texts under a key, at any depth of a JSON value, in its order.

    A ``_Loss`` for what stands under the key and is neither a text nor holds others.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            if name != key or isinstance(inner, (dict, list)):
                yield from _values_of(key, inner)
            else:
                yield inner if isinstance(inner, str) else _Loss(NO_TEXT)
    elif isinstance(value, list):
        for inner in value:
            yield from _values_of(key, inner)


def _drop(cause: str, place: str, counts: Counts, strict: bool) -> None:
    if strict:
        raise ValueError(Errors.HE181.format(place=place, cause=cause))
    if cause not in counts["dropped"]:
        counts["places"][f"first {cause}: {place}"] += 1
    counts["dropped"][cause] += 1
