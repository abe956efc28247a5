"""Dumps of wikis in MediaWiki's export format: their pages, and shards to read them side by side.

Whatever is broken costs the page that it lies in, or what is left of a packed stream, and is
counted by its cause; reading goes on with the next page that can be found.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import pyarrow as pa

from ..engine.task import Counts, Shard
from ..errors import Errors
from ..losses import Losses
from ..sources import find_files
from ..types import PathLike
from ..validation import check_count
from .dump_xml import NO_NAME, NOT_WHOLE, HeaderParser, Page, PageParser, make_page
from .namespaces import COMMON, Namespaces
from .streams import Gap, Piece, cut_points, read_pieces

SUFFIXES = (".xml",)
PAGES = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("ns", pa.int32(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("redirect", pa.string()),
        pa.field("text", pa.string(), nullable=False),
    ]
)
_BATCH_ROWS, _BATCH_CHARACTERS = 1024, 2**22
_PAGE = b"<page>"
_LONGEST_HEADER = 2**20


class Header(NamedTuple):
    """What a dump says of its wiki. Excerpts have none, or that of another wiki.

    name (str): Such as ``dewiki``. lang (str): Its language code. Both may be empty.
    """

    name: str
    lang: str
    namespaces: Namespaces


def read_header(path: PathLike) -> Header:
    """The header of a dump; of one without, that of a wiki of which nothing is known.

    Raises ValueError for a file that is not there (HE075) or of an unknown packing (HE140).
    """
    parser = HeaderParser()
    head = b""
    for piece in read_pieces(path, 0, None):
        head += b"" if isinstance(piece, Gap) else piece.data
        if _PAGE in head or len(head) > _LONGEST_HEADER:
            break
    parser.feed(head.partition(_PAGE)[0])
    names = parser.namespaces
    return Header(parser.name, parser.lang, Namespaces.from_header(names) if names else COMMON)


def dump_shards(paths: Union[PathLike, Sequence[PathLike]], *, megabytes: int = 64) -> List[Shard]:
    """Cut dumps into shards that can be read side by side, for ``PagesTask``.

    Files of many bzip2 streams are cut between streams, plain ones anywhere, others not at all.

    paths: Dumps (``.xml``, plain or as .bz2, .gz, .xz), and folders of them.
    megabytes (int): Of the file, about so many a shard.
    RETURNS (List[Shard]): Named by number; start and end count bytes of the file.

    Raises ValueError for a file that is not there (HE075) or of an unknown packing (HE140), and
    for megabytes < 1 (HE078).
    """
    step = check_count("megabytes", megabytes, 1) * 10**6
    given = [paths] if isinstance(paths, (str, Path)) else paths
    ranges = []
    for path in find_files(given, SUFFIXES):
        points = cut_points(path, step)
        ends = [*points[1:], path.stat().st_size]
        ranges += [
            (str(path.absolute()), start, end) for start, end in zip(points, ends, strict=True)
        ]
    width = max(5, len(str(len(ranges))))
    return [Shard(f"{number:0{width}d}", *piece) for number, piece in enumerate(ranges)]


def read_pages(
    path: PathLike, start: int = 0, end: Optional[int] = None, *, losses: Optional[Losses] = None
) -> Iterator[Page]:
    """Stream the pages of a dump, or those that begin in a range of ``dump_shards``.

    losses (Optional[Losses]): Counts what is broken; strict ones make it an error (HE074).

    Raises ValueError for a file that is not there (HE075), of an unknown packing (HE140) or
    without any page (HE141).
    """
    reader = _Reader(path, start, losses or Losses())
    for piece in read_pieces(path, start, end):
        if isinstance(piece, Gap):
            reader.interrupt(piece)
        else:
            yield from reader.feed(piece)
        if reader.done:
            break
    reader.finish()
    is_whole = start == 0 and (end is None or end >= Path(path).stat().st_size)
    if is_whole and reader.number == 0 and not reader.losses.counts:
        raise ValueError(Errors.HE141.format(path=path))


@dataclass(frozen=True)
class PagesTask:
    """Shards of ``dump_shards`` to rows of pages, redirects among them without their text.

    namespaces (Tuple[int, ...]): Numbers of the namespaces whose pages are kept.
    strict (bool): Make the first broken page an error instead of counting it.
    """

    namespaces: Tuple[int, ...] = (0,)
    strict: bool = False
    schema: ClassVar[pa.Schema] = PAGES

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Read a shard. Counts ``pages`` by kind, ``dropped`` by cause with ``places``."""
        losses = Losses(self.strict)
        rows: List[Page] = []
        size = 0
        for page in read_pages(shard.source, shard.start, shard.end, losses=losses):
            if page.ns not in self.namespaces:
                counts["pages"]["of other namespaces"] += 1
                continue
            counts["pages"]["articles" if page.redirect is None else "redirects"] += 1
            rows.append(page if page.redirect is None else page._replace(text=""))
            size += len(rows[-1].text)
            if len(rows) >= _BATCH_ROWS or size >= _BATCH_CHARACTERS:
                yield _to_batch(rows)
                rows, size = [], 0
        if rows:
            yield _to_batch(rows)
        counts["dropped"].update(losses.counts)
        counts["places"].update(f"{cause}: {place}" for cause, place in losses.first.items())


