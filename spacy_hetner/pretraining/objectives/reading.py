"""What objectives share: records as word pieces, instances as columns, batches that are padded."""

from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy
import pyarrow as pa
import torch
from torch import Tensor

from ...corpora.records import UNKNOWN, Record
from ...corpora.steps import LABELS, Step, count_labels, replace_columns
from ...corpora.stores import SCHEMA, from_table
from ...encoders.hugging_face import load_outline, longest_input
from ...encoders.pieces import Pieces, read_pieces, special_pieces, token_offsets
from ...encoders.windows import Window
from ...engine.tables import parquet_shards, read_shard
from ...engine.task import Counts, Shard, new_counts
from ...types import PathLike
from .objective import LENGTH, Instance

_RECORDS = 1024

# What becomes of the mentions of records, as it is counted.
TOTALS, NOT_LEARNT, CUT = "totals", "mentions of labels not in training", "cut"
OVERLAPPING = "mention inside or across another"
WITHOUT_PIECES = "mention without pieces"
NOTHING_SAID = "window of which nothing is known"
TOO_LONG = "mention longer than what windows share"


class PieceReader:
    """The tokenizer of an encoder folder, and how much that encoder reads at once.

    by_token (bool): Cut each token on its own rather than the running text.
    max_pieces (int): Most pieces of a window, special ones not counted.
    capacity: as many, or fewer where the encoder reads no more; longest: all that it reads at once,
    special pieces included.
    """

    def __init__(self, encoder: str, *, by_token: bool, max_pieces: int) -> None:
        written = tuple(file.stat().st_mtime_ns for file in sorted(Path(encoder).glob("*")))
        self.tokenizer, self.longest = _load_once(encoder, by_token, written)
        self.by_token = by_token
        self.prefix, self.suffix = special_pieces(self.tokenizer)
        self.capacity = min(max_pieces, self.longest - len(self.prefix) - len(self.suffix))

    def __call__(self, records: Sequence[Record]) -> List[Pieces]:
        """The pieces of each record."""
        return read_pieces(
            self.tokenizer,
            [record.text for record in records],
            [token_offsets(record.tokens, record.spaces) for record in records],
            by_token=self.by_token,
        )

    def frame(self, ids: numpy.ndarray) -> numpy.ndarray:
        """The pieces of a window with special ones around, as the encoder reads them."""
        return numpy.concatenate((self.prefix, ids, self.suffix))


def stored_records(
    shard: Shard, counts: Counts, step: Optional[Step] = None
) -> Iterator[List[Record]]:
    """Stream the records of a shard, in lists, after a step that works on columns."""
    for batch in read_shard(shard, SCHEMA.names):
        batch = replace_columns(batch, {})
        if step is not None:
            batch = step(batch, counts)
        for start in range(0, len(batch), _RECORDS):
            yield list(from_table(batch.slice(start, _RECORDS)))


def choose_windows(
    windows: Sequence[Window], firsts: numpy.ndarray, bounds: Sequence[Tuple[int, int]]
) -> Tuple[numpy.ndarray, int]:
    """The window in which each token is labelled: that which keeps its first piece, but all tokens
    of a mention in one, if one holds them.

    firsts: int64 ``(n,)``, the first piece of each token; bounds: first and last + 1 token of each
        mention, none across another.
    RETURNS: int64 ``(n,)``, and how many mentions no window holds.
    """

    def holds(number: int, start: int, end: int) -> bool:
        window = windows[number]
        return window.start <= firsts[start] and firsts[end - 1] < window.end

    chosen = numpy.searchsorted([window.keep_end for window in windows], firsts, side="right")
    cut = 0
    for start, end in bounds:
        crossed = range(chosen[start], chosen[end - 1] + 1)
        holding = [number for number in crossed if holds(number, start, end)]
        if holding:
            chosen[start:end] = holding[0]
        else:
            cut += 1
    return chosen, cut


def unknown_tokens(record: Record) -> numpy.ndarray:
    """The tokens of which nothing is known, see ``corpora.records.UNKNOWN``: bool ``(n,)``."""
    unknown = numpy.zeros(len(record.tokens), dtype=bool)
    for start, end in record.meta.get(UNKNOWN, ()):
        unknown[start:end] = True
    return unknown


def label_counts(train: Sequence[PathLike]) -> Dict[str, int]:
    """The labels of stored spans and how many have each, in the order of the alphabet."""
    counts = new_counts()
    for shard in parquet_shards(train):
        for batch in read_shard(shard, ["labels"]):
            count_labels(batch, counts)
    return {label: count for label, count in sorted(counts[LABELS].items()) if label}


def special_ids(tokenizer: Any) -> numpy.ndarray:
    """The pieces that stand for no text, such as [MASK] and [UNK]: ascending."""
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(piece for piece in added if added[piece].special)}
    return numpy.array(sorted(special), dtype="int64")


def to_batch(instances: Sequence[Instance], schema: pa.Schema) -> pa.RecordBatch:
    """Instances as columns; the first one after ``length`` is what the encoder reads."""
    names = schema.names[1:]
    lengths = [len(instance[names[0]]) for instance in instances]
    columns: List[pa.Array] = [pa.array(lengths, LENGTH.type)]
    for name in names:
        lists = [instance[name] for instance in instances]
        offsets = pa.array([0, *accumulate(map(len, lists))], pa.int32())
        flat = numpy.concatenate([numpy.zeros(0, dtype="int32"), *lists]).astype("int32")
        columns.append(pa.ListArray.from_arrays(offsets, pa.array(flat)))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def pad(rows: Sequence[numpy.ndarray]) -> Dict[str, Tensor]:
    """``input_ids`` and ``attention_mask`` of windows: int64 ``(b, longest)``."""
    lengths = numpy.array([len(row) for row in rows])
    mask = numpy.arange(lengths.max()) < lengths[:, None]
    ids = numpy.zeros(mask.shape, dtype="int64")
    ids[mask] = numpy.concatenate(rows)
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy(mask.astype("int64")),
    }


def flat_places(rows: Sequence[numpy.ndarray], longest: int) -> numpy.ndarray:
    """Places in windows as places in a flat batch whose windows are ``longest`` pieces wide."""
    windows = numpy.repeat(numpy.arange(len(rows)), [len(row) for row in rows])
    return numpy.concatenate(rows).astype("int64") + windows * longest


@lru_cache(maxsize=2)
def _load_once(folder: str, by_token: bool, written: Tuple[int, ...]) -> Tuple[Any, int]:
    """The tokenizer of an encoder, and how many pieces that reads; once a process, and again if a
    file of the folder was written anew."""
    tokenizer, outline = load_outline(folder, by_token=by_token)
    return tokenizer, longest_input(tokenizer, outline)
