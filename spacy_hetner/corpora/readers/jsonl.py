"""JSON Lines: one object a line, checked as it is read."""

import json
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence

from ...errors import Errors
from ...sources import read_lines
from ...types import PathLike


class Entry(NamedTuple):
    """One object of a file, and its place: file and line."""

    place: str
    value: Dict[str, Any]


def read_entries(paths: Sequence[PathLike], expected: str, encoding: str) -> Iterator[Entry]:
    """Stream the objects of JSON Lines files.

    Raises ValueError (HE072), with file and line, for a line that is no JSON object, such as the
    last one of a file that was cut off, and for one with half a character in it.
    """
    for path in paths:
        for number, line in read_lines(path, encoding):
            if not line.strip(" \t"):
                continue
            entry = Entry(f"{path}:{number}", {})
            with expecting(expected, entry.place):
                value = json.loads(line)
                # The line is whole characters, but "\ud83d" in it is half of one.
                json.dumps(value, ensure_ascii=False).encode()
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


def text_in(value: Any, *, empty: bool = True) -> str:
    """A JSON value that has to be a text. Raises TypeError if it is none, or empty against rule."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    if not (value or empty):
        raise TypeError("a text is empty that must not be")
    return value


def list_in(value: Any) -> List[Any]:
    """A JSON value that has to be a list. Raises TypeError if it is none."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def name_in(entry: Dict[str, Any], key: str) -> str:
    """An id, which may be a number, null or missing. Raises TypeError if it is anything else."""
    value = entry.get(key)
    if value is None:
        return ""
    return str(value) if type(value) is int else text_in(value)


def check_bounds(start: int, end: int, length: int, unit: str, place: str) -> None:
    """Raise ValueError (HE073) unless ``[start, end)`` holds something and lies in the text."""
    if not 0 <= start < end <= length:
        raise ValueError(
            Errors.HE073.format(place=place, start=start, end=end, unit=unit, length=length)
        )


def _malformed(place: str, problem: str, expected: str) -> ValueError:
    return ValueError(Errors.HE072.format(place=place, problem=problem, expected=expected))
