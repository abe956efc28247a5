"""Text JSON Lines: the package's own format for annotated text, easiest to write by hand."""

from operator import index
from typing import Iterator, Sequence

from ...types import PathLike
from ..records import Ledger, Record
from .jsonl import check_bounds, expecting, list_in, name_in, read_entries, text_in
from .texts import CharSpan, make_tokenizer, tokenise

_LAYOUT = '{"text": "...", "spans": [[start, end, "label"], ...]}'


def read_json_text(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    lang: str = "en",
    per_character: bool = False,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read ``{"text": ..., "spans": [[start, end, label], ...]}``: half-open character offsets.

    Spans may nest and cross. ``id``, ``doc_id`` and ``meta`` (an object) are taken over where
    there are any. Spans that tokenisation splits, and empty texts, are dropped and counted.

    lang (str), per_character (bool): See ``make_tokenizer``.

    Raises ValueError, with file and line, for lines laid out otherwise (HE072) and offsets
    outside of the text (HE073).
    """
    tokenizer = make_tokenizer(lang, per_character=per_character)
    for place, value in read_entries(paths, _LAYOUT, encoding):
        with expecting(_LAYOUT, place):
            text = text_in(value["text"])
            spans = [
                CharSpan(index(start), index(end), text_in(label, empty=False), place)
                for start, end, label in list_in(value["spans"])
            ]
            names = {
                "id": name_in(value, "id"),
                "doc_id": name_in(value, "doc_id"),
                "meta": {**value.get("meta", {})},
            }
        for span in spans:
            check_bounds(span.start, span.end, len(text), "characters", place)
        yield from tokenise(text, spans, tokenizer, ledger, place, **names)
