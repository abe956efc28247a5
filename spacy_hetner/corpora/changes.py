"""What changed in the labels of a corpus, from one store of its sentences to the next.

So a person sees what a model made of the labels of a dictionary (CoFEE's self-picking), and can
stop it.
"""

import heapq
import re
from collections import Counter, defaultdict
from itertools import zip_longest
from typing import Any, DefaultDict, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from ..engine.tables import parquet_files
from ..errors import Errors
from ..sampling import uniform
from ..types import LabelledSpan, PathLike
from .records import Record
from .stores import read_parquet

ADDED, DROPPED, RETYPED = "added", "dropped", "retyped"
CHANGES = (ADDED, DROPPED, RETYPED)
_COUNTS = ("before", "after", "kept", ADDED, DROPPED, "retyped from", "retyped to")
_CONTEXT = 24
"""Characters that are shown of the text on either side of an example."""


class Change(NamedTuple):
    """A span that is not as it was.

    label: what it is, or was before it was dropped; was: before it was retyped, else "".
    """

    kind: str
    start: int
    end: int
    label: str
    was: str = ""


def compare_stores(
    old: Sequence[PathLike], new: Sequence[PathLike], *, examples: int = 5, seed: int = 0
) -> Dict[str, Any]:
    """What changed in the labels of records, from old Parquet stores to new ones of the same.

    A span with the bounds of one that was there and another label is retyped; any other one is
    added, or dropped. Memory does not grow with the stores.

    examples (int): So many of each kind and label, drawn at random by ``seed``.
    RETURNS (Dict[str, Any]): JSON: the number of ``records`` and of those ``changed``; for each of
        the ``labels`` how many spans had it before and after, and what became of them; ``retyped``,
        by the old label and the new one; ``examples``.
    RAISES (ValueError): HE289 for other records, and as ``parquet_files`` and ``read_parquet``.
    """
    labels: DefaultDict[str, Counter] = defaultdict(Counter)
    retyped: DefaultDict[str, Counter] = defaultdict(Counter)
    drawn: DefaultDict[Tuple[str, str, str], List[Any]] = defaultdict(list)
    records = changed = 0
    for number, (before, after) in enumerate(_pairs(old, new)):
        records += 1
        kept, changes = compare_spans(before.spans, after.spans)
        for label in kept:
            labels[label]["kept"] += 1
        if not changes:
            continue
        changed += 1
        names = [f"{number} {' '.join(map(str, change))}" for change in changes]
        draws = uniform(names, seed=seed, salt="examples of changes").tolist()
        for draw, name, change in zip(draws, names, changes, strict=True):
            if change.kind == RETYPED:
                retyped[change.was][change.label] += 1
                labels[change.was]["retyped from"] += 1
                labels[change.label]["retyped to"] += 1
            else:
                labels[change.label][change.kind] += 1
            place = drawn[change.kind, change.label, change.was]
            if len(place) < examples or (place and -draw > place[0][0]):
                entry = (-draw, name, _example(after, change))
                (heapq.heappush if len(place) < examples else heapq.heapreplace)(place, entry)
    return {
        "records": records,
        "changed": changed,
        "labels": {label: _balance(labels[label]) for label in sorted(labels)},
        "retyped": {was: dict(sorted(retyped[was].items())) for was in sorted(retyped)},
        "examples": [
            example
            for key in sorted(drawn, key=lambda key: (CHANGES.index(key[0]), key))
            for _, _, example in sorted(drawn[key], reverse=True)
        ],
    }


def compare_spans(
    old: Sequence[LabelledSpan], new: Sequence[LabelledSpan]
) -> Tuple[List[str], List[Change]]:
    """The labels of the spans that stayed, and what changed of the others, in document order."""
    before, after = set(old), set(new)
    gone: DefaultDict[Tuple[int, int], List[str]] = defaultdict(list)
    for start, end, label in sorted(before - after):
        gone[start, end].append(label)
    changes = []
    for start, end, label in sorted(after - before):
        if were := gone.get((start, end)):
            changes.append(Change(RETYPED, start, end, label, were.pop(0)))
        else:
            changes.append(Change(ADDED, start, end, label))
    changes += [Change(DROPPED, *bounds, label) for bounds in gone for label in gone[bounds]]
    return [label for *_, label in sorted(before & after)], sorted(changes, key=lambda c: c[1:])


def write_changes(changes: Dict[str, Any]) -> str:
    """What ``compare_stores`` found, as Markdown."""
    header = ["label", *_COUNTS]
    rows = [
        [_plain(label), *map(str, counts.values())] for label, counts in changes["labels"].items()
    ]
    lines = [
        f"{changes['changed']:,} of {changes['records']:,} sentences changed.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)),
    ]
    group: Tuple[str, str, str] = ("", "", "")
    for example in changes["examples"]:
        found = (example["change"], example["label"], example["was"])
        if found != group:
            group = found
            lines += ["", f"{_heading(changes, *group)}", ""]
        mention = example["mention"].replace("`", "'")
        lines.append(f"- {_plain(example['before'])}`{mention}`{_plain(example['behind'])}")
    return "\n".join(lines) + "\n"


def _heading(changes: Dict[str, Any], kind: str, label: str, was: str) -> str:
    if kind == RETYPED:
        number = changes["retyped"][was][label]
        return f"**{_plain(was)} → {_plain(label)}** ({number:,}), for example:"
    number = changes["labels"][label][kind]
    return f"**{_plain(label)} {kind}** ({number:,}), for example:"


def _pairs(old: Sequence[PathLike], new: Sequence[PathLike]) -> Iterator[Tuple[Record, Record]]:
    """The records of both sides, each with itself. Raises ValueError (HE289) for others."""
    pairs = zip_longest(_stream(old), _stream(new))
    for number, (before, after) in enumerate(pairs):
        if before is None or after is None or before.tokens != after.tokens:
            there, here = (
                "missing" if record is None else repr(record.text[:40])
                for record in (before, after)
            )
            raise ValueError(
                Errors.HE289.format(
                    old=", ".join(map(str, old)),
                    new=", ".join(map(str, new)),
                    number=number,
                    there=there,
                    here=here,
                )
            )
        yield before, after


def _stream(paths: Sequence[PathLike]) -> Iterator[Record]:
    for path in parquet_files(paths):
        yield from read_parquet(path)


def _balance(counts: Counter) -> Dict[str, int]:
    before = counts["kept"] + counts[DROPPED] + counts["retyped from"]
    after = counts["kept"] + counts[ADDED] + counts["retyped to"]
    return {**dict.fromkeys(_COUNTS, 0), **counts, "before": before, "after": after}


def _example(record: Record, change: Change) -> Dict[str, str]:
    spaces = [True] * len(record.tokens) if record.spaces is None else record.spaces
    texts = [f"{t} " if s else t for t, s in zip(record.tokens, spaces, strict=True)]
    before, mention, behind = (
        "".join(part)
        for part in (
            texts[: change.start],
            texts[change.start : change.end],
            texts[change.end :],
        )
    )
    gap = mention[len(mention.rstrip()) :]
    return {
        "change": change.kind,
        "label": change.label,
        "was": change.was,
        "mention": mention.rstrip(),
        "before": before if len(before) <= _CONTEXT else f"…{before[-_CONTEXT:]}",
        "behind": gap + (behind if len(behind) <= _CONTEXT else f"{behind[:_CONTEXT]}…"),
        "record": record.id,
    }


def _plain(text: str) -> str:
    """Text that Markdown takes for text."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split("\n")))
