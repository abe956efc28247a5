"""Mentions: the names of a dictionary as records, to teach what names look like.

What is no name is shown by words of a common dictionary that no entity dictionary has (Decoupled
NER, section 3.2). Both are written in the form in which the dictionary's names are compared, so
that nothing but the words tells them apart.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy

from ..engine.task import Counts, new_counts
from ..errors import Errors, Warnings
from ..gazetteers.entries import read_entries
from ..gazetteers.gazetteer import Gazetteer
from ..gazetteers.source import Source
from ..losses import Losses
from ..sampling import uniform
from ..types import LabelledSpan, PathLike
from ..validation import check_choice, check_range
from .records import NON_ENTITIES, Record, in_document_order
from .steps import DROPPED, LABELS
from .stores import write_parquet
from .words import Splitter, make_splitter

AMBIGUOUS = ("drop", "all")
"""What becomes of a name of several labels: it is left out, or is an example of each of them."""

NO_ENTITY = "O"
"""What common words are counted as."""

SEVERAL = "name of several labels"
IS_NAME = "common word that the gazetteer has"
REPEATED = "common word that was read before"
NOT_DRAWN = "common word that was not drawn"
_MOST_WORDS = 1000.0

_MANY_NAMES = 100
"""Of fewer names of a label the lengths say little."""
_SHORTEST_NAMES = 0.01
"""The share of a label's names that does not count as short names being there."""
_TOLD_BY_LENGTH = 0.2
"""The share of common words shorter than a label's names from which it is told."""


class Mention(NamedTuple):
    """A name, or a word that is none, and its labels; a word has none."""

    text: str
    labels: Tuple[str, ...] = ()


def write_mentions(
    gazetteer: PathLike,
    output: PathLike,
    common: Sequence[Source] = (),
    *,
    lang: str,
    per_character: bool = False,
    ambiguous: str = "drop",
    o_ratio: float = 1.0,
    dev: float = 0.02,
    seed: int = 0,
    strict: bool = False,
) -> Counts:
    """Write the names of a gazetteer, and words that are none, as records of one mention each.

    A name is a record with a span over all of its tokens, a word one whose tokens are a region of
    no entity (``records.NON_ENTITIES``). They are written in random order.

    gazetteer (PathLike): The folder of a ``Gazetteer``.
    output (PathLike): Folder for ``train.parquet`` and ``dev.parquet``.
    common (Sequence[Source]): Lists of common words; labels in them do not matter.
    lang (str), per_character (bool): The tokenizer, see ``make_splitter``.
    ambiguous (str): One of ``AMBIGUOUS``.
    o_ratio (float): Common words are drawn until there are so many times as many as a label has
        names in the mean; 0: none.
    dev (float): Share of the records that is drawn for ``dev.parquet``; 0: there is none.
    seed (int): What is drawn depends on it and on the words, on nothing else.
    strict (bool): Stop at the first line of the lists that is no word. Else it is counted.
    RETURNS (Counts): ``totals``; ``labels``, how many records have each; ``dropped`` by cause, with
        the ``places`` of the first that was no word.

    Warns of too few words (HW265), of no dev part (HW266), and of words many of which are shorter
    than all names of a label (HW267): an encoder learns from them that short names are none.

    Raises ValueError for values out of range (HE002, HE004), if common words are wanted and there
    are none (HE265), if no record is left for training (HE266), for an unknown language (HE085),
    and as the gazetteer's loading, ``read_entries`` and ``write_parquet`` do.
    """
    check_choice("ambiguous", ambiguous, AMBIGUOUS)
    check_range("o_ratio", o_ratio, 0, _MOST_WORDS)
    check_range("dev", dev, 0, 1)
    split = make_splitter(lang, per_character=per_character)
    names = Gazetteer.from_disk(gazetteer)
    counts = new_counts()
    mentions = list(_named(names, ambiguous, counts))
    if mentions and o_ratio:
        words = _common_words(common, names, Losses(strict), counts)
        mean = sum(counts[LABELS].values()) / len(counts[LABELS])
        drawn = _draw(words, round(o_ratio * mean), seed, counts)
        _tell_of_lengths(mentions, drawn)
        mentions += map(Mention, drawn)
    draws = uniform((mention.text for mention in mentions), seed=seed, salt="mention")
    order = numpy.argsort(draws, kind="stable").tolist()
    n_dev = int((draws < dev).sum())
    if n_dev == len(mentions):
        raise ValueError(Errors.HE266.format(gazetteer=gazetteer, entries=len(names), dev=dev))
    for part, chosen in (("train", order[n_dev:]), ("dev", order[:n_dev])):
        path = Path(output) / f"{part}.parquet"
        if part == "dev" and not dev:
            path.unlink(missing_ok=True)  # of an earlier run
        else:
            rows = write_parquet((_record(mentions[place], split) for place in chosen), path)
            counts["totals"][f"records of {part}"] = rows
    if dev and not n_dev:
        message = Warnings.HW266.format(records=len(mentions), path=path, share=dev)
        warnings.warn(message, stacklevel=2)
    return counts


