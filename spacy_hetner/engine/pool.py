"""Processes that do shards, each told one at a time, so that a dead one costs one shard's work.

The pools of the standard library give up all work when a process dies, do not say at what, and
leave their processes behind when their parent is killed.
"""

import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Deque, Dict, Generator, List, Sequence, Union

from ..errors import Errors
from .task import Shard
from .work import Work

_SPAWN = multiprocessing.get_context("spawn")


def run_in_processes(
    work: Work, shards: Sequence[Shard], workers: int, retries: int
) -> Generator[int, None, None]:
    """Do shards, and yield the rows of each when it is done; at the end no process is left.

    Raises ValueError for a shard that fails (HE126), and for one whose process dies more than
    ``retries`` times (HE127).
    """
    waiting: Deque[Shard] = deque(shards)
    deaths: Counter = Counter()
    idle: List[_Worker] = []
    busy: Dict[Any, _Worker] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else _Worker(work)
                worker.begin(waiting.popleft())
                busy[worker.pipe] = worker
            for pipe in wait(list(busy)):
                worker = busy[pipe]
                try:
                    rows = worker.result()
                except (EOFError, OSError):
                    del busy[pipe]
                    code = worker.end()
                    deaths[worker.shard] += 1
                    if deaths[worker.shard] > retries:
                        raise _too_many(worker.shard, deaths[worker.shard], code, work) from None
                    waiting.appendleft(worker.shard)
                else:
                    idle.append(busy.pop(pipe))
                    yield rows
    finally:
        for worker in (*busy.values(), *idle):
            worker.end()


class _Worker:
    """A process, and the shard that it was given last."""

    shard: Shard

    def __init__(self, work: Work) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()  # theirs is the only one now: it closes when they die

    def begin(self, shard: Shard) -> None:
        self.shard = shard
        with suppress(OSError):  # of a process that died while idle; reading will tell
            self.pipe.send(shard)

    def result(self) -> int:
        """Rows of the shard. Raises what the shard raised; EOFError or OSError if they died."""
        result: Union[int, ValueError] = self.pipe.recv()
        if isinstance(result, ValueError):
            raise result
        return result

    def end(self) -> int:
        """Whatever they do: files are whole or not at all. RETURNS (int): Their exit code, which
        is their own if they died before."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode or 0


def _too_many(shard: Shard, deaths: int, code: int, work: Work) -> ValueError:
    return ValueError(
        Errors.HE127.format(
            name=shard.name, source=shard.source, deaths=deaths, code=code, folder=work.folder
        )
    )


def _serve(pipe: Connection, work: Work) -> None:
    """Do one shard after the other, until the parent is gone."""
    # Ctrl-C goes to all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError):
        while True:
            shard = pipe.recv()
            try:
                result: Union[int, ValueError] = work(shard)
            except ValueError as error:
                result = error
            pipe.send(result)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
