"""Pre-training: one ``pretrain``, alone or as one of many processes.

One process and many compute the same (see ``trainer``), and a run that was cut off and resumed
ends as it would have: what is random depends on numbers that checkpoints hold.
"""

import math
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Tuple, TypeVar

from accelerate import Accelerator
from thinc.api import Config
from torch import Tensor

from ..engine.folder import locked
from ..errors import Errors
from ..files import clear_partial
from ..types import PathLike
from .batches import steps_of
from .checkpoints import checkpoint_path, find_checkpoints, prune, step_of
from .job import open_job, prepare
from .log import END, RunLog
from .processes import accelerated, peak_memory_mb
from .settings import Settings, describe_settings, resolve_settings
from .stage import Stage, check_replaceable, read_stage, write_stage
from .trainer import StepResult, Trainer

CHECKPOINTS = "checkpoints"
ENCODER = "encoder"
LOG = "log.jsonl"
_ENDING = (signal.SIGTERM, signal.SIGINT)
ItemT = TypeVar("ItemT")


class Outcome(NamedTuple):
    """How a run ended.

    finished: False if it was told to stop; steps: how many it has done in its whole life; best:
        the step whose weights were kept; scores: theirs; encoder: the folder they are in; is_main:
        whether this is the process that writes.
    """

    finished: bool
    steps: int
    best: Optional[int]
    scores: Dict[str, float]
    encoder: Path
    is_main: bool


@dataclass
class Progress:
    """Where a run is. With the weights and the optimizer this is all of its state."""

    step: int = 0
    epoch: int = 0
    step_of_epoch: int = 0
    pieces: int = 0
    seconds: float = 0.0
    best: Optional[int] = None
    best_scores: Dict[str, float] = field(default_factory=dict)
    scores: Dict[str, float] = field(default_factory=dict)
    without_gain: int = 0


@dataclass
class _Untold:
    """What the log does not say yet. losses: the sum over steps of their means."""

    losses: Optional[Tensor] = None
    steps: int = 0
    pieces: int = 0
    seconds: float = 0.0

    def add(self, result: StepResult, seconds: float) -> None:
        self.losses = result.losses if self.losses is None else self.losses + result.losses
        self.steps += 1
        self.pieces += result.pieces
        self.seconds += seconds


def pretrain(
    config: Config,
    output: PathLike,
    *,
    resume: bool = False,
    processes: Optional[int] = None,
    cpu: bool = False,
    interactive: bool = False,
) -> Outcome:
    """Pre-train an encoder, as the section ``[pretraining]`` of a config says.

    Started by torchrun or Ray, every process calls this.

    output (PathLike): Folder of the run, which all processes must see: ``instances/``,
        ``checkpoints/``, ``log.jsonl`` and in the end ``encoder/``.
    resume (bool): Go on from the last checkpoint, if there is one.
    processes (Optional[int]): How many must take part; None: as many as there are.
    cpu (bool): Leave a GPU alone.
    interactive (bool): Show a progress bar.
    RETURNS (Outcome): SIGTERM and Ctrl-C end a run with a checkpoint, after the next step of which
        all processes can know; a second Ctrl-C ends it at once.
    RAISES (ValueError): HE128 where another run is at work in the folder, HE195 where it holds a
        run and ``resume`` is off, HE196 and HE197 as ``accelerated``, HE198 for batches that
        cannot be shared out evenly, HE199 for a loss that is no number, and as
        ``resolve_settings`` and ``prepare``.
    """
    settings = resolve_settings(config)
    output = Path(output)
    with ExitStack() as opened:
        accelerator = opened.enter_context(
            accelerated(settings.precision, cpu=cpu, processes=processes)
        )
        world = accelerator.num_processes
        if settings.accumulate % world:
            raise ValueError(Errors.HE198.format(accumulate=settings.accumulate, processes=world))
        with accelerator.main_process_first():
            held = locked(output) if accelerator.is_main_process else nullcontext()
            opened.enter_context(held)
            if accelerator.is_main_process:
                _set_up(settings, config, output, resume)
        # Held by no name: the model must be gone when the processes part.
        return _Run(settings, config, output, accelerator).train(interactive)