def _named(names: Gazetteer, ambiguous: str, counts: Counts) -> Iterator[Mention]:
    """The names that are examples."""
    counts["totals"]["names read"] = len(names)
    for entry, name in enumerate(names.surfaces):
        labels = names.labels_of(entry)
        if len(labels) > 1 and ambiguous == "drop":
            counts[DROPPED][SEVERAL] += 1
        else:
            counts[LABELS].update(labels)
            yield Mention(name, labels)


def _common_words(
    common: Sequence[Source], names: Gazetteer, losses: Losses, counts: Counts
) -> List[str]:
    """The common words that no dictionary has, each once, normalised as the names are."""
    words: Dict[str, None] = {}
    for source in (file for given in common for file in given.files()):
        for entry in read_entries(replace(source, label=source.label or NO_ENTITY), losses):
            word = names.normalizer(entry.text)
            counts["totals"]["common words read"] += 1
            if word in words:
                counts[DROPPED][REPEATED] += 1
            elif word in names:
                counts[DROPPED][IS_NAME] += 1
            else:
                words[word] = None
    counts[DROPPED].update(losses.counts)
    counts["places"].update(f"first {cause}: {place}" for cause, place in losses.first.items())
    return list(words)


def _draw(words: List[str], wanted: int, seed: int, counts: Counts) -> List[str]:
    """So many of the words, or all.

    RAISES (ValueError): HE265 if there are none.
    """
    if not words:
        read = counts["totals"]["common words read"]
        raise ValueError(Errors.HE265.format(read=read, names=counts[DROPPED][IS_NAME]))
    if wanted > len(words):
        message = Warnings.HW265.format(found=len(words), wanted=wanted)
        warnings.warn(message, stacklevel=3)
    order = numpy.argsort(uniform(words, seed=seed, salt="common word"), kind="stable")
    drawn = [words[place] for place in order[:wanted].tolist()]
    if left := len(words) - len(drawn):
        counts[DROPPED][NOT_DRAWN] += left
    counts[LABELS][NO_ENTITY] += len(drawn)
    return drawn


def _tell_of_lengths(names: Sequence[Mention], words: Sequence[str]) -> None:
    """Warn (HW267) of the label whose names are set apart from the words by their lengths most."""
    lengths: Dict[str, List[int]] = {}
    for name in names:
        for label in name.labels:
            lengths.setdefault(label, []).append(len(name.text))
    of_words = numpy.array([len(word) for word in words])
    shortest = {
        label: int(numpy.quantile(own, _SHORTEST_NAMES, method="lower"))
        for label, own in lengths.items()
        if len(own) >= _MANY_NAMES
    }
    label, length = max(shortest.items(), key=lambda item: item[1], default=("", 0))
    share = float((of_words < length).mean())
    if share > _TOLD_BY_LENGTH:
        message = Warnings.HW267.format(share=share, length=length, label=label)
        warnings.warn(message, stacklevel=3)


def _record(mention: Mention, split: Splitter) -> Record:
    words = split(mention.text)
    end = len(words.tokens)
    spans = in_document_order(LabelledSpan(0, end, label) for label in mention.labels)
    meta = {} if spans else {NON_ENTITIES: [[0, end]]}
    return Record(words.tokens, spans, words.spaces, mention.text, meta=meta)
