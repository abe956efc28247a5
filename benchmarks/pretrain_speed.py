"""Steps of the trainer beside a bare loop of torch over the same batches.

    OMP_NUM_THREADS=1 python benchmarks/pretrain_speed.py --encoder encoders/minilm-l6-en \
        --train pretraining/pools/n10000.parquet --precision bf16

Ours plans the order, reads the instances, pads them, counts, seeds dropout and clips; the bare loop
has its batches padded, and where it computes, before the clock starts, and is forward, backward,
clipping and AdamW. Both live in one process and take turns, step by step, one thread, CPU time; on
a GPU round by round, time on the wall. The first steps, in which dropout is seeded alike, must have
the same losses. What it takes to open an epoch, to plan it and to read what is shuffled together,
falls into few rounds and is told apart.
"""

import json
import math
import platform
import time
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, count, islice, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Callable, Dict, Iterator, List, Literal, NamedTuple

import numpy
import torch
import typer

from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.files import write_json
from spacy_hetner.pretraining.batches import PlannedBatch, steps_of
from spacy_hetner.pretraining.job import Job, open_job, prepare
from spacy_hetner.pretraining.objectives.objective import Batch
from spacy_hetner.pretraining.processes import accelerated, peak_memory_mb
from spacy_hetner.pretraining.settings import Settings, read_config, resolve_settings
from spacy_hetner.pretraining.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "pretrain_speed"
CONFIG = ROOT / "configs" / "pretrain_typed.cfg"
CHECKED_STEPS = 20

Planned = List[PlannedBatch]


class Held(NamedTuple):
    """A batch that waits where it will be read, and the seed of its dropout."""

    batch: Batch
    seed: int


class BareLoop:
    """What a script without a framework does. It begins with the trainer's weights."""

    def __init__(self, settings: Settings, job: Job, device: torch.device) -> None:
        self.settings, self.device = settings, device
        torch.manual_seed(settings.seed)
        _, transformer = load_encoder(settings.encoder)
        self.learner = settings.objective.learner(transformer, job.facts).to(device).train()
        self.optimizer = settings.optimizer.make(self.learner)

    def hold(self, planned: Planned) -> List[Held]:
        """Pad the batches of a step."""
        return [self._hold(plan) for plan in planned]

    def _hold(self, plan: PlannedBatch) -> Held:
        numbers = [self.settings.seed, plan.epoch, plan.number]
        batch = self.settings.objective.collate(plan.rows(), numpy.random.default_rng(numbers))
        tensors = {name: tensor.to(self.device) for name, tensor in batch.tensors.items()}
        seed = int(numpy.random.SeedSequence(numbers).generate_state(1)[0])
        return Held(batch._replace(tensors=tensors), seed)

    def step(self, held: List[Held], *, seeded: bool = False) -> float:
        """One step; returns its loss, which is read from the device only if dropout is seeded."""
        (name,) = self.settings.objective.weights
        terms = sum(item.batch.counts[name] for item in held)
        losses = []
        for item in held:
            if seeded:
                torch.manual_seed(item.seed)
            with self._precision():
                loss = self.learner(item.batch.tensors)[name]
            loss = loss / terms
            loss.backward()
            losses.append(loss.detach())
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return math.fsum(loss.item() for loss in losses) if seeded else math.nan

    def _precision(self) -> AbstractContextManager[Any]:
        if self.settings.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def epoch_of(job: Job, settings: Settings, epoch: int) -> Iterator[Planned]:
    """The steps of an epoch, planned as they are asked for."""
    return steps_of(settings.sampler(job.train, settings.seed, epoch), settings.accumulate)


def endless(job: Job, settings: Settings) -> Iterator[Planned]:
    """Steps without end, epoch by epoch."""
    return chain.from_iterable(epoch_of(job, settings, epoch) for epoch in count())


def timer_of(device: torch.device) -> Callable[[], float]:
    """CPU time; on a GPU the time on the wall, when it has done what it was told to."""
    if device.type == "cpu":
        return time.process_time

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def check_losses(ours: List[float], bare: List[float]) -> float:
    """The largest difference; an error unless both loops compute the same."""
    differences = [abs(a - b) for a, b in zip(ours, bare, strict=True)]
    if not all(
        difference <= 1e-4 * abs(b) for difference, b in zip(differences, bare, strict=True)
    ):
        raise ValueError(f"The loops do not compute the same: losses of {ours} and {bare}")
    return max(differences)


def measure(settings: Settings, job: Job, cpu: bool, steps: int, rounds: int) -> Dict[str, Any]:
    """All figures of the row."""
    with accelerated(settings.precision, cpu=cpu) as accelerator:
        device = accelerator.device
        trainer = Trainer(settings, job.facts, accelerator)
        first = list(islice(endless(job, settings), CHECKED_STEPS))
        ours = [
            float(trainer.step(planned, number, stop=False).losses.sum())
            for number, planned in enumerate(first)
        ]
        alone = peak_memory_mb(device)  # before there is a second model
        bare = BareLoop(settings, job, device)
        theirs = [bare.step(bare.hold(planned), seeded=True) for planned in first]
        difference = check_losses(ours, theirs)
        return {
            **race(trainer, bare, job, steps, rounds),
            "checked_steps": CHECKED_STEPS,
            "losses": ours,
            "loss_difference": difference,
            "peak_memory_mb": {"ours alone": alone, "both": peak_memory_mb(device)},
            "hardware": describe_hardware(device),
        }


