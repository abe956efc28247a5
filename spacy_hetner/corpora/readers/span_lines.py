"""Span-line blocks: a line of tokens, a line of spans, a blank line (Lu and Roth 2015)."""

import re
from typing import Iterator, List, Sequence

from ...errors import Errors
from ...sources import read_lines
from ...types import LabelledSpan, PathLike
from ..records import Ledger, Record, in_document_order

_SPAN = re.compile(r"(\d+),(\d+) (\S+)")


def read_span_lines(
    paths: Sequence[PathLike], ledger: Ledger, *, encoding: str = "utf-8"
) -> Iterator[Record]:
    """Read blocks of three lines: tokens joined by blanks, spans, nothing.

    The second line holds spans as ``start,end G#label``, joined by ``|``, with exclusive ends; it
    is empty where there is no entity.

    Raises ValueError, with file and line, for anything else (HE072) and for spans outside of the
    sentence (HE073) and empty tokens, which two blanks in a row make (HE068).
    """
    for path in paths:
        lines = read_lines(path, encoding)
        for number, token_line in lines:
            if not token_line.strip(" \t"):
                continue
            tokens = token_line.strip(" ").split(" ")
            if "" in tokens:
                raise ValueError(
                    Errors.HE068.format(place=f"{path}:{number}", line=token_line[:80])
                )
            span_line = next(lines, None)
            if span_line is None:
                raise _malformed(path, number, "the block has no second line", token_line)
            spans = _parse_spans(span_line[1], len(tokens), path, span_line[0])
            blank = next(lines, None)
            if blank is not None and blank[1]:
                raise _malformed(path, blank[0], "the block has a third line", blank[1])
            yield Record(tokens, in_document_order(spans))


def _parse_spans(line: str, n: int, path: PathLike, number: int) -> List[LabelledSpan]:
    spans = []
    for item in line.split("|") if line else ():
        match = _SPAN.fullmatch(item)
        label = match[3].removeprefix("G#") if match else ""
        if match is None or not label:
            raise _malformed(path, number, "the second line is no list of spans", line)
        start, end = int(match[1]), int(match[2])
        if not 0 <= start < end <= n:
            raise ValueError(
                Errors.HE073.format(
                    place=f"{path}:{number}", start=start, end=end, unit="tokens", length=n
                )
            )
        spans.append(LabelledSpan(start, end, label))
    return spans


def _malformed(path: PathLike, number: int, problem: str, line: str) -> ValueError:
    return ValueError(
        Errors.HE072.format(
            place=f"{path}:{number}",
            problem=f"{problem}: {line[:80]!r}",
            expected="blocks of a line of tokens, a line like '0,2 G#DNA|4,6 G#protein' (empty "
            "where there is no entity) and a blank line",
        )
    )
