"""Files of one token a line: rows grouped into sentences. Shared by all formats with columns."""

import re
from typing import Iterator, List, NamedTuple, Optional, Sequence

from ...errors import Errors
from ...labels.codecs import Decoding, UnknownTagError, decode_tags
from ...sources import read_lines
from ...types import LabelledSpan, PathLike
from ..records import Ledger

SEPARATORS = {"tab": "\t", "\\t": "\t", "space": " "}
"""Names of separators that are awkward to type in a shell."""

COMMENTS = ("-DOCSTART-",)
_IMAGE_HEADER = re.compile(r"IMGID:(\S+)")
EMPTY_TOKEN = "empty token"
EMPTY_SENTENCE = "sentence of empty tokens"


class Block(NamedTuple):
    """The rows of one sentence."""

    path: PathLike
    lines: List[int]  # the number of each row's line
    rows: List[List[str]]
    id: str

    def place(self, index: int) -> str:
        """File and line of a row."""
        return f"{self.path}:{self.lines[index]}"


def read_blocks(
    path: PathLike,
    ledger: Ledger,
    *,
    separator: Optional[str] = None,
    ragged: bool = False,
    comments: Sequence[str] = COMMENTS,
    encoding: str = "utf-8",
) -> Iterator[Block]:
    """Stream the sentences of a file: rows of columns, with blank lines between sentences.

    Columns are cut at the exact separator, from the right, so that a token may be any character
    at all: U+3000, U+00A0, U+0085, even the separator. A row has as many columns as the first row
    of the file, where separators at its end add none. A line of blanks and tabs only counts as
    blank. A header line ``IMGID:n`` gives the sentence its id. A row whose token is empty, which no
    Doc can hold, is dropped and counted.

    separator (Optional[str]): What stands between columns, or ``"tab"`` or ``"space"``. None: a
        tab if the first row has one, else a blank.
    ragged (bool): Rows may have any number of columns; a token then cannot hold the separator.
    comments (Sequence[str]): Lines that begin so are left out.
    encoding (str): Encoding of the file.

    Raises ValueError, with file and line, for a row with another number of columns (HE066), and
    as ``read_lines`` does.
    """
    separator = SEPARATORS.get(separator, separator) if separator else None
    skipped = tuple(comments)
    cutter: Optional[_Cutter] = None
    block = Block(path, [], [], "")
    for number, line in read_lines(path, encoding):
        if skipped and line.startswith(skipped):
            continue
        is_row = separator is not None and separator in line
        header = None if is_row else _IMAGE_HEADER.fullmatch(line)
        if header or not line.strip(" \t"):
            if block.rows:
                yield from _usable(block, ledger)
                block = Block(path, [], [], "")
            if header:
                block = block._replace(id=header[1])
            continue
        cutter = cutter or _Cutter.fit(line, separator, ragged)
        block.rows.append(cutter.cut(line, f"{path}:{number}"))
        block.lines.append(number)
    if block.rows:
        yield from _usable(block, ledger)


def _usable(block: Block, ledger: Ledger) -> List[Block]:
    """The sentence without its empty tokens, if any are left."""
    if all(row[0] for row in block.rows):
        return [block]
    kept = block._replace(rows=[], lines=[])
    for row, line in zip(block.rows, block.lines, strict=True):
        if row[0]:
            kept.rows.append(row)
            kept.lines.append(line)
        else:
            ledger.add_dropped(EMPTY_TOKEN, f"{block.path}:{line}", f"row {row}")
    if not kept.rows:
        ledger.add_dropped(EMPTY_SENTENCE, block.place(0), f"{len(block.rows)} empty tokens")
    return [kept] if kept.rows else []


class _Cutter(NamedTuple):
    """How the rows of one file are cut into columns."""

    separator: str
    width: int  # columns, without the empty ones at the end
    trailing: str  # separators that end each row
    ragged: bool

    @classmethod
    def fit(cls, line: str, separator: Optional[str], ragged: bool) -> "_Cutter":
        separator = separator or ("\t" if "\t" in line else " ")
        bare = line
        while bare.endswith(separator):
            bare = bare.removesuffix(separator)
        return cls(separator, bare.count(separator) + 1, line[len(bare) :], ragged)

    def cut(self, line: str, place: str) -> List[str]:
        if self.ragged:
            row = line.split(self.separator)
            fits = len(row) > 1
        else:
            bare = line.removesuffix(self.trailing)
            row = bare.rsplit(self.separator, self.width - 1)
            # More separators than columns: they are the token itself, or the row is too wide.
            too_wide = self.separator in row[0] and row[0].strip(self.separator)
            fits = len(row) == self.width > 1 and not too_wide and line.endswith(self.trailing)
        if not fits:
            expected = "two or more" if self.ragged or self.width < 2 else self.width
            found = line.count(self.separator) + 1
            raise ValueError(
                Errors.HE066.format(place=place, found=found, expected=expected, line=line[:80])
            )
        return row


def decode_tag_rows(
    tags: Sequence[str], block: Block, scheme: str, decoding: Decoding, ledger: Ledger
) -> List[LabelledSpan]:
    """Decode one column of a sentence; what is wrong in it goes to the ledger.

    Raises ValueError, with file and line, for a tag that the scheme does not have (HE060), and
    for an inconsistent one if the ledger is strict (HE074).
    """
    try:
        decoded = decode_tags(tags, scheme, decoding)
    except UnknownTagError as error:
        raise error.at(block.place(error.position)) from error
    for index, cause in decoded.faults:
        place, detail = block.place(index), f"tag {tags[index]!r}"
        ledger.add_inconsistent(cause, place, detail)
        if decoding == "strict":
            ledger.add_dropped("inconsistent tags", place, detail)
    return decoded.spans
