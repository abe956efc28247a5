"""Encoder folders and transformers: what is loaded, how long its inputs may be, what is saved.

Nothing is downloaded, no code of a folder is run and no pickle read. The package transformers, an
extra, is imported where one of these functions needs it, not with this file.
"""

import inspect
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Iterator, NamedTuple, Optional, cast

import srsly
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import nn

from ..errors import Errors
from ..types import PathLike
from .folder import check_encoder_folder

SAVED = "the saved pipeline"
"""What messages name where an encoder comes from no folder."""


class Encoder(NamedTuple):
    """A fast tokenizer and the model that reads its pieces."""

    tokenizer: Any
    transformer: nn.Module


def load_encoder(folder: PathLike, *, by_token: bool = False) -> Encoder:
    """Read an encoder folder: on the CPU, in float32, without the pooling layer.

    by_token (bool): Whether tokens will be cut to pieces each on its own.
    RAISES (ValueError): HE020-HE023, HE034, HE035, HE039 for a folder that cannot be used; HE142
        without transformers.
    """
    place = str(check_encoder_folder(folder))
    tokenizer = load_tokenizer(place, by_token=by_token)
    return _matched(place, tokenizer, _load_transformer(place, _load_config(place)))


def load_outline(folder: PathLike, *, by_token: bool = False) -> Encoder:
    """As ``load_encoder``, with the weights left where they are: only to be asked, not run."""
    place = str(check_encoder_folder(folder))
    tokenizer, config = load_tokenizer(place, by_token=by_token), _load_config(place)
    with _coded(place), torch.device("meta"):
        transformer = _architecture(config)(config, **_without_pooler(config))
    return _matched(place, tokenizer, transformer)


def load_tokenizer(folder: PathLike, *, by_token: bool = False) -> Any:
    """The fast tokenizer of an encoder folder.

    by_token (bool): Whether tokens will be cut to pieces each on its own.
    RAISES (ValueError): HE023 where there is none; HE142 without transformers.
    """
    transformers = _transformers()

    def load(**options: Any) -> Any:
        return transformers.AutoTokenizer.from_pretrained(
            str(folder), use_fast=True, local_files_only=True, trust_remote_code=False, **options
        )

    try:
        tokenizer = load()
        if by_token and getattr(tokenizer, "add_prefix_space", True) is False:
            # Byte-level pieces carry the space before a word, which a token on its own lacks.
            tokenizer = load(add_prefix_space=True)
        pieces = tokenizer("a", add_special_tokens=False)["input_ids"]
    except Exception as err:  # The tokenizer library raises nothing more special.
        raise ValueError(Errors.HE023.format(path=folder)) from err
    if not (tokenizer.is_fast and pieces):
        raise ValueError(Errors.HE023.format(path=folder))
    return tokenizer


def longest_input(tokenizer: Any, transformer: nn.Module) -> int:
    """Pieces the encoder has positions for; RoBERTa's kin lose those up to the padding index."""
    limit = tokenizer.model_max_length
    positions = getattr(transformer.config, "max_position_embeddings", limit)
    table = getattr(getattr(transformer, "embeddings", None), "position_embeddings", None)
    padding_index = getattr(table, "padding_idx", None)
    reserved = 0 if padding_index is None else padding_index + 1
    return min(positions - reserved, limit)


def save_encoder(folder: PathLike, tokenizer: Any, transformer: nn.Module) -> None:
    """Write an encoder folder that ``load_encoder`` and transformers read.

    Files of the same names are replaced, others are left.
    RAISES (ValueError): HE081 if it cannot be written.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tokenizer.save_pretrained(folder)
        cast(Any, transformer).save_pretrained(folder, safe_serialization=True)
    except (OSError, SafetensorError) as err:
        raise ValueError(Errors.HE081.format(path=folder, reason=err)) from err


def encoder_to_bytes(tokenizer: Any, transformer: nn.Module) -> bytes:
    """Config, tokenizer files and weights (safetensors) as one message."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        cast(Any, transformer).config.save_pretrained(folder)
        files = {
            path.name: path.read_bytes()
            for path in sorted(Path(folder).iterdir())
            if path.is_file()
        }
    weights = {k: v.detach().cpu().contiguous() for k, v in transformer.state_dict().items()}
    return srsly.msgpack_dumps({"files": files, "weights": save_safetensors(weights)})


