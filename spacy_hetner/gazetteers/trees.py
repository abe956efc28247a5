"""Dictionaries in JSON: lists of names, names by label, trees of names, lists of records."""

import json
from typing import Any, Iterator, List, Tuple

from ..errors import Errors
from .source import Row, Source

_EXPECTED = "JSON: names in lists and objects, or a list of objects that have the text column"


def json_rows(text: str, source: Source) -> Iterator[Row]:
    """The name, label and frequency of each entry.

    With columns the file is a list of objects, and the columns are their keys. Without, names are
    texts at any depth. If the source has a label, then keys are names too, as those of a province
    that holds its cities; if it has none, the outermost keys are the labels of what is below them.

    Raises ValueError for what is not such a file (HE072).
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            Errors.HE072.format(place=source.path, problem=error, expected=_EXPECTED)
        ) from error
    if source.text_column:
        yield from _records(content, source)
    elif isinstance(content, dict) and not source.label:
        for label, part in content.items():
            for place, name in _names(part, f"{source.path}:{label}"):
                yield place, name, label, ""
    else:
        for place, name in _names(content, str(source.path)):
            yield place, name, "", ""


def _names(content: Any, place: str) -> Iterator[Tuple[str, Any]]:
    """All names at all depths in their order, each with the keys above it."""
    stack: List[Tuple[str, Any]] = [(place, content)]
    while stack:
        place, part = stack.pop()
        if isinstance(part, dict):
            below = [
                pair
                for key, value in part.items()
                for pair in ((place, key), (f"{place}/{key}", value))
            ]
            stack += reversed(below)
        elif isinstance(part, list):
            stack += [(place, item) for item in reversed(part)]
        else:
            yield place, part


def _records(content: Any, source: Source) -> Iterator[Row]:
    columns = (source.text_column, source.label_column, source.frequency_column)
    for number, record in enumerate(content if isinstance(content, list) else [content], 1):
        if not isinstance(record, dict) or source.text_column not in record:
            problem = f"object {number} has no {source.text_column!r}"
            raise ValueError(
                Errors.HE072.format(place=source.path, problem=problem, expected=_EXPECTED)
            )
        name, label, frequency = (record.get(column, "") for column in columns)
        yield f"{source.path}:{number}", name, label, frequency
