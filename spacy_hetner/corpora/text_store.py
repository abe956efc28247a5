"""Raw texts to a store of records to pre-train on: each text once, and none of a test set.

==================  ==============================================================================
in the output       is
==================  ==============================================================================
``excluded``        hashes of the texts that no text may be like
``files.parquet``   what is read: files, cut or put together to shards of about even size
``texts``           all texts that were read, with their hashes
``fates.npy``       what becomes of each: its part, or the cause for which it is dropped
``train``, ``dev``  the records, and in ``origin.json`` what they were made of
==================  ==============================================================================

A job that was cut off goes on where it was, and its rows do not depend on who runs it. Once it is
done, all but ``train`` and ``dev`` can be deleted.
"""

import warnings
from dataclasses import dataclass, replace
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Union

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
from spacy.util import minibatch

from ..about import __version__
from ..engine.engine import Engine
from ..engine.folder import locked
from ..engine.tables import first_row, parquet_files, parquet_shards, read_shard
from ..engine.task import Counts, Shard, Task, merge_counts, new_counts
from ..errors import Errors, Warnings
from ..files import load_once, remove_folder, replacing, write_json
from ..sampling import uniform
from ..types import PathLike
from ..validation import check_count
from .free_text import SHARD_BYTES, FreeText
from .overlaps import EQUAL, SHARES, TextIndex, fold, hash_texts
from .readers.texts import language_code
from .records import Record
from .stores import SCHEMA, to_batch
from .text_sources import Piece, TextSource, name_sources, pack_pieces, parse_source, read_piece
from .words import cut_text, make_splitter

PARTS = ("train", "dev")
ORIGIN = "origin.json"
SAME = "text that equals an excluded one"
SHARED = "text that shares a run of characters with an excluded one"
REPEATED = "text that repeats an earlier one"
FATES = (*PARTS, SAME, SHARED, REPEATED)
"""What becomes of a text that was read: its part, or the cause for which it is dropped."""

BATCH = 2048
_FATES_FILE = "fates.npy"
_FILES = pa.schema(
    [
        pa.field("source", pa.int32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("name", "path", "kind", "key")),
        *(pa.field(name, pa.int64(), nullable=False) for name in ("column", "start", "end")),
    ]
)
_TEXTS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("source", pa.int32(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("hash", pa.uint64(), nullable=False),
        pa.field("fate", pa.uint8(), nullable=False),
    ]
)


