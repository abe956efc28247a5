"""Column files: a token and its tag a line (CoNLL-2003, Weibo, Resume, MSRA, CrossNER, ...)."""

from typing import Iterator, List, Optional, Sequence

from ...errors import Errors
from ...labels.codecs import OUTSIDE, Decoding
from ...types import PathLike
from ..records import UNKNOWN, Ledger, Record, in_document_order, runs
from .rows import COMMENTS, Block, decode_tag_rows, read_blocks


def read_columns(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    scheme: str = "BIO",
    decoding: Decoding = "conlleval",
    separator: Optional[str] = None,
    token_column: int = 1,
    tag_column: int = -1,
    strip_token_digit: bool = False,
    unknown: str = "",
    comments: Sequence[str] = COMMENTS,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read flat entities from files with one tag column.

    scheme, decoding (str): See ``decode_tags``.
    token_column, tag_column (int): Counted from 1; -1 is the last.
    strip_token_digit (bool): Take exactly the last character off each token, which must be a
        digit: in the Weibo corpus every character carries its place in the word (``科0 技1``).
    unknown (str): A tag of tokens of which nothing is known, such as ``UNK`` in partial
        annotation. They are no part of a span, and kept apart from O in ``meta["unknown"]``.
    separator, comments, encoding: See ``read_blocks``.

    Raises ValueError, with file and line: a column that is not there (HE067), a token without a
    digit to strip (HE069), and as ``read_blocks`` and ``decode_tags`` do.
    """
    for path in paths:
        for block in read_blocks(
            path, ledger, separator=separator, comments=comments, encoding=encoding
        ):
            tokens = column(block, token_column)
            if strip_token_digit:
                tokens = _without_digits(tokens, block)
            tags = column(block, tag_column)
            meta = {}
            if unknown and unknown in tags:
                meta[UNKNOWN] = runs([tag == unknown for tag in tags])
                tags = [OUTSIDE if tag == unknown else tag for tag in tags]
            spans = decode_tag_rows(tags, block, scheme, decoding, ledger)
            yield Record(tokens, in_document_order(spans), id=block.id, meta=meta)


def column(block: Block, number: int) -> List[str]:
    """One column of a sentence, counted from 1, or from the right with -1, -2, ..."""
    width = len(block.rows[0])
    index = number - 1 if number > 0 else width + number
    if number == 0 or not 0 <= index < width:
        raise ValueError(
            Errors.HE067.format(place=block.place(0), column=number, found=width, last=width)
        )
    return [row[index] for row in block.rows]


def _without_digits(tokens: List[str], block: Block) -> List[str]:
    for index, token in enumerate(tokens):
        if len(token) < 2 or token[-1] not in "0123456789":
            raise ValueError(Errors.HE069.format(place=block.place(index), token=token))
    return [token[:-1] for token in tokens]
