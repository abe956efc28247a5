"""The head that an encoder was taught with, beside the encoder in its folder."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import Errors
from ..types import PathLike

HEAD, HEAD_WEIGHTS = "head.json", "head.safetensors"


class TaughtHead(NamedTuple):
    """folder: of the encoder; record: what ``head.json`` says; weights: by their names."""

    folder: Path
    record: Mapping[str, Any]
    weights: Dict[str, Tensor]

    @property
    def labels(self) -> List[str]:
        """The labels, in the order of the outputs."""
        return list(self.record["labels"])


def read_head(folder: PathLike, *backbones: str) -> TaughtHead:
    """The head of an encoder folder that a stage of pre-training wrote.

    backbones (str): What kinds of head are wanted, such as "tagger".
    RAISES (ValueError): HE298 if there is none, if it is of another kind, or cannot be read.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / HEAD).read_text(encoding="utf8"))
        found, labels = record.get("backbone"), record.get("labels")
        if found not in backbones:
            raise ValueError(f"its {HEAD} says backbone = {found!r}")
        if not isinstance(labels, list) or not labels:
            raise ValueError(f"its {HEAD} names no labels")
        return TaughtHead(folder, record, load_file(folder / HEAD_WEIGHTS))
    except (OSError, ValueError, AttributeError, SafetensorError) as error:
        wanted = " or ".join(map(repr, backbones))
        message = Errors.HE298.format(path=folder, reason=error, backbone=wanted)
        raise ValueError(message) from error


def find_head(folder: PathLike, backbone: str) -> Optional[TaughtHead]:
    """As ``read_head``; None where the folder has no head, or one of another kind."""
    path = Path(folder) / HEAD
    if not path.is_file():
        return None
    with suppress(OSError, ValueError, AttributeError):  # of which read_head tells
        if json.loads(path.read_text(encoding="utf8")).get("backbone") != backbone:
            return None
    return read_head(folder, backbone)
