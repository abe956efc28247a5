"""Distant labels: records whose spans a dictionary gave, from free text or from other records.

The dictionary is matched leftmost-longest over tokens, so that of entries that overlap one is left
(Decoupled NER, section 3.2). What it does not know is not therefore outside of all entities: with
``unmatched="unknown"`` it is kept apart, as partial annotation is.

Where records have spans already, such as the links of a dump or the nouns of a text, the dictionary
can say which of these are entries, and of what label (CoFEE, section 3.3).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Protocol, Sequence, Tuple

import pyarrow as pa
from spacy.util import minibatch

from ..engine.engine import Engine
from ..engine.tables import identify, parquet_shards, read_shard
from ..engine.task import Counts, Shard
from ..errors import Errors
from ..files import load_once
from ..gazetteers.gazetteer import Gazetteer
from ..gazetteers.tokens import match_tokens
from ..sampling import uniform
from ..sources import find_files
from ..types import LabelledSpan, PathLike
from ..validation import check_choice, check_count, check_range
from .free_text import LINES, SHARD_BYTES, TextLayout, read_texts, text_shards
from .readers.texts import language_code
from .records import NON_ENTITIES, UNKNOWN, Record, in_document_order, runs, with_spans
from .stores import SCHEMA, from_table, to_batch
from .text_sources import is_store, texts_beside
from .words import cut_text

MATCHINGS = ("longest", "all", "spans")
CONFLICTS = ("all", "first")
UNMATCHED = ("outside", "unknown")
BATCH = 2048
_Found = List[Tuple[int, int, Tuple[str, ...]]]
"""Spans of a record, each with the labels that the dictionary has for it."""
TRIES = 4
"""Regions drawn for each that is wanted: those that touch a mention or repeat another are lost."""


class Labeller(Protocol):
    """What gives records their spans. It travels between processes by pickling."""

    def __call__(self, records: Sequence[Record], counts: Counts) -> List[Record]: ...

    def identity(self) -> Dict[str, Any]:
        """Its settings, and what is in the files that it reads, as JSON."""


@dataclass(frozen=True)
class DistantLabels:
    """How a dictionary labels sentences.

    gazetteer (str): The folder of a ``Gazetteer``.
    matching (str): ``longest``: leftmost-longest, no two mentions overlap; ``all``: every entry
        that occurs, nested and crossing ones too; ``spans``: of the spans that a record has, those
        that are entries, whatever their labels were.
    conflict (str): An entry of several types gives a span each, ``all``, or one of the ``first``
        by the gazetteer's priority.
    unmatched (str): What a token in no mention is: ``outside`` or ``unknown``.
    matched_only (bool): Leave out sentences without a mention.
    non_entities (float): Random spans that touch no mention, for each mention of a sentence; they
        are examples of what is no entity (Decoupled NER, section 3.2).
    max_region (int): Their greatest length, in tokens.
    seed (int): They depend on it and on the record's id, on nothing else.

    Raises ValueError for values out of range (HE002, HE004, HE078).
    """

    gazetteer: str
    matching: str = "longest"
    conflict: str = "all"
    unmatched: str = "outside"
    matched_only: bool = True
    non_entities: float = 0.0
    max_region: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("matching", self.matching, MATCHINGS)
        check_choice("conflict", self.conflict, CONFLICTS)
        check_choice("unmatched", self.unmatched, UNMATCHED)
        check_range("non_entities", self.non_entities, 0, 100)
        check_count("max_region", self.max_region, 1)

    def __call__(self, records: Sequence[Record], counts: Counts) -> List[Record]:
        """See ``label_records``."""
        return label_records(records, load_once(Gazetteer, self.gazetteer), self, counts)

    def identity(self) -> Dict[str, Any]:
        """Its settings, the gazetteer by its content."""
        return {**asdict(self), "gazetteer": identify(self.gazetteer)}


def label_records(
    records: Sequence[Record], gazetteer: Gazetteer, settings: DistantLabels, counts: Counts
) -> List[Record]:
    """The records with the mentions that a dictionary finds in them, in place of their own.

    Counts, under ``totals``, the sentences and tokens read, the sentences with a mention and the
    regions drawn; under ``labels`` the mentions.
    """
    if settings.matching == "spans":
        found = [_known_spans(record, gazetteer) for record in records]
    else:
        found = _mentions(records, gazetteer, overlapping=settings.matching == "all")
    labelled = []
    totals = counts["totals"]
    for record, matches in zip(records, found, strict=True):
        spans = _spans(matches, settings.conflict)
        totals["sentences read"] += 1
        totals["tokens read"] += len(record.tokens)
        totals["sentences with a mention"] += bool(spans)
        counts["labels"].update(span.label for span in spans)
        if spans or not settings.matched_only:
            meta = _meta(record, spans, settings)
            totals["non-entities"] += len(meta.get(NON_ENTITIES, ()))
            labelled.append(with_spans(record, spans, meta))
    return labelled


def sample_regions(
    record_id: str, taken: Sequence[bool], wanted: int, *, max_region: int, seed: int
) -> List[List[int]]:
    """Draw token spans that touch no taken token, in order, none twice.

    record_id (str): With the seed, all that the draw depends on.
    taken (Sequence[bool]): For each token of the sentence, whether it belongs to a mention.
    max_region (int): The greatest length; up to it all lengths are equally likely.
    RETURNS: At most ``wanted`` spans ``[start, end]``; fewer where there is little room.
    """
    tries = [f"{record_id}#{number}" for number in range(TRIES * wanted)]
    lengths = uniform(tries, seed=seed, salt="length of a region")
    starts = uniform(tries, seed=seed, salt="start of a region")
    regions: Dict[Tuple[int, int], None] = {}
    for u_length, u_start in zip(lengths.tolist(), starts.tolist(), strict=True):
        length = 1 + int(u_length * min(max_region, len(taken)))
        start = int(u_start * (len(taken) - length + 1))
        if not any(taken[start : start + length]):
            regions[start, start + length] = None
    return sorted(list(region) for region in list(regions)[:wanted])


@dataclass(frozen=True)
class AnnotateTask:
    """Label one shard of texts or records; see ``label_texts`` for the settings."""

    labels: Labeller
    layout: TextLayout
    lang: str
    per_character: bool
    sentences: bool
    strict: bool

    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the labelled records of a shard."""
        for records in minibatch(self._records(shard, counts), BATCH):
            if labelled := self.labels(records, counts):
                yield to_batch(labelled)

    def _records(self, shard: Shard, counts: Counts) -> Iterator[Record]:
        if shard.source.endswith(".parquet"):
            for batch in read_shard(shard, columns=SCHEMA.names):
                yield from from_table(batch)
            return
        for text in read_texts(shard, self.layout, counts, strict=self.strict):
            counts["totals"]["texts read"] += 1
            cut = cut_text(
                text.text,
                lang=self.lang,
                per_character=self.per_character,
                sentences=self.sentences,
            )
            for number, words in enumerate(cut):
                yield Record(words.tokens, [], words.spaces, f"{text.id}-{number}", text.id)