def collect_texts(
    sources: Sequence[Union[PathLike, TextSource]],
    output: PathLike,
    engine: Engine,
    *,
    lang: str,
    per_character: bool = False,
    sentences: bool = False,
    exclude: Sequence[Union[PathLike, TextSource]] = (),
    overlap: int = 20,
    dev: float = 0.01,
    seed: int = 0,
    strict: bool = False,
    resume: bool = True,
    shard_bytes: int = SHARD_BYTES,
) -> Counts:
    """Write texts as records without spans, each text once, to ``output/train`` and ``output/dev``.

    Of equal texts the first is taken, in the order of the sources.

    sources (Sequence[Union[PathLike, TextSource]]): Files and folders, see ``parse_source``.
    output (PathLike): A folder.
    engine (Engine): What runs the job.
    lang (str), per_character (bool): The tokenizer, see ``make_splitter``.
    sentences (bool): A record for each sentence; else one for each text.
    exclude (Sequence[Union[PathLike, TextSource]]): Test sets: no text is taken that equals one of
        theirs or shares a run of characters with it.
    overlap (int): The length of such a run. Texts are compared in NFKC and without white space.
    dev (float): Share of the texts that is drawn for ``output/dev``; 0: there is none.
    seed (int): The draw depends on it and on the texts' ids, on nothing else.
    strict (bool): Stop at the first thing that cannot be read. Else it is dropped and counted.
    resume (bool): Go on with what is done in ``output``.
    RETURNS (Counts): ``totals``; by source ``texts read``, ``texts kept``, ``characters read`` and
        ``characters kept``; ``dropped`` by cause, with the ``places`` of the first that could not
        be read. Characters are counted without white space.

    Raises ValueError for a dev that is no share (HE230), an overlap < 1 (HE078), sources that are
    not there or not clear (HE075, HE232, HE233, HE234), an unknown language (HE085), if no text is
    left for training (HE231), and as the engine does.
    """
    if not 0 <= dev < 1:
        raise ValueError(Errors.HE230.format(value=dev))
    check_count("overlap", overlap, 1)
    settings = {"overlap": overlap, "dev": dev, "seed": seed, "strict": strict}
    cutting = {"lang": language_code(lang), "per_character": per_character, "sentences": sentences}
    make_splitter(lang, per_character=per_character)  # a wrong language is told before any work
    found, excluded = ([*map(parse_source, given)] for given in (sources, exclude))
    origin = {"sources": _describe(found), "exclude": _describe(excluded)}
    out = Path(output).resolve()
    job = _Job(out, engine, found, excluded, origin, settings, cutting, resume)
    with locked(out):
        counts = job.read(shard_bytes)
        tally = job.decide()
        counts = merge_counts([tally.to_counts(name_sources(found)), counts])
        if not tally.texts[:, 0].any():
            dropped = counts["dropped"]
            causes = "; ".join(f"{cause}: {count}" for cause, count in dropped.items())
            texts = counts["totals"]["texts read"]
            raise ValueError(Errors.HE231.format(read=texts, causes=causes, overlap=overlap))
        for part in PARTS if dev else PARTS[:1]:
            rows = job.write(part, tally, counts["dropped"])
            counts["totals"][f"records of {part}"] = rows
        if not dev and (out / "dev" / ORIGIN).exists():
            remove_folder(out / "dev")  # of an earlier job
    if dev and not counts["totals"]["records of dev"]:
        texts = counts["totals"]["texts kept"]
        message = Warnings.HW230.format(texts=texts, folder=out / "dev", share=dev)
        warnings.warn(message, stacklevel=2)
    return counts


@dataclass(frozen=True)
class ReadTexts:
    """Read the texts of one shard of ``files.parquet``, and see what is to become of each.

    excluded (str): The folder of a ``TextIndex``; empty: nothing is excluded.
    dev (float), seed (int), strict (bool): See ``collect_texts``.
    """

    excluded: str
    dev: float
    seed: int
    strict: bool

    schema: ClassVar[pa.Schema] = _TEXTS

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the texts of a shard. What repeats an earlier text is not known yet."""
        texts = (
            (piece.source, text)
            for piece in _listed_pieces(shard)
            for text in read_piece(piece, counts, strict=self.strict)
        )
        for batch in minibatch(texts, BATCH):
            sources, found = zip(*batch, strict=True)
            yield self._rows(sources, found)

    def _rows(self, sources: Sequence[int], texts: Sequence[FreeText]) -> pa.RecordBatch:
        ids = [text.id for text in texts]
        folded = [fold(text.text) for text in texts]
        hashes = hash_texts(folded)
        fates = (uniform(ids, seed=self.seed, salt="dev part") < self.dev).astype("uint8")
        if self.excluded:
            found = load_once(TextIndex, self.excluded).compare(folded, hashes)
            fates[found == EQUAL] = FATES.index(SAME)
            fates[found == SHARES] = FATES.index(SHARED)
        columns = {
            "id": ids,
            "text": [text.text for text in texts],
            "source": sources,
            "characters": [sum(map(len, text.text.split())) for text in texts],
            "hash": hashes,
            "fate": fates,
        }
        return pa.RecordBatch.from_pydict(columns, schema=_TEXTS)


@dataclass(frozen=True)
class WritePart:
    """Make records of the texts of one part, in a shard of those that ``ReadTexts`` wrote.

    fates (str): The file with what becomes of each text.
    first_rows (Mapping[str, int]): How many texts stand before those of each file, by its name.
    lang (str), per_character (bool), sentences (bool): See ``cut_text``.
    """

    part: str
    fates: str
    first_rows: Mapping[str, int]
    lang: str
    per_character: bool
    sentences: bool

    schema: ClassVar[pa.Schema] = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the records of a shard."""
        fates = numpy.load(self.fates, mmap_mode="r")
        start = self.first_rows[Path(shard.source).name] + first_row(shard)
        for batch in read_shard(shard, ["id", "text"]):
            chosen = fates[start : start + len(batch)] == FATES.index(self.part)
            start += len(batch)
            rows = batch.filter(pa.array(chosen)).to_pylist()
            for some in minibatch(rows, BATCH):
                yield to_batch([record for row in some for record in self._records(**row)])

    def _records(self, id: str, text: str) -> Iterator[Record]:
        cut = cut_text(
            text, lang=self.lang, per_character=self.per_character, sentences=self.sentences
        )
        for number, words in enumerate(cut):
            name = f"{id}-{number}" if self.sentences else id
            yield Record(words.tokens, [], words.spaces, name, id)


