"""A head that a stage of pre-training taught, as the head of a token tagger."""

from pathlib import Path
from typing import Any, Dict, Iterable, Mapping

from thinc.api import Model

from ..encoders.encoder import ENCODER, load_adapter
from ..encoders.heads import TaughtHead
from ..encoders.representation import REPRESENTATION
from ..encoders.standardize import NAME as STANDARDIZE
from ..sequences.head import ChainHead


def settings_to_change(
    taught: TaughtHead, settings: Mapping[str, Any], models: Iterable[Model]
) -> Dict[str, Any]:
    """What has to be set otherwise, so that a tagger reads what a head was taught with.

    settings (Mapping[str, Any]): Of the tagger and its torch head, by their names.
    models (Iterable[Model]): The tagger's, and those of the components that it listens to.
    RETURNS (Dict[str, Any]): Settings and the values that they should have; none where all fits. A
        CRF fits: its transitions begin at 0, where it says what a softmax does.
    """
    wanted = {
        "scheme": taught.record["scheme"],
        "layers": 1,
        "extra_layer": False,
        "width": taught.weights["tags.weight"].shape[1],
    }
    changes = {name: value for name, value in wanted.items() if settings[name] != value}
    for node in (node for model in models for node in model.walk()):
        if node.name == STANDARDIZE:
            changes["standardized"] = False
        elif node.name == REPRESENTATION and len(node.layers) > 1:
            features = ("vector_width", "pos_width", "char_width", "lstm_layers")
            changes.update(dict.fromkeys(features, 0))
        elif node.name == ENCODER:
            changes.update(_encoder_changes(taught, node))
    return changes


def take_over(head: ChainHead, taught: TaughtHead) -> None:
    """Copy the weights of the taught tags in front of those of labels that came later."""
    (emissions,) = head.emissions
    for name, values in emissions.named_parameters():
        values.data[: len(taught.weights[f"tags.{name}"])] = taught.weights[f"tags.{name}"]


def _encoder_changes(taught: TaughtHead, encoder: Model) -> Dict[str, Any]:
    adapter = load_adapter()
    module, reading = adapter.torch_encoder(encoder), adapter.reading_of(encoder)
    found = {
        "name": Path(reading.folder).resolve(),
        "pooling": module.pooling,
        "layers of the encoder": module.layers,
        "by_token": reading.by_token,
    }
    wanted = {
        "name": taught.folder.resolve(),
        "pooling": taught.record["pooling"],
        "layers of the encoder": 1,
        "by_token": taught.record["by_token"],
    }
    return {name: value for name, value in wanted.items() if found[name] != value}
