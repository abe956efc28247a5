"""Learning-rate schedules: a factor of the highest rate, by nothing but the number of the step.

They have no state. A run that resumes asks for the factor of its step and has it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Callable

from ..validation import check_count, check_range


@dataclass(frozen=True)
class Warmup(ABC):
    """A factor that rises evenly from 0 to 1, and then is what a schedule makes of the rest.

    warmup (float): Which share of the steps it rises for.
    RAISES (ValueError): HE002 for a setting outside [0, 1].
    """

    warmup: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_range(name, value, 0.0, 1.0)

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of the step that comes after ``step`` others, in [0, 1].

        So a step without others has the rate 0, if there is a warm-up; as in transformers.
        """
        begin = self.warmup * total_steps
        if step < begin:
            return step / begin
        if step < total_steps:
            return self.after((total_steps - step) / (total_steps - begin))
        return self.after(0.0)

    @abstractmethod
    def after(self, left: float) -> float:
        """The factor where this share of what follows the warm-up is left, from 1 down to 0."""


@dataclass(frozen=True)
class WarmupConstant(Warmup):
    """The factor stays 1."""

    def after(self, left: float) -> float:
        return 1.0


@dataclass(frozen=True)
class WarmupLinear(Warmup):
    """The factor falls evenly; final (float): to this."""

    final: float = 0.0

    def after(self, left: float) -> float:
        return self.final + (1.0 - self.final) * left


@dataclass(frozen=True)
class WarmupCosine(Warmup):
    """The factor falls as half a wave of the cosine does; final (float): to this."""

    final: float = 0.0

    def after(self, left: float) -> float:
        return self.final + (1.0 - self.final) * (1.0 - math.cos(math.pi * left)) / 2.0


@dataclass(frozen=True)
class SchedulePart:
    """One of several parts of a schedule, each of which is a run of its own.

    of (Callable[[int, int], float]): The schedule of all parts.
    part, parts (int): This is part 0, 1, ... of so many equal ones. Later ones stay at the end.
    RAISES (ValueError): HE078 for numbers that are too small.
    """

    of: Callable[[int, int], float]
    part: int = 0
    parts: int = 1

    def __post_init__(self) -> None:
        check_count("part", self.part, 0)
        check_count("parts", self.parts, 1)

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor after ``step`` steps of this part, which has ``total_steps``."""
        return self.of(self.part * total_steps + step, self.parts * total_steps)


def make_warmup_constant(warmup: float = 0.1) -> WarmupConstant:
    """Registered as ``spacy_hetner.WarmupConstant.v1``; see WarmupConstant."""
    return WarmupConstant(warmup)


def make_warmup_linear(warmup: float = 0.1, final: float = 0.0) -> WarmupLinear:
    """Registered as ``spacy_hetner.WarmupLinear.v1``; see WarmupLinear."""
    return WarmupLinear(warmup, final)


def make_warmup_cosine(warmup: float = 0.1, final: float = 0.0) -> WarmupCosine:
    """Registered as ``spacy_hetner.WarmupCosine.v1``; see WarmupCosine."""
    return WarmupCosine(warmup, final)


def make_schedule_part(
    of: Callable[[int, int], float], part: int = 0, parts: int = 1
) -> SchedulePart:
    """Registered as ``spacy_hetner.SchedulePart.v1``; see SchedulePart."""
    return SchedulePart(of, part, parts)