def check_unused(output: PathLike) -> None:
    """Raise ValueError (HE195) for a folder that holds checkpoints of a run."""
    if find_checkpoints(Path(output) / CHECKPOINTS):
        raise ValueError(Errors.HE195.format(folder=output))


def _set_up(settings: Settings, config: Config, output: Path, resume: bool) -> None:
    if not resume:
        check_unused(output)
    check_replaceable(output / ENCODER)
    for folder in (output, output / CHECKPOINTS):
        clear_partial(folder)
    prepare(settings, config, output, anew=not find_checkpoints(output / CHECKPOINTS))


class _Run:
    """One process of a run: what it does when, and what it tells."""

    def __init__(
        self, settings: Settings, config: Config, output: Path, accelerator: Accelerator
    ) -> None:
        self.settings = settings
        self.config = config
        self.output = output
        self.accelerator = accelerator
        self.job = open_job(settings, output)
        self.trainer = Trainer(settings, self.job.facts, accelerator)
        self.progress = Progress()
        self.untold = _Untold()
        self.steps_of_epoch = self._count_steps()
        limits = [settings.max_steps, settings.max_epochs * self.steps_of_epoch]
        self.total_steps = min(limit for limit in limits if limit)
        self.asked_to_stop = False  # this process
        self.stopped = False  # all of them

    def _count_steps(self) -> int:
        """How many steps the first epoch has; later ones have about as many."""
        batches = self.settings.sampler(self.job.train, self.settings.seed, 0)
        return -(-sum(1 for _ in batches) // self.settings.accumulate)

    def _resume(self) -> None:
        """Take up the last checkpoint, if there is one: the same in all processes."""
        found = find_checkpoints(self.output / CHECKPOINTS)
        last = step_of(found[-1]) if found and self.accelerator.is_main_process else 0
        # Asked for, since what others see of the folder may be old.
        if step := int(sum(self.trainer.sum_up([float(last)]))):
            path = checkpoint_path(self.output / CHECKPOINTS, step)
            self.progress = Progress(**self.trainer.load(path))

    def train(self, interactive: bool) -> Outcome:
        """Train from the last checkpoint, if there is one, until the end, or until told to stop."""
        self._resume()
        settings, progress = self.settings, self.progress
        self.resumed_step = progress.step
        self.log = RunLog(
            self.output / LOG,
            settings.logger,
            self.config,
            list(settings.objective.weights),
            settings.objective.score,
            total_steps=self.total_steps,
            eval_frequency=settings.eval_frequency or self.steps_of_epoch,
            resumed_step=progress.step,
            interactive=interactive,
            enabled=self.accelerator.is_main_process,
        )
        with self.log, self._listening():
            while not (self._is_over() or self.stopped):
                self._epoch()
            if not self.stopped:
                self._finish()
            self.log.event(
                END,
                progress.step,
                finished=not self.stopped,
                seconds=progress.seconds,
                pieces=progress.pieces,
                peak_memory_mb=peak_memory_mb(self.accelerator.device),
            )
        return Outcome(
            finished=not self.stopped,
            steps=progress.step,
            best=progress.best,
            scores=progress.best_scores or progress.scores,
            encoder=self.output / ENCODER,
            is_main=self.accelerator.is_main_process,
        )

    def _epoch(self) -> None:
        """Train to the end of the epoch, or of the run."""
        settings, progress = self.settings, self.progress
        batches = settings.sampler(self.job.train, settings.seed, progress.epoch)
        steps = steps_of(batches, settings.accumulate, progress.step_of_epoch)
        for step, is_last in _mark_last(steps):
            start = time.perf_counter()
            self._set_rate()
            result = self.trainer.step(step, progress.step, stop=self.asked_to_stop)
            self._count(result, time.perf_counter() - start)
            if is_last:
                progress.epoch, progress.step_of_epoch = progress.epoch + 1, 0
            if self._is_due(settings.log_frequency):
                self._tell()
            ends_epoch = is_last and not settings.eval_frequency
            if self._is_due(settings.eval_frequency) or ends_epoch or self._is_over():
                self._evaluate()
            elif self.stopped or self._is_due(settings.checkpoint_frequency):
                self._save()
            if self._is_over() or self.stopped:
                break

    def _set_rate(self) -> None:
        factor = self.settings.schedule(self.progress.step, self.total_steps)
        self.rate = self.settings.optimizer.set_rate(self.trainer.optimizer, factor)

    def _count(self, result: StepResult, seconds: float) -> None:
        progress = self.progress
        progress.step += 1
        progress.step_of_epoch += 1
        progress.pieces += result.pieces
        progress.seconds += seconds
        self.untold.add(result, seconds)
        self.stopped = result.stop

    def _tell(self) -> None:
        """Tell of the steps since the last line; every process hands in its part of the losses.

        RAISES (ValueError): HE199 for a loss that is no number.
        """
        untold, step = self.untold, self.progress.step
        if untold.losses is None:
            return
        means = [total / untold.steps for total in self.trainer.sum_up(untold.losses.tolist())]
        losses = dict(zip(self.settings.objective.weights, means, strict=True))
        if not all(map(math.isfinite, means)):
            raise ValueError(Errors.HE199.format(step=step, losses=losses))
        self.log.step(
            step,
            self.progress.epoch,
            losses,
            pieces=untold.pieces,
            seconds=untold.seconds,
            rate=self.rate,
        )
        self.untold = _Untold()

    def _evaluate(self) -> None:
        """Score the weights on dev, if there is one, and save them."""
        progress, score = self.progress, self.settings.objective.score
        self._tell()
        if self.job.dev is not None:
            progress.scores = self.trainer.scores(self.settings.sampler(self.job.dev, 0, 0))
            found, best = progress.scores[score], progress.best_scores.get(score, -math.inf)
            progress.without_gain = 0 if found > best else progress.without_gain + 1
            if found >= best:  # of equal ones the last, which has learned the most
                progress.best, progress.best_scores = progress.step, progress.scores
            self.log.evaluation(progress.step, progress.epoch, progress.scores)
        self._save()

    def _save(self) -> None:
        """Write a checkpoint, and clear old ones away. A log that is resumed misses nothing."""
        self._tell()
        if self.accelerator.is_main_process:
            folder = self.output / CHECKPOINTS
            self.trainer.save(folder, self.progress.step, asdict(self.progress))
            prune(folder, self.settings.keep, self.progress.best)

    def _finish(self) -> None:
        """Write the encoder folder of the best step, or of the last where nothing is scored."""
        progress, encoder = self.progress, self.output / ENCODER
        was_finished = progress.step == self.resumed_step and read_stage(encoder) is not None
        if self.accelerator.is_main_process and not was_finished:
            kept = progress.step if progress.best is None else progress.best
            self.trainer.load_result(checkpoint_path(self.output / CHECKPOINTS, kept))
            write_stage(
                encoder,
                tokenizer=self.trainer.tokenizer,
                learner=self.trainer.learner,
                head=self.settings.objective.head_record(self.job.facts),
                stage=self._describe(),
            )

    def _describe(self) -> Stage:
        progress, settings = self.progress, self.settings
        scores = {}
        if progress.best is not None:
            scores["best"] = {"step": progress.best, **progress.best_scores}
            scores["last"] = {"step": progress.step, **progress.scores}
        return Stage(
            name=self.output.absolute().name,
            parent=self.job.parent,
            objective=settings.objective,
            data=self.job.data,
            config=describe_settings(settings, self.config),
            seed=settings.seed,
            steps=progress.step,
            epochs=progress.step / self.steps_of_epoch,
            scores=scores,
            precision=settings.precision,
            processes=self.accelerator.num_processes,
        )

    def _is_over(self) -> bool:
        progress, settings = self.progress, self.settings
        return (
            progress.step >= self.total_steps
            or 0 < settings.max_epochs <= progress.epoch
            or 0 < settings.patience <= progress.without_gain
        )

    def _is_due(self, frequency: int) -> bool:
        return frequency > 0 and self.progress.step % frequency == 0

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run; only the main thread can be told."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {kind: signal.signal(kind, self._ask_to_stop) for kind in _ENDING}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def _ask_to_stop(self, kind: int, _: Any) -> None:
        if self.asked_to_stop and kind == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked_to_stop = True


def _mark_last(items: Iterable[ItemT]) -> Iterator[Tuple[ItemT, bool]]:
    """Each item, and whether it is the last."""
    rest = iter(items)
    for item in rest:
        for following in rest:
            yield item, False
            item = following
        yield item, True
