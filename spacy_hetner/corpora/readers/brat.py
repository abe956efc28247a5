"""Brat stand-off: a ``.txt`` file and an ``.ann`` file beside it."""

import re
from collections import deque
from pathlib import Path
from typing import Iterator, List, Literal, Sequence

from ...errors import Errors
from ...sources import PACKED_SUFFIXES, read_lines, read_text, unpacked_name
from ...types import PathLike
from ...validation import check_choice
from ..records import Ledger, Record
from .cluener import MISMATCH
from .jsonl import check_bounds
from .texts import CharSpan, Tokenizer, make_tokenizer, tokenise

_TEXT_BOUND = re.compile(r"T\S*\t(\S+) (\d+ \d+(?:;\d+ \d+)*)\t(.+)")
_LAYOUT = "'T1<TAB>label start end<TAB>text', where several 'start end' are joined by ';'"
DISCONTINUOUS = "discontinuous span"
ACROSS_LINES = "span across lines"


def read_brat(
    paths: Sequence[PathLike],
    ledger: Ledger,
    *,
    unit: Literal["document", "line"] = "document",
    discontinuous: Literal["drop", "hull"] = "drop",
    lang: str = "en",
    per_character: bool = False,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read text files with stand-off annotations of the same name; either stands for both.

    Only text-bound annotations (``T``) are read; relations, events, attributes and notes are none
    of this package's business.

    unit (str): One record a ``"document"``, or one a ``"line"`` that is not empty; spans across
        lines are then dropped and counted.
    discontinuous (str): A span in several pieces is dropped and counted (``"drop"``), or replaced
        by the one from its first to its last character (``"hull"``).
    lang (str), per_character (bool): See ``make_tokenizer``.

    Raises ValueError for an unknown mode (HE004), a file without its other half (HE080), and with
    file and line for annotations laid out otherwise (HE072) or outside of the text (HE073).
    """
    check_choice("unit", unit, ("document", "line"))
    check_choice("discontinuous", discontinuous, ("drop", "hull"))
    tokenizer = make_tokenizer(lang, per_character=per_character)
    for path in dict.fromkeys(_text_file(Path(path)) for path in paths):
        text = read_text(path, encoding)
        annotations = _beside(path, ".ann")
        spans = _read_spans(annotations, text, discontinuous == "hull", ledger, encoding)
        if unit == "line":
            yield from _line_records(text, spans, tokenizer, ledger, path)
        else:
            yield from tokenise(text, spans, tokenizer, ledger, f"{path}:1", doc_id=_stem(path))


def _stem(path: Path) -> str:
    return re.sub(r"\.(txt|ann)$", "", unpacked_name(path))


def _text_file(path: Path) -> Path:
    return _beside(path, ".txt") if unpacked_name(path).endswith(".ann") else path


def _beside(path: Path, suffix: str) -> Path:
    wanted = path.with_name(_stem(path) + suffix)
    for packing in ("", *PACKED_SUFFIXES):
        found = wanted.with_name(wanted.name + packing)
        if found.exists():
            return found
    raise ValueError(Errors.HE080.format(missing=wanted, path=path))


def _read_spans(path: Path, text: str, hull: bool, ledger: Ledger, encoding: str) -> List[CharSpan]:
    spans = []
    for number, line in read_lines(path, encoding):
        if not line.startswith("T"):
            continue
        place = f"{path}:{number}"
        match = _TEXT_BOUND.fullmatch(line)
        if match is None:
            problem = f"{line[:80]!r} is no text-bound annotation"
            raise ValueError(Errors.HE072.format(place=place, problem=problem, expected=_LAYOUT))
        label, offsets, surface = match.groups()
        pieces = [tuple(map(int, piece.split(" "))) for piece in offsets.split(";")]
        for start, end in pieces:
            check_bounds(start, end, len(text), "characters", place)
        # Brat writes a line break inside an annotation as a blank, as it does between pieces.
        if " ".join(text[start:end] for start, end in pieces).replace("\n", " ") != surface:
            ledger.add_dropped(MISMATCH, place, f"{label} {surface!r} at {offsets}")
        elif len(pieces) > 1 and not hull:
            ledger.add_dropped(DISCONTINUOUS, place, f"{label} {surface!r} at {offsets}")
        else:
            start, end = min(pieces)[0], max(end for _, end in pieces)
            spans.append(CharSpan(start, end, label, place))
    return spans


def _line_records(
    text: str, spans: List[CharSpan], tokenizer: Tokenizer, ledger: Ledger, path: Path
) -> Iterator[Record]:
    waiting = deque(sorted(spans))
    offset = 0
    for number, line in enumerate(text.split("\n"), start=1):
        end = offset + len(line)
        inside = []
        while waiting and waiting[0].start < end:
            span = waiting.popleft()
            if offset <= span.start and span.end <= end:
                inside.append(span._replace(start=span.start - offset, end=span.end - offset))
            else:
                detail = f"{span.label} {text[span.start : span.end]!r}"
                ledger.add_dropped(ACROSS_LINES, span.place, detail)
        if line.strip():
            line = line.removesuffix("\r")
            names = {"id": str(number), "doc_id": _stem(path)}
            yield from tokenise(line, inside, tokenizer, ledger, f"{path}:{number}", **names)
        offset = end + 1
