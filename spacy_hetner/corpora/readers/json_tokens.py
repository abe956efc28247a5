"""Token JSON Lines: ``tokens`` and ``entity_mentions`` with exclusive ends (GENIA by document)."""

from operator import index
from typing import Iterator, Sequence

from ...types import LabelledSpan
from ..records import Ledger, Record, in_document_order
from ..sources import PathLike
from .jsonl import check_bounds, expecting, read_entries

_LAYOUT = '{"tokens": ["..."], "entity_mentions": [{"start": 0, "end": 1, "entity_type": "name"}]}'


def read_json_tokens(
    paths: Sequence[PathLike], ledger: Ledger, *, encoding: str = "utf-8"
) -> Iterator[Record]:
    """Read ``{"tokens": [...], "entity_mentions": [{"start", "end", "entity_type"}, ...]}``.

    Ends are exclusive. ``sent_id`` and ``doc_id`` are taken over where there are any.

    Raises ValueError, with file and line, for lines laid out otherwise (HE072) and offsets
    outside of the sentence (HE073).
    """
    for place, value in read_entries(paths, _LAYOUT, encoding):
        with expecting(_LAYOUT, place):
            tokens = list(value["tokens"])
            if not all(isinstance(token, str) and token for token in tokens):
                raise ValueError("tokens must be texts that are not empty")
            spans = [
                LabelledSpan(index(span["start"]), index(span["end"]), str(span["entity_type"]))
                for span in value["entity_mentions"]
            ]
            identity, document = str(value.get("sent_id", "")), str(value.get("doc_id", ""))
        for span in spans:
            check_bounds(span.start, span.end, len(tokens), "tokens", place)
        yield Record(tokens, in_document_order(spans), id=identity, doc_id=document)
