"""Reading dictionaries: files of any known layout into entries, what is no entry counted."""

import codecs
import math
import re
from pathlib import Path
from typing import Any, Iterator, NamedTuple

from ..errors import Errors
from ..losses import Losses
from ..sources import read_text, unpacked_name
from .source import Source
from .tables import table_rows
from .trees import json_rows

_HALVES = re.compile("[\ud800-\udfff]")


class Entry(NamedTuple):
    """A name in a dictionary, blanks squeezed.

    label (str): Its label; frequency (float): How often it was seen, 1 where nothing says it;
    place (str): File and line, or file and keys.
    """

    text: str
    label: str
    frequency: float
    place: str


def read_entries(source: Source, losses: Losses) -> Iterator[Entry]:
    """Read one dictionary file.

    Counted in ``losses``, or an error if these are strict: bytes that are not in the encoding, no
    text, no label, too few columns, a frequency that is no number.

    Raises ValueError for an unknown encoding (HE063), a damaged archive (HE064), a file that is no
    JSON or breaks the rules of quotes (HE072) and a column that is not there (HE113).
    """
    text = _decode(source)
    is_json = unpacked_name(Path(source.path)).endswith(".json")
    rows = json_rows(text, source) if is_json else table_rows(text, source, losses)
    for place, name, label, frequency in rows:
        times = _times(frequency)
        if not isinstance(name, str) or not isinstance(label, str):
            losses.add("value that is no text", place, str(name if label == "" else label))
        elif _HALVES.search(name):
            losses.add(f"not valid {source.encoding}, or half a character", place, name)
        elif not name.strip():
            losses.add("empty name", place, name)
        elif not (label.strip() or source.label.strip()):
            losses.add("no label", place, name)
        elif not math.isfinite(times):
            losses.add("frequency that is no number", place, str(frequency))
        else:
            label = label.strip() or source.label.strip()
            yield Entry(" ".join(name.split()), label, times, place)


def _times(frequency: Any) -> float:
    """A frequency as a number; NaN if it is none."""
    try:
        return 1.0 if frequency == "" else float(frequency)
    except (TypeError, ValueError):
        return math.nan


def _decode(source: Source) -> str:
    """The text of a file; bytes that are not in its encoding become halves of characters."""
    # Latin-1 has a character for each byte: so this is the file, unpacked.
    content = read_text(source.path, "latin-1").encode("latin-1")
    try:
        codecs.lookup(source.encoding)
        text = content.decode(source.encoding, "surrogateescape")
    except (LookupError, UnicodeError) as error:
        raise ValueError(
            Errors.HE063.format(place=source.path, encoding=source.encoding, reason=error)
        ) from error
    return text.removeprefix("\ufeff")
