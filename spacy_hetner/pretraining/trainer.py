"""The weights of a run, and what one step of the optimizer does with them.

A step is the same whoever computes it. Its batches are numbered, and process r of W takes every
W-th of them, from the r-th on; each loss is a sum, divided by the number of its terms in the whole
step; and what is random about a batch, dropout included, depends on the seed and its number.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple

import numpy
import torch
from accelerate import Accelerator
from torch import Tensor

from ..encoders.hugging_face import load_encoder
from ..types import PathLike
from .average import Average
from .batches import PlannedBatch
from .checkpoints import Checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from .objectives.objective import Batch
from .settings import Settings


class StepResult(NamedTuple):
    """What a step did.

    losses: float64 (n_losses,), the part of this process in the mean of each; pieces: what all
    processes read; stop: whether any of them was told to stop.
    """

    losses: Tensor
    pieces: int
    stop: bool


class Trainer:
    """The encoder and the head, their optimizer and their moving average, in one of the processes.

    settings (Settings), facts (Mapping[str, Any]): As the run has them.
    """

    def __init__(
        self, settings: Settings, facts: Mapping[str, Any], accelerator: Accelerator
    ) -> None:
        self.settings = settings
        self.accelerator = accelerator
        self.weights = dict(settings.objective.weights)
        torch.manual_seed(settings.seed)
        self.tokenizer, transformer = load_encoder(settings.encoder)
        self.learner = settings.objective.learner(transformer, facts)
        self.optimizer = settings.optimizer.make(self.learner)
        self.model, self._wrapped = accelerator.prepare(self.learner, self.optimizer)
        self.average = Average(settings.average, self.learner) if settings.average else None

    def step(self, planned: List[PlannedBatch], number: int, *, stop: bool) -> StepResult:
        """One step over some batches, of which every process takes its own.

        number (int): How many steps came before.
        stop (bool): Whether this process was told to stop; after the step all know.
        """
        own = planned[self.accelerator.process_index :: self.accelerator.num_processes]
        # The last step of an epoch may have fewer batches than there are processes.
        shares = [(batch, 1.0) for batch in own] or [(planned[0], 0.0)]
        collated = [self._collate(plan) for plan, _ in shares]
        terms, pieces, any_stop = self._agree(collated, bool(own), stop)
        self.model.train()
        losses = torch.zeros(len(self.weights), dtype=torch.float64, device=self.accelerator.device)
        for place, ((plan, share), batch) in enumerate(zip(shares, collated, strict=True)):
            with self._synchronized(place == len(shares) - 1):
                self._seed(plan)
                sums = self.model(self._on_device(batch))
                means = {name: sums[name] * (share / max(terms[name], 1.0)) for name in terms}
                total = sum(self.weights[name] * mean for name, mean in means.items())
                # The gradients of all processes will be averaged.
                self.accelerator.backward(total * self.accelerator.num_processes)
            losses += torch.stack([mean.detach().double() for mean in means.values()])
        self._update(number)
        return StepResult(losses, pieces, any_stop)

    def _update(self, number: int) -> None:
        if self.settings.max_grad_norm:
            parameters = self.learner.parameters()
            self.accelerator.clip_grad_norm_(parameters, self.settings.max_grad_norm)
        self._wrapped.step()
        self._wrapped.zero_grad()
        if self.average is not None:
            self.average.update(self.learner, number)

    def _agree(
        self, batches: List[Batch], are_own: bool, stop: bool
    ) -> Tuple[Dict[str, float], int, bool]:
        """The terms of each loss, the pieces and the wish to stop, of all processes together."""
        counts = [sum(batch.counts[name] for batch in batches) for name in self.weights]
        numbers = [*counts, sum(batch.pieces for batch in batches)]
        *terms, pieces, any_stop = self.sum_up([*(n * are_own for n in numbers), float(stop)])
        return dict(zip(self.weights, terms, strict=True)), int(pieces), any_stop > 0

    def scores(self, planned: Iterator[PlannedBatch]) -> Dict[str, float]:
        """The scores of the weights, or of their average, over the batches of all processes."""
        world, index = self.accelerator.num_processes, self.accelerator.process_index
        total: Optional[Tensor] = None
        self.learner.eval()
        with self._averaged(), torch.no_grad(), self.accelerator.autocast():
            for plan in planned:
                is_own = plan.number % world == index
                # A process without batches must know, too, how many statistics there are.
                if is_own or total is None:
                    measured = self.learner.measure(self._on_device(self._collate(plan))) * is_own
                    total = measured if total is None else total + measured
        assert total is not None
        return self.settings.objective.scores(numpy.array(self.sum_up(total.tolist())))

    def sum_up(self, numbers: List[float]) -> List[float]:
        """The sum of numbers over all processes, known to each."""
        if self.accelerator.num_processes == 1:
            return numbers
        tensor = torch.tensor(numbers, dtype=torch.float64, device=self.accelerator.device)
        return self.accelerator.reduce(tensor, "sum").tolist()

    def save(self, folder: PathLike, step: int, progress: Mapping[str, Any]) -> None:
        """Write the checkpoint of a step."""
        scaler = self.accelerator.scaler
        save_checkpoint(
            folder,
            step,
            model=self.learner.state_dict(),
            optimizer=self.optimizer,
            average=None if self.average is None else self.average.tensors(),
            scaler=None if scaler is None else scaler.state_dict(),
            progress=progress,
        )

    def load(self, path: PathLike) -> Dict[str, Any]:
        """Take up a checkpoint, and return the progress that was saved with it."""
        state = load_checkpoint(path, self.optimizer)
        self.learner.load_state_dict(state.model)
        if self.average is not None:
            self.average.load(state.average or {})
        if state.scaler is not None:
            self.accelerator.scaler.load_state_dict(state.scaler)
        return state.progress

    def load_result(self, path: PathLike) -> None:
        """Take the weights of a checkpoint, or their average, to be trained no more."""
        state: Checkpoint = read_checkpoint(path)
        self.learner.load_state_dict(state.model)
        # Of weights that are tied, the average has only one: it must come last.
        self.learner.load_state_dict(state.average or {}, strict=False)

    def _collate(self, plan: PlannedBatch) -> Batch:
        random = numpy.random.default_rng([self.settings.seed, plan.epoch, plan.number])
        return self.settings.objective.collate(plan.rows(), random)

    def _on_device(self, batch: Batch) -> Dict[str, Tensor]:
        device = self.accelerator.device
        return {name: tensor.to(device) for name, tensor in batch.tensors.items()}

    def _seed(self, plan: PlannedBatch) -> None:
        """Seed what torch draws for a batch, such as dropout."""
        sequence = numpy.random.SeedSequence([self.settings.seed, plan.epoch, plan.number])
        seed = int(sequence.generate_state(1)[0])
        # Without a GPU, torch.manual_seed would note every call for the day that there is one.
        torch.default_generator.manual_seed(seed)
        if self.accelerator.device.type != "cpu":
            torch.manual_seed(seed)

    def _synchronized(self, is_last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged once a step, with its last batch."""
        return nullcontext() if is_last else self.accelerator.no_sync(self.model)

    def _averaged(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.average is None else self.average.applied_to(self.learner)
