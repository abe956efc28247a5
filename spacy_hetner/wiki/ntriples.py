"""RDF statements of the files that DBpedia releases: one a line, in N-Triples or such Turtle.

A parser of lines, because these files have up to some hundred million of them; the small files of
an ontology are read by a real RDF library. Works on bytes: a line that is not valid UTF-8 costs
that line only, and most lines are passed over by their predicate or object without decoding.
"""

import re
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

from ..losses import Losses
from ..sources import UNREADABLE, open_binary
from ..types import PathLike
from .titles import title_of_uri

TRUNCATED = "file damaged or cut off"
NO_STATEMENT = "line that is no statement of three IRIs"
NOT_UTF8 = "name that is not valid UTF-8"
NO_TITLE = "IRI that names no page"

# A fourth term, the graph, makes it N-Quads.
_STATEMENT = re.compile(rb"<([^<>]*)>\s+<([^<>]*)>\s+<([^<>]*)>\s*(?:<[^<>]*>\s*)?\.\s*").fullmatch
_LITERAL = re.compile(rb'<[^<>]*>\s+<[^<>]*>\s+".*\.\s*').fullmatch
_RESOURCE = b"/resource/"
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})")


class Line(NamedTuple):
    """A line of a file: its bytes, and where they begin."""

    content: bytes
    offset: int

    def place(self, path: PathLike) -> str:
        return f"{path}: byte {self.offset:,}"


class Statement(NamedTuple):
    """Subject, predicate and object as they stand between the angle brackets."""

    subject: bytes
    predicate: bytes
    object: bytes


def read_byte_lines(path: PathLike, losses: Losses) -> Iterator[Line]:
    """Stream the lines of a file, packed or not, with their positions in the unpacked bytes.

    A file that is damaged or cut off ends where it can no longer be read, which counts as a loss.

    Raises ValueError (HE075) if there is no such file, and HE074 if the losses are strict.
    """
    offset = 0
    try:
        with open_binary(Path(path)) as file:
            for content in file:
                yield Line(content, offset)
                offset += len(content)
    except UNREADABLE as error:
        losses.add(TRUNCATED, f"{path}: byte {offset:,}", str(error))


def parse_statement(line: Line, path: PathLike, losses: Losses) -> Optional[Statement]:
    """The statement of a line; None for comments, blank lines, literals, and for losses."""
    found = _STATEMENT(line.content)
    if found is not None:
        return Statement(*found.groups())
    content = line.content.strip()
    if content and not content.startswith((b"#", b"@prefix", b"@base")) and not _LITERAL(content):
        losses.add(NO_STATEMENT, line.place(path), _shown(content))
    return None


def name_of_resource(iri: bytes) -> bytes:
    """What an IRI of DBpedia calls the page that it stands for; empty for other IRIs."""
    return iri.partition(_RESOURCE)[2]


def title_of(name: bytes, line: Line, path: PathLike, losses: Losses) -> str:
    """The normalised title of a page named in a line, or "" for a loss.

    Backslash and percent escapes are resolved.
    """
    try:
        text = name.decode("utf8")
        if "\\" in text:
            text = _ESCAPE.sub(_unescape, text)
            text.encode("utf8")  # halves of a surrogate pair are no characters
        title = title_of_uri(text)
    except (ValueError, OverflowError) as error:  # also for a code point that there is not
        losses.add(NOT_UTF8, line.place(path), str(error))
        return ""
    if not title:
        losses.add(NO_TITLE, line.place(path), _shown(line.content))
    return title


def _shown(content: bytes) -> str:
    return content.decode("utf8", "replace").strip()


def _unescape(match: "re.Match[str]") -> str:
    return chr(int(match[1] or match[2], 16))