def annotate(
    inputs: Sequence[PathLike],
    out: PathLike,
    gazetteer: PathLike,
    engine: Engine,
    *,
    lang: str,
    per_character: bool = False,
    layout: TextLayout = LINES,
    sentences: bool = True,
    strict: bool = False,
    resume: bool = True,
    shard_bytes: int = SHARD_BYTES,
    **labels: Any,
) -> Counts:
    """Label texts, or the records of Parquet stores, with a dictionary.

    gazetteer (PathLike): The folder of a ``Gazetteer``.
    labels: The settings of ``DistantLabels``. All others: see ``label_texts``.
    RETURNS (Counts): ``totals``, ``labels`` (mentions), ``dropped`` by cause.

    Raises ValueError as ``label_texts``, ``DistantLabels`` and the gazetteer's loading do.
    """
    labeller = DistantLabels(str(Path(gazetteer).resolve()), **labels)
    load_once(Gazetteer, labeller.gazetteer)  # a wrong folder is told before any work is done
    return label_texts(
        inputs,
        out,
        labeller,
        engine,
        lang=lang,
        per_character=per_character,
        layout=layout,
        sentences=sentences,
        strict=strict,
        resume=resume,
        shard_bytes=shard_bytes,
    )


def label_texts(
    inputs: Sequence[PathLike],
    out: PathLike,
    labeller: Labeller,
    engine: Engine,
    *,
    lang: str,
    per_character: bool = False,
    layout: TextLayout = LINES,
    sentences: bool = True,
    strict: bool = False,
    resume: bool = True,
    shard_bytes: int = SHARD_BYTES,
) -> Counts:
    """Give the sentences of texts, or the records of Parquet stores, their spans.

    inputs (Sequence[PathLike]): Files, or folders of them, all of one kind.
    out (PathLike): Folder for the Parquet files of records, readable as a corpus.
    labeller (Labeller): What says where the spans are.
    engine (Engine): What runs the job.
    lang (str), per_character (bool): The tokenizer of free text, see ``make_splitter``.
    layout (TextLayout): How texts lie in the files.
    sentences (bool): Cut texts into sentences; else a text is a record.
    strict (bool): Stop at the first line that cannot be read. Else it is dropped and counted.
    resume (bool): Go on with the job whose finished shards are in ``out``.
    RETURNS (Counts): What the labeller counts, and ``dropped`` texts by cause.

    Raises ValueError for inputs that are not there (HE075), an unknown language (HE085), texts
    among stores (HE182), and as the engine does.
    """
    task = AnnotateTask(labeller, layout, language_code(lang), per_character, sentences, strict)
    stores = [path for path in inputs if is_store(Path(path))]
    texts = [path for path in inputs if path not in stores] + texts_beside(stores)
    if stores and texts:
        raise ValueError(Errors.HE182.format(store=stores[0], text=texts[0]))
    shards = (
        parquet_shards(stores)
        if stores
        else text_shards(find_files(texts), layout, shard_bytes=shard_bytes)
    )
    settings = {**asdict(task), "labels": labeller.identity()}
    key = {"settings": settings, "inputs": identify(inputs)}
    return engine.map(task, shards, out, key=key, resume=resume, description="annotate")