def race(trainer: Trainer, bare: BareLoop, job: Job, steps: int, rounds: int) -> Dict[str, Any]:
    """Seconds of both loops over the same steps, in turns."""
    settings, device = trainer.settings, bare.device
    now = timer_of(device)

    def timed(run: Callable[[], None]) -> float:
        start = now()
        run()
        return now() - start

    def train_ours() -> None:
        for planned in islice(stream, turn):
            trainer.step(planned, next(numbers), stop=False)

    def train_bare() -> None:
        for batches in held:
            bare.step(batches)

    def open_epoch() -> None:
        for place, planned in enumerate(epoch_of(job, settings, 0)):
            if place == 0:
                planned[0].rows()

    opening = timed(open_epoch)
    stream, same, numbers = endless(job, settings), endless(job, settings), count(CHECKED_STEPS)
    trainer.step(next(stream), next(numbers), stop=False)  # an epoch is opened before the clock
    bare.step(bare.hold(next(same)))
    # A GPU works on while the next step is made ready, unless one stops to read the clock.
    turn = steps if device.type == "cuda" else 1
    seconds = numpy.zeros((rounds, 2))
    pieces, padded = numpy.zeros((2, rounds), dtype=int)
    for number, place in product(range(rounds), range(steps // turn)):
        held = [bare.hold(planned) for planned in islice(same, turn)]
        loops = [(0, train_ours), (1, train_bare)]
        for loop, run in reversed(loops) if (number + place) % 2 else loops:
            seconds[number, loop] += timed(run)
        batches = [item.batch for step in held for item in step]
        pieces[number] += sum(batch.pieces for batch in batches)
        padded[number] += sum(batch.padded for batch in batches)
    ratios = seconds[:, 1] / seconds[:, 0]
    rates = numpy.median(pieces[:, None] / seconds, axis=0)
    steps_of_epoch = sum(1 for _ in epoch_of(job, settings, 0))
    epoch = opening + steps_of_epoch * float(numpy.median(seconds[:, 0])) / steps
    return {
        "ours_pieces_per_s": round(float(rates[0]), 1),
        "bare_pieces_per_s": round(float(rates[1]), 1),
        "ratio": round(float(numpy.median(ratios)), 4),
        "ratios": [round(float(ratio), 4) for ratio in ratios],
        "steps_of_epoch": steps_of_epoch,
        "opening_s": round(opening, 4),
        "opening_share": round(opening / epoch, 5),
        "pieces_of_step": round(float(pieces.sum()) / (steps * rounds), 1),
        "padded_share": round(1 - float(pieces.sum() / padded.sum()), 4),
    }


def describe_hardware(device: torch.device) -> str:
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} thread(s), {gpu}"


def main(
    encoder: Annotated[Path, typer.Option(exists=True, help="Encoder folder")],
    train: Annotated[Path, typer.Option(exists=True, help="Store of typed records")],
    precision: Literal["fp32", "bf16"] = "fp32",
    steps: Annotated[int, typer.Option(help="Of a round", min=1)] = 8,
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    accumulate: Annotated[int, typer.Option(help="Batches a step")] = 2,
    batch_pieces: int = 1024,
    cpu: Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone")] = False,
    results: Annotated[Path, typer.Option(help="Folder for the row")] = RESULTS,
) -> None:
    """Measure, print, write one JSON row."""
    torch.set_num_threads(1)
    overrides = {
        "paths.encoder": str(encoder),
        "paths.train": str(train),
        "pretraining.precision": precision,
        "pretraining.accumulate": accumulate,
        "pretraining.sampler.batch_pieces": batch_pieces,
    }
    config = read_config(CONFIG, overrides)
    settings = resolve_settings(config)
    with TemporaryDirectory() as folder:
        prepare(settings, config, Path(folder), anew=True)
        job = open_job(settings, Path(folder))
        row = {
            "encoder": encoder.name,
            "data": train.stem,
            "instances": len(job.train),
            "precision": precision,
            "accumulate": accumulate,
            "batch_pieces": batch_pieces,
            "steps": steps,
            "rounds": rounds,
            **measure(settings, job, cpu, steps, rounds),
            "versions": {"torch": torch.__version__},
        }
    typer.echo(json.dumps(row, indent=1))
    device = "cpu" if row["hardware"].endswith("no GPU") else "gpu"
    write_json(results / f"{encoder.name}-{precision}-{device}.json", row)


if __name__ == "__main__":
    typer.run(main)
