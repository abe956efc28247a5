"""Token JSON Lines: ``tokens`` and ``entity_mentions`` with exclusive ends (GENIA by document)."""

from operator import index
from typing import Any, Dict, Iterator, Sequence

from ...types import LabelledSpan, PathLike
from ..records import Ledger, Record, in_document_order
from .jsonl import check_bounds, expecting, list_in, name_in, read_entries, text_in
from .texts import EMPTY_TEXT

_LAYOUT = '{"tokens": ["..."], "entity_mentions": [{"start": 0, "end": 1, "entity_type": "name"}]}'


def read_json_tokens(
    paths: Sequence[PathLike], ledger: Ledger, *, encoding: str = "utf-8"
) -> Iterator[Record]:
    """Read ``{"tokens": [...], "entity_mentions": [{"start", "end", "entity_type"}, ...]}``.

    Ends are exclusive. ``sent_id`` and ``doc_id`` are taken over where there are any. Lists
    without a token are dropped and counted.

    Raises ValueError, with file and line, for lines laid out otherwise (HE072) and offsets
    outside of the sentence (HE073).
    """
    for place, value in read_entries(paths, _LAYOUT, encoding):
        with expecting(_LAYOUT, place):
            tokens = [text_in(token, empty=False) for token in list_in(value["tokens"])]
            spans = [_mention(span) for span in list_in(value["entity_mentions"])]
            identity, document = name_in(value, "sent_id"), name_in(value, "doc_id")
        for span in spans:
            check_bounds(span.start, span.end, len(tokens), "tokens", place)
        if tokens:
            yield Record(tokens, in_document_order(spans), id=identity, doc_id=document)
        else:
            ledger.add_dropped(EMPTY_TEXT, place, "no tokens")


def _mention(value: Dict[str, Any]) -> LabelledSpan:
    start, end = index(value["start"]), index(value["end"])
    return LabelledSpan(start, end, text_in(value["entity_type"], empty=False))