class _Tally(NamedTuple):
    """How many texts of each source met which fate, and how many characters they have.

    texts, characters: int64 ``(sources, fates)``.
    first_rows: How many texts stand before those of each file of ``texts``, by its name.
    """

    texts: numpy.ndarray
    characters: numpy.ndarray
    first_rows: Dict[str, int]

    def to_counts(self, names: Sequence[str]) -> Counts:
        """Texts and characters read and kept, in all and by the names of the sources."""
        counts = new_counts()
        for what, table in (("texts", self.texts), ("characters", self.characters)):
            for how, columns in (("read", len(FATES)), ("kept", len(PARTS))):
                numbers = table[:, :columns].sum(axis=1).tolist()
                counts["totals"][f"{what} {how}"] = sum(numbers)
                for name, number in zip(names, numbers, strict=True):
                    counts[f"{what} {how}"][name] += number
        totals = zip(FATES, self.texts.sum(axis=0).tolist(), strict=True)
        counts["dropped"].update({fate: n for fate, n in totals if fate not in PARTS and n})
        return counts

    def describe(self, source: int, part: str) -> Dict[str, Any]:
        """What was read of a source, what of it is in a part, and what was dropped, as JSON."""
        texts, characters = (table[source].tolist() for table in self[:2])
        place = FATES.index(part)
        causes = list(zip(FATES, texts, strict=True))[len(PARTS) :]
        return {
            "read": {"texts": sum(texts), "characters": sum(characters)},
            "kept": {"texts": texts[place], "characters": characters[place]},
            "dropped": {cause: count for cause, count in causes if count},
        }