def _mentions(
    records: Sequence[Record], gazetteer: Gazetteer, *, overlapping: bool
) -> List[_Found]:
    """What a dictionary finds in each record."""
    texts = [(record.tokens, record.spaces or [True] * len(record.tokens)) for record in records]
    return [
        [
            (start, end, gazetteer.labels_of(entry))
            for (start, end), entry in zip(
                matches.spans.tolist(), matches.entries.tolist(), strict=True
            )
        ]
        for matches in match_tokens(gazetteer, texts, overlapping=overlapping)
    ]


def _known_spans(record: Record, gazetteer: Gazetteer) -> _Found:
    """What a dictionary says of the spans that a record has."""
    found = []
    for start, end in dict.fromkeys((span.start, span.end) for span in record.spans):
        spaces = None if record.spaces is None else record.spaces[start:end]
        surface = Record(record.tokens[start:end], [], spaces).text.strip()
        found.append((start, end, gazetteer.get(surface)))
    return found


def _spans(found: _Found, conflict: str) -> List[LabelledSpan]:
    most = 1 if conflict == "first" else None  # labels are in order of priority
    return in_document_order(
        LabelledSpan(start, end, label) for start, end, labels in found for label in labels[:most]
    )


def _meta(record: Record, spans: List[LabelledSpan], settings: DistantLabels) -> Dict[str, Any]:
    meta: Dict[str, Any] = {}
    taken = [False] * len(record.tokens)
    for span in spans:
        taken[span.start : span.end] = [True] * (span.end - span.start)
    if settings.unmatched == "unknown" and not all(taken):
        meta[UNKNOWN] = runs([not inside for inside in taken])
    if wanted := round(settings.non_entities * len(spans)):
        identity = record.id or " ".join(record.tokens)
        meta[NON_ENTITIES] = sample_regions(
            identity, taken, wanted, max_region=settings.max_region, seed=settings.seed
        )
    return meta
