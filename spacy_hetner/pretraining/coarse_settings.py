"""The section ``[coarse_to_fine]`` of a config, and the config of each run that it stands for."""

import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Dict, List, Mapping, Optional, Tuple, Type, TypeVar, Union

from thinc.api import Config

from ..errors import Errors
from ..types import PathLike
from ..validation import check_choice, check_count, check_range
from .clusters import FEATURES, WEIGHTS
from .objectives.extraction import BACKBONES, QUERY
from .objectives.fine_typing import CLUSTER_HEADS, MATCH, RESET
from .settings import SECTION as COMMON
from .settings import as_list

SECTION = "coarse_to_fine"
SPANS, LABELS, TYPES = STAGES = ("span_identification", "gazetteer_extraction", "fine_typing")
"""The stages, in their order: each is a section of its own."""
OBJECTIVES = dict(
    zip(STAGES, ("SpanIdentification", "GazetteerExtraction", "FineTyping"), strict=True)
)
OF_CHAIN = ("encoder", "train", "dev", "objective", "max_epochs", "patience")
"""The settings of a run that the chain decides."""
SettingsT = TypeVar("SettingsT")


@dataclass(frozen=True)
class StageSettings:
    """One of the three stages.

    enabled (bool): False leaves it out.
    epochs (int): Passes over its data, at most. Of the first stage they are one run; of the others
        each is a round, after which labels are picked, or spans clustered, anew.
    learn_rate (float): The highest; the schedule spans all epochs of the stage.
    patience (int): End after so many epochs that are not better on dev; 0: never.
    RAISES (ValueError): HE002, HE078 for values that make no sense.
    """

    enabled: bool = True
    epochs: int = 5
    learn_rate: float = 2e-5
    patience: int = 0

    def __post_init__(self) -> None:
        check_count("epochs", self.epochs, 1)
        check_range("learn_rate", self.learn_rate, 0, 1)
        check_count("patience", self.patience, 0)


@dataclass(frozen=True)
class ChainSettings:
    """CoFEE's three stages (EMNLP 2020), one after the other.

    encoder (str): The encoder folder to start from.
    entities (str or List[str]): Parquet stores of spans of any label, such as links: the data of
        the first stage.
    distant (str or List[str]): Those of labels that a dictionary gave: the data of the others.
    dev (str or List[str]): Annotated records that rounds are compared by. Without them all rounds
        are run, and the last is the result.
    backbone (str), queries (str or Dict[str, str]), by_token (bool), max_pieces (int), overlap
        (int), dropout (float): Of all three objectives, see ``Extraction``.
    delta (float): A model picks spans whose ends it finds more probable than this.
    delta_growth (bool): The n-th time, n times as probable.
    clusters (int), weights (str): See ``cluster``, ``cluster_weights``.
    features (str), dims (int): What is clustered: "raw", or see ``write_features``.
    cluster_head (str), gamma (float): See ``FineTyping``; with "match" clusters are numbered after
        those of the round before.
    max_batch_pieces (int): Pieces that are read at once where labels are picked.
    span_identification, gazetteer_extraction, fine_typing (StageSettings): The stages.
    RAISES (ValueError): HE002, HE004, HE078 for values that make no sense; HE293 if data of a stage
        is missing, HE294 if no stage is enabled, or none before fine_typing.
    """

    encoder: str
    entities: Union[str, List[str], None] = None
    distant: Union[str, List[str], None] = None
    dev: Union[str, List[str], None] = None
    backbone: str = QUERY
    queries: Union[str, Dict[str, str], None] = None
    by_token: bool = False
    max_pieces: int = 256
    overlap: int = 64
    dropout: float = 0.1
    delta: float = 0.1
    delta_growth: bool = False
    clusters: int = 23
    weights: str = "paper"
    features: str = "raw"
    dims: int = 128
    cluster_head: str = RESET
    gamma: float = 0.001
    max_batch_pieces: int = 8192
    span_identification: StageSettings = field(
        default_factory=lambda: StageSettings(epochs=5, learn_rate=6e-6)
    )
    gazetteer_extraction: StageSettings = field(
        default_factory=lambda: StageSettings(epochs=6, learn_rate=3e-5, patience=1)
    )
    fine_typing: StageSettings = field(
        default_factory=lambda: StageSettings(epochs=5, learn_rate=2e-5)
    )

    def __post_init__(self) -> None:
        check_choice("backbone", self.backbone, BACKBONES)
        check_count("clusters", self.clusters, 1)
        check_count("dims", self.dims, 1)
        check_count("max_batch_pieces", self.max_batch_pieces, 1)
        check_choice("weights", self.weights, WEIGHTS)
        check_choice("features", self.features, FEATURES)
        check_choice("cluster_head", self.cluster_head, CLUSTER_HEADS)
        check_range("gamma", self.gamma, 0, math.inf)
        check_range("delta", self.delta, 0, 1)
        enabled = [name for name in STAGES if self.stage(name).enabled]
        if not enabled or enabled == [TYPES]:
            raise ValueError(Errors.HE294.format(enabled=", ".join(enabled) or "none"))
        for name, stores in (("entities", self.entities), ("distant", self.distant)):
            needing = STAGES[:1] if name == "entities" else STAGES[1:]
            if not as_list(stores) and (wanting := [n for n in needing if n in enabled]):
                raise ValueError(Errors.HE293.format(name=name, stage=wanting[0]))

    def stage(self, name: str) -> StageSettings:
        """The settings of a stage."""
        return getattr(self, name)

    def delta_of(self, number: int) -> float:
        """How probable the ends of spans must be that are picked after a round."""
        return min(1.0, self.delta * number) if self.delta_growth else self.delta

    @property
    def matches(self) -> bool:
        """Whether clusters are numbered after those before."""
        return self.cluster_head == MATCH

    def deciding(self) -> Dict[str, Any]:
        """The settings that may not change while a chain is at work: JSON.

        How long stages are may: so a person ends the picking of labels who has seen enough of it.
        Files are compared by content.
        """
        told = asdict(self)
        for name in STAGES:
            del told[name]["epochs"], told[name]["patience"]
        aside = ("encoder", "entities", "distant", "dev", "max_batch_pieces")
        return {name: value for name, value in told.items() if name not in aside}


