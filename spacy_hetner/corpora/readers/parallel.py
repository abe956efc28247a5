"""Nested entities as parallel files: the same sentences once for each type (GENIA by type)."""

from itertools import zip_longest
from typing import Iterator, List, Optional, Sequence

from ...errors import Errors
from ...labels.codecs import Decoding
from ...types import LabelledSpan, PathLike
from ..records import Ledger, Record, in_document_order
from .columns import column
from .rows import COMMENTS, Block, decode_tag_rows, read_blocks


def read_parallel(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    scheme: str = "BIO",
    decoding: Decoding = "conlleval",
    separator: Optional[str] = None,
    comments: Sequence[str] = COMMENTS,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Merge files that hold the same sentences, each with the entities of one type.

    Sentences are matched by their position, and their tokens compared. Arguments as for
    ``read_columns``; the first column is the token, the last the tag.

    Raises ValueError where tokens differ (HE070), where a file has fewer sentences (HE071), and
    as ``read_columns`` does.
    """
    files = [
        read_blocks(path, ledger, separator=separator, comments=comments, encoding=encoding)
        for path in paths
    ]
    for count, blocks in enumerate(zip_longest(*files)):
        if None in blocks:
            shorter, longer = paths[blocks.index(None)], next(b.path for b in blocks if b)
            raise ValueError(Errors.HE071.format(shorter=shorter, count=count, longer=longer))
        tokens = column(blocks[0], 1)
        spans: List[LabelledSpan] = []
        for block in blocks:
            _verify(tokens, block, blocks[0])
            spans += decode_tag_rows(column(block, -1), block, scheme, decoding, ledger)
        yield Record(tokens, in_document_order(spans), id=blocks[0].id)


def _verify(expected: List[str], block: Block, first: Block) -> None:
    for index, (here, there) in enumerate(zip_longest(column(block, 1), expected)):
        if here != there:
            row = min(index, len(block.rows) - 1)
            other = first.place(min(index, len(first.rows) - 1))
            raise ValueError(
                Errors.HE070.format(place=block.place(row), token=here, other=other, expected=there)
            )
