"""Chunk lines: a sentence a line, cut into chunks that carry their label (SIGHAN 2006 bakeoff)."""

from typing import Iterator, List, Sequence

from ...errors import Errors
from ...sources import read_lines
from ...types import LabelledSpan, PathLike
from ..records import Ledger, Record


def read_chunk_lines(
    paths: Sequence[PathLike], ledger: Ledger, *, outside: str = "o", encoding: str = "utf-8"
) -> Iterator[Record]:
    """Read lines such as ``在/o 邓小平/nr 理论指引下/o``: every character is a token.

    outside (str): The label of chunks that are no entity.

    Raises ValueError (HE072), with file and line, for a chunk without text or label.
    """
    for path in paths:
        for number, line in read_lines(path, encoding):
            tokens: List[str] = []
            spans: List[LabelledSpan] = []
            for chunk in filter(None, line.split(" ")):
                text, _, label = chunk.rpartition("/")
                if not (text and label):
                    raise ValueError(
                        Errors.HE072.format(
                            place=f"{path}:{number}",
                            problem=f"chunk {chunk!r} has no text or no label",
                            expected="text/label",
                        )
                    )
                if label != outside:
                    spans.append(LabelledSpan(len(tokens), len(tokens) + len(text), label))
                tokens += text
            if tokens:
                yield Record(tokens, spans, spaces=[False] * len(tokens))