def read_chain(config: Mapping[str, Any]) -> Tuple[ChainSettings, Dict[str, Any]]:
    """The sections ``[coarse_to_fine]`` and ``[pretraining]`` of a config, whose values are there.

    RAISES (ValueError): HE292 for settings that are not known, are missing, or are the chain's to
        decide, and as ``ChainSettings``.
    """
    given = dict(config[SECTION])
    for name in STAGES:
        if name in given:
            default = next(f.default_factory for f in fields(ChainSettings) if f.name == name)
            assert default is not MISSING
            values = {**asdict(default()), **given[name]}
            given[name] = _make(StageSettings, values, f"{SECTION}.{name}")
    common = dict(config.get(COMMON, {}))
    if wrong := [name for name in OF_CHAIN if name in common]:
        message = "what the chain decides"
        raise ValueError(Errors.HE292.format(section=COMMON, wrong=", ".join(wrong), known=message))
    return _make(ChainSettings, given, SECTION), common


def run_config(
    settings: ChainSettings,
    common: Mapping[str, Any],
    name: str,
    number: int,
    *,
    encoder: PathLike,
    train: List[str],
    head: Optional[PathLike],
    **objective: Any,
) -> Config:
    """The config of the run that is a stage, or the ``number``-th round of it, from 1 on.

    The schedule spans the rounds of a stage; of the optimizer, each round has a new one.
    """
    stage = settings.stage(name)
    is_whole = name == SPANS
    schedule = common.get("schedule") or {"@misc": "spacy_hetner.WarmupLinear.v1"}
    if not is_whole:
        part = {"part": number - 1, "parts": stage.epochs}
        schedule = {"@misc": "spacy_hetner.SchedulePart.v1", "of": schedule, **part}
    optimizer = {"@misc": "spacy_hetner.AdamW.v1", **common.get("optimizer", {})}
    shared = ("backbone", "queries", "by_token", "max_pieces", "overlap", "dropout")
    return Config(
        {
            COMMON: {
                **common,
                "encoder": str(encoder),
                "train": train,
                "dev": as_list(settings.dev) or None,
                "seed": common.get("seed", 0) + number - 1,
                "max_epochs": stage.epochs if is_whole else 1,
                "patience": stage.patience if is_whole and as_list(settings.dev) else 0,
                "optimizer": {**optimizer, "learn_rate": stage.learn_rate},
                "schedule": schedule,
                "objective": {
                    "@misc": f"spacy_hetner.{OBJECTIVES[name]}.v1",
                    **{setting: getattr(settings, setting) for setting in shared},
                    "head": None if head is None else str(head),
                    **objective,
                },
            }
        }
    )


def _make(kind: Type[SettingsT], values: Mapping[str, Any], section: str) -> SettingsT:
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    wrong = [name for name in values if name not in known]
    if "encoder" in known and not values.get("encoder"):
        wrong.append("encoder, which is missing")
    if wrong:
        raise ValueError(
            Errors.HE292.format(section=section, wrong=", ".join(wrong), known=", ".join(known))
        )
    return kind(**values)
