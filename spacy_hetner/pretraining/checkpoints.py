"""The state of a run on disk: tensors as safetensors, all else as JSON, nothing as a pickle.

A checkpoint is a folder ``step-0000200`` that appears whole or not at all, so that the last one
can be resumed from, whenever the run was killed.
"""

import json
import re
from collections import defaultdict
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..about import __version__
from ..errors import Errors
from ..files import remove_folder, replacing_folder, write_json
from ..types import PathLike

_FORMAT = 1
_MODEL, _OPTIMIZER, _AVERAGE = "model.safetensors", "optimizer.safetensors", "average.safetensors"
_STATE = "state.json"
_NAME = re.compile(r"step-(\d{7,})")


class Checkpoint(NamedTuple):
    """What a checkpoint holds besides the state of the optimizer.

    model, average: tensors by name, on the CPU; scaler: of the gradients, for fp16; progress: what
    the run wrote of itself.
    """

    model: Dict[str, Tensor]
    average: Optional[Dict[str, Tensor]]
    scaler: Optional[Dict[str, Any]]
    progress: Dict[str, Any]


def checkpoint_path(folder: PathLike, step: int) -> Path:
    """The checkpoint of a step, whether it is there or not."""
    return Path(folder, f"step-{step:07d}")


def save_checkpoint(
    folder: PathLike,
    step: int,
    *,
    model: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    average: Optional[Mapping[str, Tensor]] = None,
    scaler: Optional[Mapping[str, Any]] = None,
    progress: Mapping[str, Any],
) -> Path:
    """Write the checkpoint of a step, instead of the one it may have.

    optimizer (torch.optim.Optimizer): Any whose state is tensors and numbers.
    progress (Mapping[str, Any]): JSON.
    RETURNS (Path): The checkpoint.
    RAISES (ValueError): HE081 if it cannot be written, HE207 for another optimizer.
    """
    tensors, settings = _take_apart(optimizer)
    state = {
        "format": _FORMAT,
        "versions": {"spacy_hetner": __version__, "torch": torch.__version__},
        "progress": progress,
        "average": average is not None,
        "scaler": scaler,
        "optimizer": settings,
    }
    path = checkpoint_path(folder, step)
    with replacing_folder(path) as partial:
        _write_tensors(partial / _MODEL, model)
        _write_tensors(partial / _OPTIMIZER, tensors)
        if average is not None:
            _write_tensors(partial / _AVERAGE, average)
        write_json(partial / _STATE, state)
    return path


def read_checkpoint(path: PathLike) -> Checkpoint:
    """What a checkpoint holds besides the state of the optimizer.

    RAISES (ValueError): HE205 for a damaged file.
    """
    path = Path(path)
    state = _read_state(path)
    return Checkpoint(
        _read_tensors(path / _MODEL),
        _read_tensors(path / _AVERAGE) if state["average"] else None,
        state["scaler"],
        state["progress"],
    )


def load_checkpoint(path: PathLike, optimizer: torch.optim.Optimizer) -> Checkpoint:
    """As ``read_checkpoint``; and the optimizer, made as the saved one was, takes up its state.

    RAISES (ValueError): HE205 for a damaged file, HE206 for an optimizer of other parameters. It
        is then left as it was.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path)
    settings = _read_state(path)["optimizer"]
    values = {**settings["numbers"], **_read_tensors(path / _OPTIMIZER)}
    _check_groups(settings["groups"], optimizer)
    _put_together(optimizer, settings["groups"], values)
    return checkpoint


def find_checkpoints(folder: PathLike) -> List[Path]:
    """The checkpoints in a folder, the oldest first; none if there is no such folder."""
    found = [path for path in Path(folder).glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted((path for path in found if path.is_dir()), key=step_of)


def step_of(path: Path) -> int:
    """The step of a checkpoint."""
    return int(path.name.removeprefix("step-"))


def prune(folder: PathLike, keep: int, best: Optional[int] = None) -> None:
    """Delete all checkpoints but the last ``keep`` and that of the step ``best``.

    RAISES (ValueError): HE081 for one that cannot be deleted.
    """
    found = find_checkpoints(folder)
    for path in found[: max(0, len(found) - keep)]:
        if step_of(path) != best:
            remove_folder(path)


def _take_apart(optimizer: torch.optim.Optimizer) -> Tuple[Dict[str, Tensor], Dict[str, Any]]:
    """The tensors of an optimizer, each under the number of its parameter, and all else as JSON."""
    saved = optimizer.state_dict()
    tensors: Dict[str, Tensor] = {}
    numbers: Dict[str, Any] = {}
    for parameter, values in saved["state"].items():
        for name, value in values.items():
            kind = tensors if isinstance(value, Tensor) else numbers
            kind[f"{parameter}.{name}"] = value
    settings = {"groups": saved["param_groups"], "numbers": numbers}
    try:
        json.dumps(settings)
    except TypeError as error:
        name = type(optimizer).__name__
        raise ValueError(Errors.HE207.format(name=name, reason=error)) from error
    return tensors, settings


def _put_together(
    optimizer: torch.optim.Optimizer, groups: List[Dict[str, Any]], values: Dict[str, Any]
) -> None:
    state: Dict[int, Dict[str, Any]] = defaultdict(dict)
    for key, value in values.items():
        parameter, _, name = key.partition(".")
        state[int(parameter)][name] = value
    for group, own in zip(groups, optimizer.param_groups, strict=True):
        # JSON has no tuples.
        group.update({name: tuple(group[name]) for name in group if type(own.get(name)) is tuple})
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_groups(groups: List[Dict[str, Any]], optimizer: torch.optim.Optimizer) -> None:
    """The state is saved by the place of a parameter, so all must be where they were."""
    pairs = zip_longest(_outline(groups), _outline(optimizer.param_groups), fillvalue="nothing")
    for there, here in pairs:
        if there != here:
            difference = f"{there} there, {here} here"
            raise ValueError(Errors.HE206.format(what="optimizer", difference=difference))


def _outline(groups: List[Dict[str, Any]]) -> Iterator[str]:
    """For each group the names of its parameters, or how many they are."""
    for number, group in enumerate(groups):
        yield f"group {number}"
        yield from group.get("param_names") or [f"{len(group['params'])} parameters"]


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors; those that share memory, such as tied weights, each as one of its own."""
    seen: Set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage().data_ptr()
        on_cpu = tensor.detach().cpu().contiguous()
        own[name] = on_cpu.clone() if memory in seen else on_cpu
        seen.add(memory)
    try:
        save_file(own, path)
    except SafetensorError as error:
        raise OSError(str(error)) from error


def _read_tensors(path: Path) -> Dict[str, Tensor]:
    with _reading(path):
        # Copied, since a tensor that is mapped to its file needs the file for as long as it lives.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}


def _read_state(path: Path) -> Dict[str, Any]:
    with _reading(path / _STATE):
        state = json.loads((path / _STATE).read_text(encoding="utf8"))
        if state["format"] != _FORMAT:
            raise ValueError(f"its format is {state['format']}, not {_FORMAT}")
        # Whatever is looked up later.
        state["average"], state["scaler"], state["progress"]
        state["optimizer"]["groups"], state["optimizer"]["numbers"]
    return state


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.HE205.format(path=path, reason=error)) from error
