"""Nested entities as several tags a token: a column a layer, or a list of tags without layers."""

from typing import Dict, Iterator, List, Optional, Sequence

from ...labels.codecs import OUTSIDE, Decoding
from ...types import LabelledSpan, PathLike
from ..records import Ledger, Record, in_document_order
from .rows import COMMENTS, decode_tag_rows, read_blocks


def read_layered(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    scheme: str = "BIO",
    decoding: Decoding = "conlleval",
    separator: Optional[str] = None,
    comments: Sequence[str] = COMMENTS,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read files whose first column is the token and each further column one layer of tags.

    The layers may run from the innermost outwards (GENIA, LitBank) or inwards: a record holds the
    set of spans, so both read the same. Empty columns at the end are no layers, and each file may
    have its own number of columns. Arguments and errors as for ``read_columns``.
    """
    for path in paths:
        for block in read_blocks(
            path, ledger, separator=separator, comments=comments, encoding=encoding
        ):
            tokens, *layers = map(list, zip(*block.rows, strict=True))
            spans = [
                span
                for tags in layers
                for span in decode_tag_rows(tags, block, scheme, decoding, ledger)
            ]
            yield Record(tokens, in_document_order(spans), id=block.id)


def read_multilabel(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    decoding: Decoding = "conlleval",
    separator: Optional[str] = None,
    comments: Sequence[str] = COMMENTS,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read files with a token and *all* its BIO tags a line, in no order of layers.

    The tags of one label are told apart as spans that nest: where fewer continue than are open,
    those opened last have ended. Arguments and errors as for ``read_columns``.
    """
    for path in paths:
        blocks = read_blocks(
            path, ledger, separator=separator, ragged=True, comments=comments, encoding=encoding
        )
        for block in blocks:
            spans: List[LabelledSpan] = []
            for tags in _layers_by_label([row[1:] for row in block.rows]):
                spans += decode_tag_rows(tags, block, "BIO", decoding, ledger)
            yield Record([row[0] for row in block.rows], in_document_order(spans), id=block.id)


def _layers_by_label(tag_sets: List[List[str]]) -> List[List[str]]:
    """Sort the tags of each token into layers, so that each layer is one plain BIO sequence.

    A label has as many layers as it has tags on one token, outer layers first: ``I`` tags stay in
    the outermost layers that are open, ``B`` tags open the next ones.
    """
    n = len(tag_sets)
    layers: Dict[str, List[List[str]]] = {}
    for index, tags in enumerate(tag_sets):
        # I before B: what continues lies outside of what begins here.
        for tag in sorted((tag for tag in tags if tag != OUTSIDE), reverse=True):
            of_label = layers.setdefault(tag.partition("-")[2], [])
            free = next((layer for layer in of_label if layer[index] == OUTSIDE), None)
            if free is None:
                free = [OUTSIDE] * n
                of_label.append(free)
            free[index] = tag
    return [layer for of_label in layers.values() for layer in of_label]
