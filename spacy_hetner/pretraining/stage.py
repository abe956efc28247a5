"""What a run leaves behind: an encoder folder that says where it comes from, and the head."""

import inspect
import json
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Dict, List, Mapping, Optional

from safetensors.torch import save_file

from ..about import __title__, __version__
from ..encoders.build import CARD as BUILT
from ..encoders.folder import check_encoder_folder
from ..encoders.heads import HEAD, HEAD_WEIGHTS
from ..encoders.hugging_face import longest_input, save_encoder
from ..errors import Errors
from ..files import hash_file, replacing_folder, write_json
from ..types import PathLike
from .card import write_card
from .log import plain
from .objectives.objective import Learner, Objective

STAGE, CARD = "stage.json", "README.md"
_LIBRARIES = ("torch", "transformers")


@dataclass(frozen=True)
class Stage:
    """What a run did, as the folder of its encoder tells it.

    name (str): What the encoder is called, in its card and in the lineage of its children.
    parent (Mapping[str, Any]): The encoder it started from, see ``describe_encoder``.
    objective (Objective): What was taught; its class says so in the first line of its docstring.
    data (Mapping[str, Any]): For each part, such as ``train``: ``files``, as ``identify`` names
        them, and ``counts``, as the engine counts.
    config (Mapping[str, Any]): The config of the run, resolved.
    steps, epochs: How long it was.
    scores (Mapping[str, Mapping[str, float]]): ``best`` and ``last``, each with its ``step``. What
        the folder holds is the best, and the last where nothing was scored.
    precision (str), processes (int): How it was computed.
    """

    name: str
    parent: Mapping[str, Any]
    objective: Objective
    data: Mapping[str, Any]
    config: Mapping[str, Any]
    seed: int
    steps: int
    epochs: float
    scores: Mapping[str, Mapping[str, float]]
    precision: str
    processes: int

    def to_dict(self) -> Dict[str, Any]:
        """As JSON, with files of this machine by their names only."""
        told = {name: value for name, value in vars(self).items() if name != "parent"}
        told["objective"] = {
            "name": self.objective.name,
            "about": (inspect.getdoc(type(self.objective)) or "").partition("\n")[0],
            "settings": asdict(self.objective) if is_dataclass(self.objective) else {},
        }
        versions = {name: metadata.version(name) for name in _LIBRARIES}
        return {
            **_portable(told),
            "versions": {__title__: __version__, **versions},
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "parent": dict(self.parent),
        }


def write_stage(
    folder: PathLike,
    *,
    tokenizer: Any,
    learner: Learner,
    head: Mapping[str, Any],
    stage: Stage,
) -> Path:
    """Write the encoder folder of a run; it is there as a whole, or as it was before.

    It is one in Hugging Face layout, to be loaded by our components and by transformers. Beside
    the encoder it has ``head.safetensors`` and ``head.json``, ``stage.json`` and a model card.

    head (Mapping[str, Any]): What one needs to know to use the head's weights: JSON.
    RETURNS (Path): The folder. It replaces that of an earlier run.
    RAISES (ValueError): HE081 if it cannot be written; HE211 as ``check_replaceable``.
    """
    folder = Path(folder)
    check_replaceable(folder)
    weights = {
        name: value.detach().cpu().contiguous().clone()  # clones share no memory, as a file needs
        for name, value in learner.head.state_dict().items()
    }
    with replacing_folder(folder) as partial:
        save_encoder(partial, tokenizer, learner.transformer)
        save_file(weights, partial / HEAD_WEIGHTS, metadata={"format": "pt"})
        write_json(partial / HEAD, head)
        record = {
            **stage.to_dict(),
            "longest_input": longest_input(tokenizer, learner.transformer),
            "weights": hash_weights(partial),
        }
        write_json(partial / STAGE, record)
        card = write_card(lineage_of(record))
        (partial / CARD).write_text(card, encoding="utf8", newline="\n")
    return folder


def check_replaceable(folder: PathLike) -> None:
    """Raise ValueError (HE211) for a folder that has files, but none that says of what stage."""
    folder = Path(folder)
    found = sorted(folder.iterdir()) if folder.is_dir() else [folder] if folder.exists() else []
    if found and not (folder / STAGE).is_file():
        raise ValueError(Errors.HE211.format(folder=folder, found=found[0].name))


def read_stage(folder: PathLike) -> Optional[Dict[str, Any]]:
    """What ``stage.json`` tells of an encoder folder; None where there is none.

    Raises ValueError (HE210) for one that cannot be read.
    """
    path = Path(folder, STAGE)
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        for stage in lineage_of(record):
            _ = stage["name"] + "", stage["weights"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(Errors.HE210.format(path=path, reason=repr(error))) from error
    return record


def describe_encoder(folder: PathLike) -> Dict[str, Any]:
    """What is known of an encoder that a run starts from.

    RETURNS (Dict[str, Any]): Its stage, if a run made it; else the ``name`` of the folder, the
        SHA-256 of its ``weights``, and what ``build_encoder`` says of its source, if that made it.
    RAISES (ValueError): HE020-HE023 for what is no encoder folder; HE210 for a damaged stage.json,
        HE212 for one that tells of other weights.
    """
    folder = check_encoder_folder(folder)
    weights = hash_weights(folder)
    stage = read_stage(folder)
    if stage is None:
        return {"name": folder.resolve().name, **_built(folder), "weights": weights}
    if stage["weights"] != weights:
        raise ValueError(Errors.HE212.format(folder=folder, file=STAGE))
    return stage


def lineage_of(record: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """A stage and all before it, the first one first."""
    parent = record.get("parent")
    return [*(lineage_of(parent) if parent else ()), record]


def hash_weights(folder: Path) -> Dict[str, str]:
    """The SHA-256 of each file with weights of an encoder."""
    return {path.name: hash_file(path) for path in sorted(folder.glob("model*.safetensors"))}


def _built(folder: Path) -> Dict[str, Any]:
    """What stays true of a built encoder when it is trained on."""
    path = folder / BUILT
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf8"))
        return {name: card[name] for name in ("description", "languages", "license", "source")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.HE210.format(path=path, reason=repr(error))) from error


def _portable(value: Any) -> Any:
    """As JSON. Of absolute paths the last name stays: the others are nobody's concern."""
    if isinstance(value, Mapping):
        return {str(name): _portable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_portable(item) for item in value]
    if isinstance(value, (str, PurePath)):
        for kind in (PurePosixPath, PureWindowsPath):
            path = kind(str(value))
            if path.is_absolute():
                return path.name
        return str(value)
    value = plain(value)
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