def _to_batch(rows: List[Page]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, PAGES, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=PAGES)


class _Reader:
    """Turns unpacked pieces into pages, and finds back into the XML wherever it breaks.

    number (int): Pages that began so far. done (bool): Whether all that begin in the range are
    read.
    """

    def __init__(self, path: PathLike, start: int, losses: Losses) -> None:
        self.losses = losses
        self.number = 0
        self.done = False
        self._path = path
        self._start = start
        self._place = 0  # unpacked bytes so far
        self._limit: Optional[int] = None  # of them, those of the range
        self._kept = b""  # where a page could begin, its tag being cut
        self._parser: Optional[PageParser] = None

    def feed(self, piece: Piece) -> Iterator[Page]:
        """Read a piece, and yield the pages that end in it."""
        if not piece.own and self._limit is None:
            self._limit = self._place
            if self._parser is not None and self._parser.is_between_pages:
                self.done = True
                return
        start = self._place - len(self._kept)
        data = self._kept + piece.data
        self._kept = b""
        self._place += len(piece.data)
        while data and not self.done:
            if self._parser is None:
                data = self._begin(data, start)
                start = self._place - len(data)
            if self._parser is None:
                return
            begun = self._parser.begun
            broken = self._parser.feed(data, self._limit)
            for page in map(make_page, self._parser.take()):
                if page is None:
                    self.losses.add(NO_NAME, self._name(start), "one of its elements is missing")
                else:
                    yield page
            self.number += self._parser.begun - begun
            if broken is None:
                return
            self.done = self._parser.ended
            self._parser = None
            if broken.cause is not None:
                self.losses.add(broken.cause, self._name(broken.place), str(broken.reason))
            data = data[max(0, broken.place - start) :]
            start = self._place - len(data)

    def interrupt(self, gap: Gap) -> None:
        """Go on behind bytes that are missing."""
        if gap.own:
            self.losses.add(gap.cause, f"{self._path}, byte {gap.place}", str(gap.reason))
        self._lose_page()
        self.done = not gap.own
        self._kept = b""

    def finish(self) -> None:
        """Read no more."""
        if not self.done:
            self._lose_page()

    def _begin(self, data: bytes, start: int) -> bytes:
        """Skip to the next page, and get a parser for it, or keep what could begin one."""
        found = data.find(_PAGE)
        place = start + (found if found >= 0 else max(0, len(data) - len(_PAGE) + 1))
        if self._limit is not None and place >= self._limit:
            self.done = True
        elif found >= 0:
            self._parser = PageParser(place)
        else:
            self._kept = data[place - start :]
        return data[place - start :]

    def _lose_page(self) -> None:
        if self._parser is not None and self._parser.in_page:
            self.losses.add(NOT_WHOLE, self._name(self._place), "its end is missing")
        self._parser = None

    def _name(self, place: int) -> str:
        since = f" from byte {self._start} on" if self._start else ""
        return f"{self._path}, page {self.number}{since}, byte {place} unpacked"
