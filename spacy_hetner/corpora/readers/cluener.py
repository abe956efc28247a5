"""CLUENER 2020: JSON Lines of Chinese text, entities by type and surface, ends inclusive."""

from operator import index
from typing import Any, Dict, Iterator, List, Sequence, Tuple

from ...types import PathLike
from ..records import Ledger, Record
from .jsonl import check_bounds, expecting, name_in, read_entries, text_in
from .texts import CharSpan, make_tokenizer, tokenise

_LAYOUT = '{"text": "...", "label": {"name": {"surface": [[start, last]]}}}'
MISMATCH = "offsets point at another text"


def read_cluener(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    lang: str = "zh",
    per_character: bool = False,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read ``{"text": ..., "label": {type: {surface: [[start, last], ...]}}}``.

    ``last`` is the last character of the entity, so ``[4, 7]`` is four characters long. Lines
    without ``label`` are text without entities. Entities whose surface is not what stands at
    their offsets, those that tokenisation splits, and empty texts are dropped and counted.

    lang (str), per_character (bool): See ``make_tokenizer``.

    Raises ValueError, with file and line, for lines laid out otherwise (HE072) and offsets
    outside of the text (HE073).
    """
    tokenizer = make_tokenizer(lang, per_character=per_character)
    for place, value in read_entries(paths, _LAYOUT, encoding):
        with expecting(_LAYOUT, place):
            text = text_in(value["text"])
            identity = name_in(value, "id")
            mentions = _mentions(value.get("label", {}), place)
        spans = []
        for surface, span in mentions:
            check_bounds(span.start, span.end, len(text), "characters", place)
            if text[span.start : span.end] == surface:
                spans.append(span)
            else:
                ledger.add_dropped(MISMATCH, place, f"{span.label} {surface!r} at {span[:2]}")
        yield from tokenise(text, spans, tokenizer, ledger, place, id=identity)


def _mentions(labels: Dict[str, Dict[str, Any]], place: str) -> List[Tuple[str, CharSpan]]:
    return [
        (surface, CharSpan(index(start), index(last) + 1, text_in(label, empty=False), place))
        for label, surfaces in labels.items()
        for surface, offsets in surfaces.items()
        for start, last in offsets
    ]
