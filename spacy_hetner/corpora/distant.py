"""Distant labels: records whose spans a dictionary gave, from free text or from other records.

The dictionary is matched leftmost-longest over tokens, so that of entries that overlap one is left
(Decoupled NER, section 3.2). What it does not know is not therefore outside of all entities: with
``unmatched="unknown"`` it is kept apart, as partial annotation is.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Sequence, Tuple

import pyarrow as pa
from spacy.util import minibatch

from ..engine.engine import Engine
from ..engine.tables import identify, parquet_shards, read_shard
from ..engine.task import Counts, Shard
from ..errors import Errors
from ..files import load_once
from ..gazetteers.gazetteer import Gazetteer
from ..gazetteers.tokens import TokenMatches, match_tokens
from ..sampling import uniform
from ..sources import find_files
from ..types import LabelledSpan, PathLike
from ..validation import check_choice, check_count, check_range
from .free_text import LINES, SHARD_BYTES, TextLayout, read_texts, text_shards
from .readers.texts import language_code
from .records import UNKNOWN, Record, in_document_order, runs
from .stores import SCHEMA, from_table, to_batch
from .text_sources import is_store, texts_beside
from .words import cut_text

MATCHINGS = ("longest", "all")
UNMATCHED = ("outside", "unknown")
NON_ENTITIES = "non_entities"
"""The key in ``Record.meta`` of sampled spans ``[start, end]`` that touch no mention."""
BATCH = 2048
TRIES = 4
"""Regions drawn for each that is wanted: those that touch a mention or repeat another are lost."""


@dataclass(frozen=True)
class DistantLabels:
    """How a dictionary labels sentences.

    gazetteer (str): The folder of a ``Gazetteer``.
    matching (str): ``longest``: leftmost-longest, no two mentions overlap; ``all``: every entry
        that occurs, nested and crossing ones too. An entry of several types gives a span each.
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
    unmatched: str = "outside"
    matched_only: bool = True
    non_entities: float = 0.0
    max_region: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("matching", self.matching, MATCHINGS)
        check_choice("unmatched", self.unmatched, UNMATCHED)
        check_range("non_entities", self.non_entities, 0, 100)
        check_count("max_region", self.max_region, 1)


def label_records(
    records: Sequence[Record], gazetteer: Gazetteer, settings: DistantLabels, counts: Counts
) -> List[Record]:
    """The records with the mentions that a dictionary finds in them, in place of their own.

    Counts, under ``totals``, the sentences and tokens read, the sentences with a mention and the
    regions drawn; under ``labels`` the mentions.
    """
    texts = [(record.tokens, record.spaces or [True] * len(record.tokens)) for record in records]
    found = match_tokens(gazetteer, texts, overlapping=settings.matching == "all")
    labelled = []
    totals = counts["totals"]
    for record, matches in zip(records, found, strict=True):
        spans = _spans(matches, gazetteer)
        totals["sentences read"] += 1
        totals["tokens read"] += len(record.tokens)
        totals["sentences with a mention"] += bool(spans)
        counts["labels"].update(span.label for span in spans)
        if spans or not settings.matched_only:
            meta = _meta(record, spans, settings)
            totals["non-entities"] += len(meta.get(NON_ENTITIES, ()))
            labelled.append(replace(record, spans=spans, meta=meta))
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
    """Label one shard of texts or records; see ``annotate`` for the settings."""

    labels: DistantLabels
    layout: TextLayout
    lang: str
    per_character: bool
    sentences: bool
    strict: bool

    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the labelled records of a shard."""
        gazetteer = load_once(Gazetteer, self.labels.gazetteer)
        for records in minibatch(self._records(shard, counts), BATCH):
            if labelled := label_records(records, gazetteer, self.labels, counts):
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

    inputs (Sequence[PathLike]): Files, or folders of them, all of one kind.
    out (PathLike): Folder for the Parquet files of records, readable as a corpus.
    gazetteer (PathLike): The folder of a ``Gazetteer``.
    engine (Engine): What runs the job.
    lang (str), per_character (bool): The tokenizer of free text, see ``make_splitter``.
    layout (TextLayout): How texts lie in the files.
    sentences (bool): Cut texts into sentences; else a text is a record.
    strict (bool): Stop at the first line that cannot be read. Else it is dropped and counted.
    resume (bool): Go on with the job whose finished shards are in ``out``.
    labels: The settings of ``DistantLabels``.
    RETURNS (Counts): ``totals``, ``labels`` (mentions), ``dropped`` by cause.

    Raises ValueError for inputs that are not there (HE075), an unknown language (HE085), texts
    among stores (HE182), and as ``DistantLabels``, the gazetteer's loading and the engine do.
    """
    task = AnnotateTask(
        DistantLabels(str(Path(gazetteer).resolve()), **labels),
        layout,
        language_code(lang),
        per_character,
        sentences,
        strict,
    )
    load_once(Gazetteer, task.labels.gazetteer)  # a wrong folder is told before any work is done
    stores = [path for path in inputs if is_store(Path(path))]
    texts = [path for path in inputs if path not in stores] + texts_beside(stores)
    if stores and texts:
        raise ValueError(Errors.HE182.format(store=stores[0], text=texts[0]))
    shards = (
        parquet_shards(stores)
        if stores
        else text_shards(find_files(texts), layout, shard_bytes=shard_bytes)
    )
    settings = asdict(task)
    settings["labels"]["gazetteer"] = identify(gazetteer)
    key = {"settings": settings, "inputs": identify(inputs)}
    return engine.map(task, shards, out, key=key, resume=resume, description="annotate")


def _spans(matches: TokenMatches, gazetteer: Gazetteer) -> List[LabelledSpan]:
    pairs = zip(matches.spans.tolist(), matches.entries.tolist(), strict=True)
    return in_document_order(
        LabelledSpan(start, end, label)
        for (start, end), entry in pairs
        for label in gazetteer.labels_of(entry)
    )


def _meta(record: Record, spans: List[LabelledSpan], settings: DistantLabels) -> Dict[str, Any]:
    meta = {key: value for key, value in record.meta.items() if key not in (UNKNOWN, NON_ENTITIES)}
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
