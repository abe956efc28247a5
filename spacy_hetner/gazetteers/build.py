"""Building a gazetteer from dictionaries: read, normalise, filter, settle conflicts, report."""

import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, NamedTuple, Sequence, Tuple

from tqdm import tqdm
from wasabi import table

from ..errors import Errors
from ..losses import Losses
from ..validation import check_choice, check_count
from .conflicts import CONFLICTS, Votes, ambiguous_pairs, labels_by_name, settle
from .entries import read_entries
from .gazetteer import Gazetteer
from .normalize import Normalizer
from .source import Source


@dataclass
class BuildReport:
    """What was read, and what became of it.

    entries (int): Names in the gazetteer.
    read (Dict[str, int]): Entries read from each file.
    repeated (int): Entries read that had been read before, with the same label.
    ambiguous (int): Names with several labels, before conflicts were settled.
    pairs (Dict[str, int]): Names that had both labels of a pair, most frequent first.
    dropped (Dict[str, int]): What did not become part of the gazetteer, by cause.
    first_dropped (Dict[str, str]): Where first, by cause.
    """

    entries: int = 0
    read: Dict[str, int] = field(default_factory=dict)
    repeated: int = 0
    ambiguous: int = 0
    pairs: Dict[str, int] = field(default_factory=dict)
    dropped: Dict[str, int] = field(default_factory=dict)
    first_dropped: Dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> Dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """The report as a table."""
        rows = [(f"read: {path}", n, "") for path, n in self.read.items()]
        rows += [("repeated", self.repeated, ""), ("with several labels", self.ambiguous, "")]
        rows += [(f"  {pair}", n, "") for pair, n in self.pairs.items()]
        rows += [
            (f"dropped: {cause}", n, self.first_dropped[cause])
            for cause, n in sorted(self.dropped.items())
        ]
        rows += [("entries", self.entries, "")]
        return table(
            [(name, f"{n:,}", f"first: {place}" if place else "") for name, n, place in rows],
            aligns=("l", "r", "l"),
            max_col=80,
        )


def build_gazetteer(
    sources: Sequence[Source],
    *,
    conflict: str = "all",
    priority: Sequence[str] = (),
    normalize: Sequence[str] = (),
    min_length: int = 1,
    max_length: int = 200,
    min_frequency: float = 0,
    strict: bool = False,
    progress: bool = False,
) -> Tuple[Gazetteer, BuildReport]:
    """Build a gazetteer from dictionary files.

    sources (Sequence[Source]): The dictionaries, each a file or a folder of files.
    conflict (str): What becomes of a name with several labels: "all" are kept, the "first" in order
        of priority, the one of the "majority" (of the entries read, or of their frequencies; ties
        by priority), or the name is left out ("drop").
    priority (Sequence[str]): Labels, first those that win. Others follow in the order of sources.
    normalize (Sequence[str]): Steps of ``normalize.STEPS``.
    min_length, max_length (int): Lengths of names in characters; a max_length of 0 is no limit.
    min_frequency (float): Leave out entries that were seen less often.
    strict (bool): Make the first thing that is no entry an error (HE074) with file and line.
    progress (bool): Show a bar on stderr if it takes more than some seconds.
    RETURNS (Tuple[Gazetteer, BuildReport]): The gazetteer, and what was left out of it.

    Raises ValueError for settings that cannot be (HE004, HE078), files that cannot be read
    (``read_entries``), and dictionaries without any entry (HE114).
    """
    check_choice("conflict", conflict, CONFLICTS)
    limits = _Limits(
        check_count("min_length", min_length, 1),
        check_count("max_length", max_length, 0) or sys.maxsize,
        min_frequency,
    )
    losses = Losses(strict)
    report = BuildReport()
    votes: Votes = {label: {} for label in priority}
    files = [file for source in sources for file in source.files()]
    normalizer = Normalizer(normalize)
    for file in tqdm(files, unit="file", delay=2, disable=not progress):
        _read(file, normalizer, limits, votes, losses, report)
    names = _settle_all(votes, conflict, losses, report)
    if not names:
        inputs = ", ".join(str(file.path) for file in files) or "no files"
        dropped = "; ".join(f"{n:,} times {cause}" for cause, n in losses.counts.items())
        raise ValueError(Errors.HE114.format(inputs=inputs, dropped=dropped or "nothing in them"))
    gazetteer = Gazetteer(names, labels=list(votes), normalize=normalize)
    report.entries = len(gazetteer)
    report.dropped, report.first_dropped = dict(losses.counts), losses.first
    return gazetteer, report


class _Limits(NamedTuple):
    min_length: int
    max_length: int
    min_frequency: float

    def broken_by(self, surface: str, frequency: float) -> str:
        """The limit that an entry breaks, in words, or "" if none."""
        if len(surface) < self.min_length:
            return f"shorter than {self.min_length}"
        if len(surface) > self.max_length:
            return f"longer than {self.max_length}"
        if frequency < self.min_frequency:
            return f"seen less than {self.min_frequency:g} times"
        return ""


def _read(
    file: Source,
    normalizer: Normalizer,
    limits: _Limits,
    votes: Votes,
    losses: Losses,
    report: BuildReport,
) -> None:
    """Count the votes of one file."""
    n = 0
    for entry in read_entries(file, losses):
        n += 1
        surface = normalizer(entry.text)
        if broken := limits.broken_by(surface, entry.frequency):
            losses.add(broken, entry.place, surface)
            continue
        names = votes.setdefault(entry.label, {})
        report.repeated += surface in names
        names[surface] = names.get(surface, 0.0) + entry.frequency
    report.read[str(file.path)] = report.read.get(str(file.path), 0) + n
    if n == 0:
        losses.add("file without entries", str(file.path), "")


def _settle_all(
    votes: Votes, conflict: str, losses: Losses, report: BuildReport
) -> Dict[str, Tuple[str, ...]]:
    """The labels that each name keeps, and in the report what conflicts there were."""
    found = labels_by_name(votes)
    label_sets = Counter(found.values())
    report.ambiguous = sum(n for labels, n in label_sets.items() if len(labels) > 1)
    report.pairs = ambiguous_pairs(label_sets)
    kept: Dict[str, Tuple[str, ...]] = {}
    for name, labels in found.items():
        remaining = settle(labels, name, votes, conflict)
        for label in labels:
            if label not in remaining:
                losses.pass_over(f"label lost in a conflict: {label}", repr(name))
        if remaining:
            kept[name] = remaining
    return kept
