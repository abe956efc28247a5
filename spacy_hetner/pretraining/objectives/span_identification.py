"""CoFEE's first stage: where entities are, whatever they are (ESI; EMNLP 2020, section 3.2)."""

from dataclasses import dataclass
from typing import ClassVar, List, Optional, Sequence

from .extraction import Backbone, Extraction, Queries

ENTITY = "Entity"
"""The label that all are taken for; queries have one for it."""


@dataclass(frozen=True)
class SpanIdentification(Extraction):
    """Where entities are, all labels taken for one (CoFEE, EMNLP 2020).

    For the settings see ``make_span_identification``.
    """

    name: ClassVar[str] = "span_identification"
    merged: ClassVar[bool] = True

    def taught_labels(self, stored: Sequence[str], carried: Sequence[str]) -> List[str]:
        """One."""
        return [ENTITY]


def make_span_identification(
    *,
    backbone: Backbone = "query",
    queries: Queries = None,
    by_token: bool = False,
    max_pieces: int = 256,
    overlap: int = 64,
    dropout: float = 0.1,
    head: Optional[str] = None,
) -> SpanIdentification:
    """Teach an encoder where entities are, from spans of any label, such as links of Wikipedia.

    backbone (str): "query" reads a text under one query, for entities, and tells where they begin
        and end; "tagger" reads it alone, and tags it.
    queries (str or Dict[str, str]): Where that query is, a name ("zh", "en") or a file, or that of
        "Entity" itself; None: "Entity".
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a text that are read at once, those of the query and special
        ones not counted. A longer one is read in several windows; each token is labelled in one.
    overlap (int): Pieces that neighbouring windows share.
    dropout (float): Between encoder and head.
    head (Optional[str]): The encoder folder whose head goes on; None: the head is new.
    RAISES (ValueError): HE002, HE004, HE032, HE078 for values that make no sense.
    """
    return SpanIdentification(backbone, queries, by_token, max_pieces, overlap, dropout, head)
