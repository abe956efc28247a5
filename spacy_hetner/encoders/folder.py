"""What makes a folder an encoder: Hugging Face layout, safetensors weights, a fast tokenizer."""

import json
from pathlib import Path
from typing import List, Union

from safetensors import SafetensorError, safe_open

from ..errors import Errors

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
# Either of these sets is enough for a fast tokenizer without further libraries.
_TOKENIZERS = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))


def check_encoder_folder(path: Union[str, Path]) -> Path:
    """Make sure that an encoder can be loaded from a folder, without loading it.

    path (Union[str, Path]): A folder in Hugging Face layout, ours or anyone's.
    RETURNS (Path): The same folder.
    RAISES (ValueError): HE020 there is no such folder; HE021 no readable config.json; HE022 no
        whole safetensors weights (a pickle is never read); HE023 no fast tokenizer.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(Errors.HE020.format(path=folder))
    _check_config(folder)
    _check_weights(folder)
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        raise ValueError(Errors.HE023.format(path=str(folder)))
    return folder


def _check_config(folder: Path) -> None:
    if not (folder / CONFIG).is_file():
        raise ValueError(Errors.HE021.format(path=folder, reason="it has none"))
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf8"))
    except ValueError as err:
        raise ValueError(Errors.HE021.format(path=folder, reason=f"it is no JSON: {err}")) from err
    if not isinstance(config, dict) or "model_type" not in config:
        raise ValueError(Errors.HE021.format(path=folder, reason="it names no 'model_type'"))


def _check_weights(folder: Path) -> None:
    index = folder / f"{WEIGHTS}.index.json"
    if index.is_file():
        parts = _parts(folder, index)
    elif (folder / WEIGHTS).is_file():
        parts = [WEIGHTS]
    else:
        pickles = sorted(p.name for p in folder.glob("*.bin"))
        found = f"only {', '.join(pickles)}, and pickles are never read" if pickles else "none"
        raise ValueError(Errors.HE022.format(path=folder, reason=found))
    for name in parts:
        try:
            # Reads the header only, and compares what it promises with the size of the file.
            with safe_open(folder / name, framework="numpy"):
                pass
        except (SafetensorError, OSError) as err:
            raise ValueError(
                Errors.HE022.format(path=folder, reason=f"{name} cannot be read: {err}")
            ) from err


def _parts(folder: Path, index: Path) -> List[str]:
    """The files that weights in several parts are kept in."""
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ValueError(
            Errors.HE022.format(path=folder, reason=f"{index.name} cannot be read: {err!r}")
        ) from err
