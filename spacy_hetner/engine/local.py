"""The engine of one machine: in this process, or in several. No daemon, nothing listens."""

from typing import Generator, Optional, Sequence

from ..validation import check_count
from .engine import Engine
from .pool import run_in_processes
from .task import Shard
from .work import Work


class LocalEngine(Engine):
    """Runs tasks in this process, or in processes of its own if there is more than one worker.

    Processes are started afresh, not forked: a script needs ``if __name__ == "__main__":``.

    workers (int): How many shards are done at a time.
    retries (int): How often a shard is tried again if its process dies, as for want of memory.

    Raises ValueError (HE078) for workers < 1 or retries < 0.
    """

    def __init__(
        self, workers: int = 1, *, retries: int = 2, progress: Optional[bool] = None
    ) -> None:
        super().__init__(progress=progress)
        self.workers = check_count("workers", workers, 1)
        self.retries = check_count("retries", retries, 0)

    def run(self, work: Work, shards: Sequence[Shard]) -> Generator[int, None, None]:
        if self.workers == 1:
            yield from map(work, shards)
        else:
            yield from run_in_processes(work, shards, self.workers, self.retries)
