"""Conversion: corpus files of any known format into one store of records."""

import heapq
import random
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

from wasabi import table

from ..errors import Errors
from ..sources import find_files
from ..types import PathLike
from .readers import get_format, read_records
from .readers.texts import language_code
from .records import Ledger, Record, count_nested
from .stores import store_of

UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo")
"""Languages written without blanks between words."""


@dataclass
class ConversionReport:
    """What a conversion read, wrote and could not represent.

    sentences, tokens (int): Written.
    sentences_read (int): Read, of which ``limit`` may have drawn only some.
    labels (Dict[str, int]): Entities written, by label.
    nested (int): Entities written that lie inside a longer one.
    inconsistent (Dict[str, int]): Spans read whose tags break their scheme, by cause.
    dropped (Dict[str, int]): Spans, tokens and texts read that could not be represented, by cause.
    """

    sentences: int = 0
    tokens: int = 0
    nested: int = 0
    sentences_read: int = 0
    labels: Dict[str, int] = field(default_factory=dict)
    inconsistent: Dict[str, int] = field(default_factory=dict)
    dropped: Dict[str, int] = field(default_factory=dict)

    @property
    def entities(self) -> int:
        """Entities written."""
        return sum(self.labels.values())

    def to_dict(self) -> Dict[str, Any]:
        """The report as JSON values."""
        return {**asdict(self), "entities": self.entities}

    def to_text(self) -> str:
        """The report as a table."""
        rows: List[Sequence[Any]] = [
            ("sentences", self.sentences),
            ("tokens", self.tokens),
            ("entities", self.entities),
            ("inside another", self.nested),
        ]
        if self.sentences_read != self.sentences:
            rows.insert(0, ("sentences read", self.sentences_read))
        rows += [(f"  {label}", count) for label, count in sorted(self.labels.items())]
        rows += [(f"inconsistent: {cause}", n) for cause, n in sorted(self.inconsistent.items())]
        rows += [(f"dropped: {cause}", n) for cause, n in sorted(self.dropped.items())]
        return table([(name, f"{count:,}") for name, count in rows], aligns=("l", "r"))


def convert(
    inputs: Sequence[PathLike],
    output: PathLike,
    *,
    format: str,
    lang: Optional[str] = None,
    spaces: Optional[bool] = None,
    limit: int = 0,
    seed: int = 0,
    strict: bool = False,
    **options: Any,
) -> ConversionReport:
    """Convert corpus files to one store of records.

    The output appears when it is complete, or not at all.

    inputs (Sequence[PathLike]): Files, and folders of files; packed ones are unpacked on the way.
    output (PathLike): A ``.parquet`` or ``.spacy`` file.
    format (str): A name of ``readers.FORMATS``.
    lang (Optional[str]): Language of the text, in any case. Chooses the tokenizer of formats that
        hold text, and decides ``spaces`` for formats that hold tokens. Default: the format's own.
    spaces (Optional[bool]): Whether blanks stood between the tokens, only for formats that do not
        say. Default: yes, save for languages written without.
    limit (int): Draw so many sentences at random; 0 takes all.
    seed (int): Seed of the draw. The same seed draws the same sentences, in their order.
    strict (bool): Make the first thing that cannot be represented an error.
    options: Those of the format's reader.
    RETURNS (ConversionReport): What was written and what was lost.

    Raises ValueError for a negative limit (HE078), ``spaces`` where the format says it (HE076), an
    unknown language (HE085), an output that is one of the inputs (HE087), input without a single
    sentence (HE083), and as ``store_of``, ``read_records``, the reader and the store do.
    """
    if limit < 0:
        raise ValueError(Errors.HE078.format(name="limit", low=0, value=limit))
    store, source = store_of(output), get_format(format)
    if spaces is not None and source.knows_spaces:
        choices = ", ".join(source.options)
        raise ValueError(Errors.HE076.format(format=format, option="spaces", choices=choices))
    if lang is not None:
        lang = lang.lower()
        if lang not in UNSPACED:  # spaCy does not have all of these
            lang = language_code(lang)
        if "lang" in source.options:
            options["lang"] = lang
    if spaces is None:
        spaces = lang not in UNSPACED
    files = find_files(inputs, source.suffixes)
    if Path(output).resolve() in [file.resolve() for file in files]:
        raise ValueError(Errors.HE087.format(path=output))
    report, ledger = ConversionReport(), Ledger(strict)
    records = _counted_in(read_records(files, ledger, format=format, **options), report)
    if limit:
        records = draw(records, limit, seed)
    shown = ", ".join(map(str, inputs))
    records = _not_empty(_counted_out(_with_spaces(records, spaces), report), shown, format)
    store.write(records, output)
    report.inconsistent, report.dropped = dict(ledger.inconsistent), dict(ledger.dropped)
    return report


def draw(records: Iterable[Record], limit: int, seed: int) -> Iterator[Record]:
    """Draw records at random without replacement, in one pass, holding only those drawn.

    Each record gets a random number and the smallest numbers win, so that every set of ``limit``
    records is equally likely. The order of the records stays.
    """
    rng = random.Random(seed)
    numbered = ((rng.random(), index, record) for index, record in enumerate(records))
    drawn = heapq.nsmallest(limit, numbered)
    return (record for _, _, record in sorted(drawn, key=lambda item: item[1]))


def _counted_in(records: Iterable[Record], report: ConversionReport) -> Iterator[Record]:
    for record in records:
        report.sentences_read += 1
        yield record


def _with_spaces(records: Iterable[Record], spaces: bool) -> Iterator[Record]:
    for record in records:
        if record.spaces is None:
            record = replace(record, spaces=[spaces] * len(record.tokens))
        yield record


def _counted_out(records: Iterable[Record], report: ConversionReport) -> Iterator[Record]:
    labels: Counter[str] = Counter()
    for record in records:
        report.sentences += 1
        report.tokens += len(record.tokens)
        labels.update(span.label for span in record.spans)
        report.nested += count_nested(record.spans)
        yield record
    report.labels = dict(labels)


def _not_empty(records: Iterator[Record], inputs: str, format: str) -> Iterator[Record]:
    first = next(records, None)
    if first is None:
        raise ValueError(Errors.HE083.format(inputs=inputs, format=format))
    yield first
    yield from records
