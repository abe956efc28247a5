"""What all engines share: a job is opened, its missing shards are done, its counts are summed."""

import time
from abc import ABC, abstractmethod
from contextlib import closing
from typing import Any, Generator, Mapping, Optional, Sequence

from tqdm import tqdm

from ..types import PathLike
from .folder import missing_shards, open_job, sum_counts
from .task import Counts, Shard, Task
from .work import Work


class Engine(ABC):
    """Runs a task over shards. The rows do not depend on which engine it is.

    progress (Optional[bool]): Show a progress bar on stderr; None: if it is a terminal.
    """

    def __init__(self, *, progress: Optional[bool] = None) -> None:
        self.progress = progress

    def map(
        self,
        task: Task,
        shards: Sequence[Shard],
        out: PathLike,
        *,
        key: Mapping[str, Any],
        resume: bool = True,
        description: str = "",
    ) -> Counts:
        """Write a shard's rows as ``out/part-<name>.parquet``, for all shards not yet done.

        A run that was killed, or stopped by an error, goes on where it was when it is called
        again; a shard is neither done twice nor lost. One run at a time works in a folder.

        key (Mapping[str, Any]): Settings of the task and identities of its input, as JSON. With
            another key, the rows in the folder would be of another job.
        resume (bool): If False, delete what the job wrote to the folder before.
        description (str): What is done, for the progress bar.
        RETURNS (Counts): The sum of all shards' counts, also of those done before; with the
            number of rows as ``["rows"]["total"]``.

        Raises ValueError for a shard that fails (HE126) or whose process keeps dying (HE127), for
        a folder that is another job's (HE125), is in use (HE128) or holds other files (HE137),
        for shards of one name (HE131) and if the folder cannot be written (HE081).
        """
        with open_job(out, task, shards, key=key, resume=resume) as work:
            missing = missing_shards(work, shards)
            if missing:
                self._follow(work, missing, len(shards), description)
            return sum_counts(work, shards)

    @abstractmethod
    def run(self, work: Work, shards: Sequence[Shard]) -> Generator[int, None, None]:
        """Do shards in any order, and yield the rows of each when it is done."""

    def _follow(self, work: Work, missing: Sequence[Shard], total: int, description: str) -> None:
        with (
            closing(self.run(work, missing)) as results,
            tqdm(
                total=total,
                initial=total - len(missing),
                desc=description or None,
                unit="shard",
                disable=None if self.progress is None else not self.progress,
            ) as bar,
        ):
            rows, start = 0, time.monotonic()
            for done in results:
                rows += done
                rate = rows / max(time.monotonic() - start, 1e-9)
                bar.set_postfix_str(f"{rows:,} rows, {rate:,.0f} rows/s", refresh=False)
                bar.update()