def encoder_from_bytes(data: bytes) -> Encoder:
    """The encoder of a message of ``encoder_to_bytes``, on the CPU; raises as ``load_encoder``."""
    message = srsly.msgpack_loads(data)
    with tempfile.TemporaryDirectory() as folder:
        for name, content in message["files"].items():
            Path(folder, Path(name).name).write_bytes(content)
        # Whatever by_token asks for was saved with the tokenizer.
        tokenizer = load_tokenizer(folder)
        config = _load_config(folder)
    transformer = _load_transformer(None, config, load_safetensors(message["weights"]))
    return _matched(SAVED, tokenizer, transformer)


def _transformers() -> ModuleType:
    try:
        import transformers
    except ImportError as err:
        raise ValueError(Errors.HE142.format(reason=err)) from err
    return transformers


def _load_config(folder: str) -> Any:
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except Exception as err:  # As with the tokenizer: values are checked in any way, or not at all.
        raise ValueError(Errors.HE021.format(path=folder, reason=f"it is unusable: {err}")) from err
    if config.is_encoder_decoder or type(config) not in transformers.MODEL_MAPPING:
        raise ValueError(Errors.HE035.format(path=folder, type=config.model_type))
    return config


def _load_transformer(
    folder: Optional[str], config: Any, weights: Optional[Dict[str, torch.Tensor]] = None
) -> nn.Module:
    """The encoder with the weights of its folder, or else with those given, in float32.

    RAISES (ValueError): HE034 where the config describes no encoder, or weights are missing or of
        other shapes.
    """
    place = folder or SAVED
    # Quiet about weights that are left over, such as a pooler's; those missing are told below.
    with _coded(place), _quiet_transformers():
        transformer, info = _architecture(config).from_pretrained(
            folder,
            config=config,
            state_dict=weights,
            local_files_only=True,
            use_safetensors=True,
            torch_dtype=torch.float32,
            output_loading_info=True,
            **_without_pooler(config),
        )
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        reason = f"{len(missing)} are missing, such as {', '.join(missing[:3])}"
        raise ValueError(Errors.HE034.format(path=place, reason=reason))
    return transformer


def _architecture(config: Any) -> Any:
    """The class of the plain encoder that a config describes."""
    known: Any = _transformers().MODEL_MAPPING[type(config)]
    return known[0] if isinstance(known, (list, tuple)) else known


def _without_pooler(config: Any) -> Dict[str, bool]:
    """BERT-like encoders make a pooling layer that no token ever uses: leave it out."""
    has_pooler = "add_pooling_layer" in inspect.signature(_architecture(config)).parameters
    return {"add_pooling_layer": False} if has_pooler else {}


def _matched(place: str, tokenizer: Any, transformer: nn.Module) -> Encoder:
    """Both, if they are of the same encoder.

    RAISES (ValueError): HE039 where the tokenizer has pieces that the encoder has no vector for.
    """
    pieces = max(tokenizer.get_vocab().values()) + 1
    rows = getattr(transformer.config, "vocab_size", 0)
    if pieces > rows:
        raise ValueError(Errors.HE039.format(path=place, pieces=pieces, rows=rows))
    return Encoder(tokenizer, transformer)


@contextmanager
def _coded(place: str) -> Iterator[None]:
    """HE034 for whatever a value of a config makes a model raise; it may be anything."""
    try:
        yield
    except Exception as err:
        reason = f"{type(err).__name__}: {err}"
        raise ValueError(Errors.HE034.format(path=place, reason=reason)) from err


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    logs = _transformers().utils.logging
    verbosity = logs.get_verbosity()
    logs.set_verbosity_error()
    try:
        yield
    finally:
        logs.set_verbosity(verbosity)
