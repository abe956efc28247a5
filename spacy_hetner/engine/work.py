"""How one shard is done: rows to Parquet, then a note beside it which says that they are there.

Both files appear by renaming, the note last. So a shard is done or it is not, at whatever moment
a process is killed: without a note that fits, the rows are written again.
"""

import json
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, List, NamedTuple, Optional

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import Errors, is_coded
from ..files import replacing, write_json
from .task import Counts, Shard, Task, new_counts

ROW_GROUP = 8192
ROW_GROUP_BYTES = 64 * 2**20


class Done(NamedTuple):
    """What is known of a finished shard."""

    rows: int
    counts: Counts


class _TaskError(Exception):
    """Carries a task's error past those who take every OSError for one of their own."""


def data_path(folder: Path, name: str) -> Path:
    return folder / f"part-{name}.parquet"


def note_path(folder: Path, name: str) -> Path:
    return folder / f"part-{name}.json"


@dataclass(frozen=True)
class Work:
    """A task with the folder that its rows go to; engines hand it to their processes.

    job (str): Fingerprint of the job: parts of another one do not count as done.
    """

    task: Task
    folder: Path
    job: str

    def __call__(self, shard: Shard) -> int:
        """Do a shard, unless it is done. RETURNS (int): Its rows. Raises ValueError (HE126)."""
        done = self.find(shard)
        return self._do(shard) if done is None else done.rows

    def find(self, shard: Shard) -> Optional[Done]:
        """What is known of a shard, or None if it is not done, or its files are damaged."""
        data = data_path(self.folder, shard.name)
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
            note = json.loads(note_path(self.folder, shard.name).read_text(encoding="utf8"))
            counts = {name: Counter(counter) for name, counter in note["counts"].items()}
            if note["job"] == self.job and note["bytes"] == data.stat().st_size:
                rows = pq.read_metadata(data).num_rows
                return Done(rows, counts) if rows == note["rows"] else None
        return None

    def _do(self, shard: Shard) -> int:
        data = data_path(self.folder, shard.name)
        counts = new_counts()
        try:
            rows = _write(data, self.task.schema, _rows_of(self.task, shard, counts))
            note = {"job": self.job, "shard": shard._asdict(), "rows": rows}
            note |= {"bytes": data.stat().st_size, "counts": counts}
            write_json(note_path(self.folder, shard.name), note)
        except Exception as error:
            cause = error.__cause__ if isinstance(error, _TaskError) else error
            reason = _describe(cause or error)
            raise ValueError(
                Errors.HE126.format(
                    name=shard.name, source=shard.source, reason=reason, folder=self.folder
                )
            ) from cause
        return rows


def _rows_of(task: Task, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
    try:
        for batch in task(shard, counts):
            if batch.schema != task.schema:
                raise TypeError(f"rows of {batch.schema} instead of {task.schema}")
            yield batch
    except Exception as error:
        raise _TaskError from error


def _write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write rows in groups of even size, however many a batch of the task has."""
    rows = 0
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as file,
    ):
        for table in _groups(schema, batches):
            file.write_table(table, row_group_size=ROW_GROUP)
            rows += len(table)
    return rows


def _groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: List[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        held.append(batch)
        rows += len(batch)
        size += batch.nbytes
        if rows >= ROW_GROUP or size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(held, schema)
            held, rows, size = [], 0, 0
    if rows:
        yield pa.Table.from_batches(held, schema)


def _describe(error: BaseException) -> str:
    """An error in a line: a message of ours as it is, anything else with its kind and place."""
    if is_coded(error):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}."