@dataclass(frozen=True)
class _Job:
    """The steps of ``collect_texts``, in the folder ``out``.

    origin (Mapping[str, Any]): What the sources are, and the excluded ones, as JSON.
    settings (Mapping[str, Any]): What the choice among the texts depends on.
    cutting (Mapping[str, Any]): What their tokens depend on: the settings of ``cut_text``.
    """

    out: Path
    engine: Engine
    sources: Sequence[TextSource]
    exclude: Sequence[TextSource]
    origin: Mapping[str, List[Dict[str, Any]]]
    settings: Mapping[str, Any]
    cutting: Mapping[str, Any]
    resume: bool

    def read(self, shard_bytes: int) -> Counts:
        """Read all texts.

        RETURNS (Counts): What could not be read, in the excluded sources, too.
        """
        unread = new_counts()
        names = ("dev", "seed", "strict")
        task = ReadTexts("", **{name: self.settings[name] for name in names})
        if self.exclude:
            task = replace(task, excluded=str(self.out / "excluded"))
            pieces = chain.from_iterable(pack_pieces(self.exclude))
            texts = (
                text for piece in pieces for text in read_piece(piece, unread, strict=task.strict)
            )
            folded = [fold(text.text) for text in texts]
            TextIndex.build(folded, self.settings["overlap"]).to_disk(task.excluded)
        shards = _list_pieces(self.sources, self.out / "files.parquet", shard_bytes)
        read = self._map("texts", task, shards, shard_bytes=shard_bytes)
        counts = merge_counts([read, unread])
        return {name: counts[name] for name in ("dropped", "places") if name in counts}

    def decide(self) -> _Tally:
        """Find the texts that repeat an earlier one, and write what becomes of each."""
        names = ["source", "characters", "hash", "fate"]
        files = parquet_files(self.out / "texts")
        tables = [pq.read_table(file, columns=names) for file in files]
        starts = [0, *accumulate(map(len, tables))]
        columns = pa.concat_tables([_TEXTS.empty_table().select(names), *tables])
        source, characters, hashes, fates = (columns[name].to_numpy() for name in names)
        fates = fates.copy()
        taken = numpy.flatnonzero(fates < len(PARTS))
        _, firsts = numpy.unique(hashes[taken], return_index=True)
        fates[numpy.delete(taken, firsts)] = FATES.index(REPEATED)
        with replacing(self.out / _FATES_FILE) as partial, partial.open("wb") as file:
            numpy.save(file, fates)
        shape = (len(self.sources), len(FATES))
        cells = numpy.ravel_multi_index((source, fates), shape)
        texts, sums = (
            numpy.bincount(cells, weights, minlength=shape[0] * shape[1]).reshape(shape)
            for weights in (None, characters)
        )
        first_rows = {file.name: start for file, start in zip(files, starts, strict=False)}
        return _Tally(texts, sums.astype("int64"), first_rows)

    def write(self, part: str, tally: _Tally, dropped: Mapping[str, int]) -> int:
        """Write the records of a part, then what they were made of. RETURNS (int): The records."""
        note = self.out / part / ORIGIN
        if not self.resume:
            note.unlink(missing_ok=True)  # it says what is there: not while that is written anew
        task = WritePart(part, str(self.out / _FATES_FILE), tally.first_rows, **self.cutting)
        shards = parquet_shards(self.out / "texts")
        records = self._map(part, task, shards, cutting=self.cutting)["rows"]["total"]
        sources = [
            {**source, **tally.describe(number, part)}
            for number, source in enumerate(self.origin["sources"])
        ]
        settings = {**self.settings, **self.cutting}
        origin = {"part": part, "records": records, "sources": sources}
        origin |= {"exclude": self.origin["exclude"], "dropped": dropped, "settings": settings}
        write_json(note, {**origin, "version": __version__})
        return records

    def _map(self, name: str, task: Task, shards: Sequence[Shard], **key: Any) -> Counts:
        key = {**self.origin, "settings": self.settings, **key}
        return self.engine.map(
            task, shards, self.out / name, key=key, resume=self.resume, description=name
        )


def _describe(sources: Sequence[TextSource]) -> List[Dict[str, Any]]:
    return [
        {"name": name, "layout": source.kind, "files": len(source.files), "sha256": source.digest()}
        for name, source in zip(name_sources(sources), sources, strict=True)
    ]


def _list_pieces(sources: Sequence[TextSource], path: Path, shard_bytes: int) -> List[Shard]:
    """Write what is to be read, so that each row group is what one shard reads."""
    with replacing(path) as partial, pq.ParquetWriter(partial, _FILES) as file:
        for pieces in pack_pieces(sources, shard_bytes):
            rows = [piece._asdict() for piece in pieces]
            file.write_table(pa.Table.from_pylist(rows, _FILES), row_group_size=len(rows))
    return parquet_shards(path, row_groups=1)


def _listed_pieces(shard: Shard) -> Iterator[Piece]:
    for batch in read_shard(shard, _FILES.names):
        yield from (Piece(**row) for row in batch.to_pylist())
