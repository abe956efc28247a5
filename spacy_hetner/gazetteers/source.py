"""Which dictionaries make up a gazetteer, and how each is laid out."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, List, Optional, Tuple, Union

from ..errors import Errors
from ..sources import find_files, read_text
from ..types import PathLike

Column = Union[int, str]
"""A column by its number from 1 (negative ones from the right), or by its name in the header."""

Row = Tuple[str, Any, Any, Any]
"""What a dictionary says of a name: its place, text, label and frequency, "" where nothing."""


@dataclass(frozen=True)
class Source:
    """A dictionary file, or a folder of them, and its layout.

    path (PathLike): Lines, columns (with quotes in ``.csv`` and ``.tsv``), or ``.json``; packed or
        not.
    label (str): Label of its entries. Left out where a column or the keys of JSON say it.
    text_column, label_column, frequency_column (Column): Where the names, their labels and how
        often each was seen stand; "" for none. Names are in the first column if not said.
    separator (str): What parts the columns. Default: a comma in ``.csv``, else a tab.
    header (Optional[bool]): Whether the first row names the columns. Default: in ``.csv``, and
        where a column is given by name.
    skip (int): Lines to leave out at the beginning.
    encoding (str): Encoding of the file.
    """

    path: PathLike
    label: str = ""
    text_column: Column = ""
    label_column: Column = ""
    frequency_column: Column = ""
    separator: str = ""
    header: Optional[bool] = None
    skip: int = 0
    encoding: str = "utf-8"

    def files(self) -> List["Source"]:
        """A source for each file; raises ValueError (HE075) if there is none."""
        return [replace(self, path=file) for file in find_files([self.path])]


def parse_source(text: str, label: str = "", **layout: Any) -> Source:
    """A source from ``FILE`` or ``LABEL=FILE``, its label where it has none, and its layout."""
    before, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return Source(text, label=label, **layout)
    return Source(path, label=before, **layout)


def read_source_list(path: PathLike) -> List[Source]:
    """Read a JSON list of sources: objects with the settings of ``Source``.

    Paths in it are relative to its folder. Raises ValueError for what is no such list (HE072).
    """
    known = [field.name for field in fields(Source)]
    expected = f"a list of objects with path and some of: {', '.join(known[1:])}"
    try:
        found = json.loads(read_text(path))
        return [
            replace(Source(**settings), path=Path(path).parent / settings["path"])
            for settings in found
        ]
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            Errors.HE072.format(place=path, problem=error, expected=expected)
        ) from error
