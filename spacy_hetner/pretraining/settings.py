"""The section ``[pretraining]`` of a config."""

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from spacy import registry
from spacy.util import load_config
from thinc.api import Config

from ..encoders.module import PRECISIONS
from ..errors import Errors
from ..types import PathLike
from ..validation import check_choice, check_count, check_range
from .batches import BucketSampler, Sampler
from .objectives.objective import Objective
from .optimizer import AdamW
from .schedules import WarmupLinear

SECTION = "pretraining"


@dataclass(frozen=True)
class Settings:
    """How an encoder is pre-trained.

    encoder (str): The encoder folder to start from.
    train, dev (str or List[str]): Parquet stores of records: files or folders. Without dev the last
        checkpoint is the result.
    objective (Objective): What is taught.
    sampler (Sampler): Which instances make up which batch.
    optimizer (AdamW), schedule (Callable[[int, int], float]): The learning rate of a step is that
        of the optimizer times the schedule of (step, all steps).
    logger (Callable): Any logger of spaCy's registry; None logs to the file only.
    seed (int): Decides about order, dropout, masks and new weights.
    max_epochs, max_steps (int): Whichever comes first ends training; 0: no such limit.
    patience (int): Stop after so many evaluations without a better score; 0: never.
    accumulate (int): Batches a step, of all processes together; so a step is the same whatever
        their number, which must divide it.
    precision (str): "fp32", "bf16", or "fp16" with a gradient scaler, which needs a GPU.
    max_grad_norm (float): Gradients are scaled down to this norm; 0: never.
    average (float): Decay of a moving average of the weights, which is what is evaluated and
        kept; 0: the weights themselves.
    eval_frequency (int): Steps from one evaluation to the next; 0: an epoch. Each is followed by a
        checkpoint.
    checkpoint_frequency (int): Steps from one checkpoint to the next; 0: at evaluations only.
    keep (int): Checkpoints that are kept, besides the best.
    log_frequency (int): Steps from one line of the log to the next.
    engine (str), workers (int): How records become instances, see ``engine``.

    RAISES (ValueError): HE002, HE004, HE078, HE190, HE201 for values that make no sense.
    """

    encoder: str
    train: Union[str, List[str]]
    objective: Objective
    dev: Union[str, List[str], None] = None
    sampler: Sampler = field(default_factory=BucketSampler)
    optimizer: AdamW = field(default_factory=AdamW)
    schedule: Callable[[int, int], float] = field(default_factory=WarmupLinear)
    logger: Optional[Callable[..., Any]] = None
    seed: int = 0
    max_epochs: int = 0
    max_steps: int = 0
    patience: int = 0
    accumulate: int = 1
    precision: str = "fp32"
    max_grad_norm: float = 1.0
    average: float = 0.0
    eval_frequency: int = 0
    checkpoint_frequency: int = 0
    keep: int = 2
    log_frequency: int = 10
    engine: str = "local"
    workers: int = 1

    def __post_init__(self) -> None:
        for name in (
            *("seed", "max_epochs", "max_steps", "patience", "eval_frequency"),
            "checkpoint_frequency",
        ):
            check_count(name, getattr(self, name), 0)
        for name in ("accumulate", "keep", "log_frequency", "workers"):
            check_count(name, getattr(self, name), 1)
        check_choice("precision", self.precision, PRECISIONS)
        check_range("average", self.average, 0, 1)
        check_range("max_grad_norm", self.max_grad_norm, 0, math.inf)
        if not (self.max_epochs or self.max_steps):
            raise ValueError(Errors.HE190)
        if self.patience and not self.dev_stores:
            raise ValueError(Errors.HE201.format(patience=self.patience))

    @property
    def train_stores(self) -> List[str]:
        """The stores of records to train on."""
        return as_list(self.train)

    @property
    def dev_stores(self) -> List[str]:
        """The stores of records to evaluate on."""
        return as_list(self.dev)


def as_list(paths: Union[str, Sequence[str], None]) -> List[str]:
    """One path, several or none, as a list."""
    if isinstance(paths, str):
        return [paths] if paths else []
    return list(paths or ())


def read_config(path: PathLike, overrides: Mapping[str, Any]) -> Config:
    """A config file with some values replaced, such as ``pretraining.seed``.

    RAISES (ValueError): HE191 where it has no section ``[pretraining]``.
    """
    config = load_config(path, dict(overrides), interpolate=True)
    if SECTION not in config:
        raise ValueError(Errors.HE191.format(path=path, section=SECTION))
    return config


def resolve_settings(config: Config) -> Settings:
    """The settings that a config's section stands for.

    RAISES (ValueError): HE192 for settings that are not known or are missing, and as ``Settings``.
    """
    values: Dict[str, Any] = registry.resolve({SECTION: config[SECTION]})[SECTION]
    known = {item.name: item for item in fields(Settings)}
    wrong = [name for name in values if name not in known]
    missing = [name for name in ("encoder", "train", "objective") if not values.get(name)]
    if wrong or missing:
        raise ValueError(
            Errors.HE192.format(
                wrong=", ".join(wrong) or "none",
                missing=", ".join(missing) or "none",
                known=", ".join(known),
            )
        )
    return Settings(**values)


def describe_settings(settings: Settings, config: Config) -> Dict[str, Any]:
    """All settings that say what is computed, defaults too: JSON.

    Functions are described by their section of the config, and by the fields they have. Left out is
    how a run is logged, and how records become instances.
    """
    section = config[SECTION]
    described: Dict[str, Any] = {}
    for name, value in vars(settings).items():
        if is_dataclass(value) and not isinstance(value, type):
            described[name] = {**section.get(name, {}), **asdict(value)}
        else:
            described[name] = section.get(name) if callable(value) else value
    return {
        name: value
        for name, value in described.items()
        if name not in ("logger", "engine", "workers")
    }
