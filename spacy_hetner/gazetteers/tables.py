"""Dictionaries of lines and columns: their rows, whatever ends the lines and stands before them."""

import csv
from io import StringIO
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

from ..errors import Errors
from ..losses import Losses
from ..sources import unpacked_name
from .source import Column, Row, Source

_CREDITS, _CREDIT_LINES = "By@", 3
"""How the lists of the family Chinese-Names-Corpus begin: author, date, a blank line."""

_Cells = Tuple[int, List[str]]  # the number of the line, and what stands in it


def table_rows(text: str, source: Source, losses: Losses) -> Iterator[Row]:
    r"""The text, label and frequency of each line that is not blank, as the columns are set.

    Lines end at ``\n``, ``\r\n`` or ``\r``. Raises ValueError for broken quotes (HE072) and for a
    column that is not in the header, or 0 (HE113).
    """
    name_column = 1 if source.text_column == "" else source.text_column
    columns = (name_column, source.label_column, source.frequency_column)
    suffix = Path(unpacked_name(Path(source.path))).suffix
    separator = source.separator or ("," if suffix == ".csv" else "\t")
    cells_of = _quoted if suffix in (".csv", ".tsv") else _plain
    lines = _after_credits(cells_of(text, separator, source), source, losses)
    named = any(_is_name(column) for column in columns)
    header = source.header if source.header is not None else named or suffix == ".csv"
    names: List[str] = next(lines, (0, []))[1] if header else []
    indices = [None if column == "" else _index(column, names, source) for column in columns]
    needed = [index for index in indices if index is not None]
    for number, cells in lines:
        place = f"{source.path}:{number}"
        if not -len(cells) <= min(needed) <= max(needed) < len(cells):
            losses.add("fewer columns than expected", place, separator.join(cells))
            continue
        name, label, frequency = ("" if index is None else cells[index] for index in indices)
        yield place, name, label, frequency


def _plain(text: str, separator: str, source: Source) -> Iterator[_Cells]:
    for number, line in enumerate(StringIO(text, newline=None), 1):
        yield number, line.removesuffix("\n").split(separator)


def _quoted(text: str, separator: str, source: Source) -> Iterator[_Cells]:
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        place = f"{source.path}:{reader.line_num}"
        expected = 'cells in which a quote is doubled: "say ""so"""'
        raise ValueError(
            Errors.HE072.format(place=place, problem=error, expected=expected)
        ) from error


def _after_credits(lines: Iterator[_Cells], source: Source, losses: Losses) -> Iterator[_Cells]:
    """The lines that are not blank, without those at the beginning that are no entries."""
    in_credits = False
    for number, cells in lines:
        blank = not any(cell.strip() for cell in cells)
        below_skipped = number - source.skip
        if below_skipped == 1 and not blank:
            in_credits = cells[0].startswith(_CREDITS)
        if below_skipped <= 0 or in_credits:
            losses.pass_over("line of a file's head", f"{source.path}:{number}")
            in_credits = in_credits and not blank and below_skipped < _CREDIT_LINES
        elif not blank:
            yield number, cells


def _is_name(column: Column) -> bool:
    return isinstance(column, str) and column != "" and not column.removeprefix("-").isdecimal()


def _index(column: Column, names: Sequence[str], source: Source) -> int:
    """The index of a column in a line; negative ones count from the right."""
    if not _is_name(column) and int(column) != 0:
        return int(column) - (int(column) > 0)
    if column not in names:
        known = ", ".join(names) or "none"
        raise ValueError(Errors.HE113.format(path=source.path, column=column, names=known))
    return list(names).index(str(column))
