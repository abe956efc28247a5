"""JSON Lines: one object a line, checked as it is read."""

import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator, NamedTuple, Sequence

from ...errors import Errors
from ..sources import PathLike, read_lines


class Entry(NamedTuple):
    """One object of a file, and its place: file and line."""

    place: str
    value: Dict[str, Any]


def read_entries(paths: Sequence[PathLike], expected: str, encoding: str) -> Iterator[Entry]:
    """Stream the objects of JSON Lines files.

    Raises ValueError (HE072), with file and line, for a line that is no JSON object, such as the
    last one of a file that was cut off.
    """
    for path in paths:
        for number, line in read_lines(path, encoding):
            if not line.strip(" \t"):
                continue
            entry = Entry(f"{path}:{number}", {})
            with expecting(expected, entry.place):
                value = json.loads(line)
            if not isinstance(value, dict):
                raise _malformed(entry.place, f"the line is a {type(value).__name__}", expected)
            yield entry._replace(value=value)


@contextmanager
def expecting(layout: str, place: str) -> Iterator[None]:
    """Turn what goes wrong when values are not laid out as expected into HE072."""
    try:
        yield
    except KeyError as error:
        raise _malformed(place, f"the key {error} is missing", layout) from error
    except (AttributeError, TypeError, ValueError) as error:
        raise _malformed(place, f"the line is laid out otherwise ({error})", layout) from error


def check_bounds(start: int, end: int, length: int, unit: str, place: str) -> None:
    """Raise ValueError (HE073) unless ``[start, end)`` holds something and lies in the text."""
    if not 0 <= start < end <= length:
        raise ValueError(
            Errors.HE073.format(place=place, start=start, end=end, unit=unit, length=length)
        )


def _malformed(place: str, problem: str, expected: str) -> ValueError:
    return ValueError(Errors.HE072.format(place=place, problem=problem, expected=expected))
