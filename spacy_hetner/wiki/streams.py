"""The bytes of a dump, unpacked piece by piece, from any place at which unpacking can begin.

Dumps packed as many bzip2 streams are cut between them, plain files anywhere, all others not at
all. A cut need not fall between pages: who reads a range takes the pages that begin in it, and
reads on beyond its end until the last of them is whole.
"""

import bz2
import gzip
import lzma
import re
import zlib
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Union

from ..errors import Errors
from ..types import PathLike

DAMAGED = "packed data damaged"
CUT_OFF = "packed data cut off"
_CHUNK = 2**16
_UNPACKED_CHUNK = 2**20
# The start of a stream with the mark of its first block. The bytes can also occur within one.
_STREAM = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_MARK_SIZE = 10
_BLOCK = 10**6
"""More than a packed block has bytes, and than an unpacked one has."""
_WHOLE_FILES: Dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
_OTHER_PACKINGS = (".7z", ".zip", ".zst", ".lz4", ".br")


class Piece(NamedTuple):
    """Unpacked bytes. own (bool): Whether they begin in the range that is read."""

    data: bytes
    own: bool


class Gap(NamedTuple):
    """Bytes are missing here. place (int): Where in the file the trouble begins."""

    cause: str
    place: int
    reason: object
    own: bool


def read_pieces(path: PathLike, start: int, end: Optional[int]) -> Iterator[Union[Piece, Gap]]:
    """Unpack a file from a place that ``cut_points`` gave on, to its very end.

    end (Optional[int]): Where the range ends: pieces from there on are not its own.

    Raises ValueError for a file that is not there (HE075) or of an unknown packing (HE140).
    """
    path = Path(path)
    with _open(path) as file:
        end = path.stat().st_size if end is None else end
        if path.suffix == ".bz2":
            yield from _read_streams(file, start, end)
        elif path.suffix in _WHOLE_FILES:
            yield from _read_whole(file, _WHOLE_FILES[path.suffix])
        else:
            file.seek(start)
            yield from _read_plain(file, start, end)


def cut_points(path: PathLike, step: int) -> List[int]:
    """Places about ``step`` bytes apart at which reading can begin, the first of them 0.

    Raises ValueError for a file that is not there (HE075) or of an unknown packing (HE140).
    """
    path = Path(path)
    with _open(path) as file:
        size = path.stat().st_size
        if path.suffix in _WHOLE_FILES:
            return [0]
        if path.suffix != ".bz2":
            return list(range(0, max(size, 1), step))
        # Without a second stream in the first piece, there is hardly one in the others.
        points = [0]
        place = _find_stream(file, 1, step)
        while place is not None and points[-1] + step < size:
            place = _find_stream(file, points[-1] + step)
            points += [] if place is None else [place]
        return points


def _open(path: Path) -> IO[bytes]:
    if path.suffix in _OTHER_PACKINGS:
        raise ValueError(Errors.HE140.format(path=path, suffix=path.suffix))
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(Errors.HE075.format(path=path, pattern="")) from error


def _read_plain(file: IO[bytes], place: int, end: int) -> Iterator[Piece]:
    while data := file.read(min(_UNPACKED_CHUNK, end - place) if place < end else _UNPACKED_CHUNK):
        yield Piece(data, place < end)
        place += len(data)


def _read_whole(file: IO[bytes], opener: Callable[..., Any]) -> Iterator[Union[Piece, Gap]]:
    with opener(file) as unpacked:
        while True:
            try:
                # What is unpacked before the damage is not lost: one packed chunk a time.
                data = unpacked.read1(_UNPACKED_CHUNK)
            except EOFError as error:
                yield Gap(CUT_OFF, file.tell(), error, True)
                return
            except (OSError, lzma.LZMAError, zlib.error) as error:
                yield Gap(DAMAGED, file.tell(), error, True)
                return
            if not data:
                return
            yield Piece(data, True)


def _read_streams(file: IO[bytes], place: int, end: int) -> Iterator[Union[Piece, Gap]]:
    """Unpack stream after stream; after a damaged one go on with the next that can be found."""
    while True:
        file.seek(place)
        unpacker = bz2.BZ2Decompressor()
        size = 0
        try:
            while not unpacker.eof:
                packed = file.read(_CHUNK) if unpacker.needs_input else b""
                size += len(packed)
                if unpacker.needs_input and not packed:
                    if size:
                        yield Gap(CUT_OFF, place, "the file ends within a stream", place < end)
                    return
                if data := unpacker.decompress(packed, _UNPACKED_CHUNK):
                    yield Piece(data, place < end)
            place += size - len(unpacker.unused_data)
        except OSError as error:
            yield Gap(DAMAGED, place, error, place < end)
            following = _find_stream(file, place + 1)
            if following is None:
                return
            place = following


def _find_stream(file: IO[bytes], start: int, stop: Optional[int] = None) -> Optional[int]:
    """The first place in a range at which a stream begins."""
    place, kept = start, b""
    while stop is None or place < stop:
        file.seek(place + len(kept))
        data = file.read(_CHUNK)
        if not data:
            return None
        data = kept + data
        for match in _STREAM.finditer(data):
            found = place + match.start()
            if (stop is None or found < stop) and _is_stream(file, found):
                return found
        kept = data[1 - _MARK_SIZE :]
        place += len(data) - len(kept)
    return None


def _is_stream(file: IO[bytes], place: int) -> bool:
    """Whether a block can be unpacked here, which has a checksum."""
    file.seek(place)
    unpacker = bz2.BZ2Decompressor()
    try:
        return bool(unpacker.decompress(file.read(_BLOCK), _BLOCK)) or unpacker.eof
    except OSError:
        return False
