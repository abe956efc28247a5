"""Encoder folders as transformers sees them: what is saved is loaded again, here and there."""

import json
from pathlib import Path
from typing import Any, Dict

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from spacy_hetner.encoders.folder import check_encoder_folder
from spacy_hetner.encoders.hugging_face import (
    Encoder,
    encoder_from_bytes,
    encoder_to_bytes,
    load_encoder,
    load_outline,
    load_tokenizer,
    longest_input,
    save_encoder,
)
from spacy_hetner.files import write_json

TEXT = "Ｏｓｌｏ, 北京 and Lima ☺\ufe0f"


def weights_of(encoder: Encoder) -> Dict[str, torch.Tensor]:
    return encoder.transformer.state_dict()


def assert_same(one: Encoder, other: Encoder) -> None:
    left, right = weights_of(one), weights_of(other)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert one.tokenizer(TEXT)["input_ids"] == other.tokenizer(TEXT)["input_ids"]
    assert longest_input(*one) == longest_input(*other)


@pytest.mark.parametrize("by_token", [False, True])
def test_what_is_saved_is_loaded_again(tiny_encoder: Path, tmp_path: Path, by_token: bool) -> None:
    encoder = load_encoder(tiny_encoder, by_token=by_token)
    with torch.no_grad():
        encoder.transformer.get_parameter("embeddings.word_embeddings.weight").add_(1)
    folder = tmp_path / "new" / "folder"
    save_encoder(folder, *encoder)
    save_encoder(folder, *encoder)  # Over what is there.
    assert check_encoder_folder(folder) == folder
    assert_same(load_encoder(folder, by_token=by_token), encoder)
    assert_same(encoder_from_bytes(encoder_to_bytes(*encoder)), encoder)


def test_what_is_saved_is_loaded_by_transformers(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    save_encoder(tmp_path, *encoder)
    plain = AutoModel.from_pretrained(tmp_path, local_files_only=True, add_pooling_layer=False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert_same(Encoder(tokenizer, plain), encoder)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf8"))
    assert config["architectures"] == ["BertModel"] and config["torch_dtype"] == "float32"
    for file in tmp_path.glob("*.json"):  # Nobody else has what lies there.
        assert str(tiny_encoder) not in file.read_text(encoding="utf8")
    assert not [*tmp_path.glob("*.bin"), *tmp_path.glob("*.pt")]


def test_weights_are_float32_whatever_they_are_stored_in(encoder_copy: Path) -> None:
    path = encoder_copy / "model.safetensors"
    half = {name: weight.half() for name, weight in load_file(path).items()}
    save_file(half, path, metadata={"format": "pt"})
    encoder = load_encoder(encoder_copy)
    assert {weight.dtype for weight in weights_of(encoder).values()} == {torch.float32}
    assert {parameter.device.type for parameter in encoder.transformer.parameters()} == {"cpu"}


def test_a_folder_that_cannot_be_written_is_an_error(tiny_encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf8")
    encoder = load_encoder(tiny_encoder)
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"\[HE081\].*file"):
            save_encoder(folder, *encoder)


# The outline, whose weights are not read


def test_an_outline_says_what_the_encoder_says(tiny_encoder: Path) -> None:
    whole, outline = load_encoder(tiny_encoder), load_outline(tiny_encoder)
    assert outline.transformer.config.hidden_size == 32
    assert {name: weight.shape for name, weight in weights_of(outline).items()} == {
        name: weight.shape for name, weight in weights_of(whole).items()
    }
    assert {parameter.device.type for parameter in outline.transformer.parameters()} == {"meta"}
    assert longest_input(*outline) == longest_input(*whole) == 512


@pytest.mark.parametrize("positions", [20, 600])
def test_the_longest_input_is_what_encoder_and_tokenizer_take(
    encoder_copy: Path, positions: int
) -> None:
    config = json.loads((encoder_copy / "config.json").read_text(encoding="utf8"))
    write_json(encoder_copy / "config.json", {**config, "max_position_embeddings": positions})
    assert longest_input(*load_outline(encoder_copy)) == min(positions, 512)


def test_positions_up_to_the_padding_index_are_none() -> None:
    from transformers import RobertaConfig, RobertaModel

    class Tokenizer:
        model_max_length = 10**30

    config = RobertaConfig(max_position_embeddings=34, hidden_size=12, num_hidden_layers=1)
    assert longest_input(Tokenizer(), RobertaModel(config)) == 32
    with torch.device("meta"):
        assert longest_input(Tokenizer(), RobertaModel(config)) == 32


# What is refused, by all that load


@pytest.mark.parametrize("load", [load_encoder, load_outline])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_type": "no-such-type"}, "HE021"),
        ({"model_type": "t5"}, "HE035"),
        ({"hidden_act": "foo"}, "HE034"),
        ({"hidden_size": "x"}, "HE034"),
        ({"vocab_size": 3}, "HE03[49]"),
    ],
)
def test_a_bad_config_is_an_error(
    encoder_copy: Path, load: Any, changes: Dict[str, Any], code: str
) -> None:
    config = json.loads((encoder_copy / "config.json").read_text(encoding="utf8"))
    write_json(encoder_copy / "config.json", {**config, **changes})
    verbosity = transformers_logging.get_verbosity()
    with pytest.raises(ValueError, match=rf"(?s)\[{code}\].*copy.*encoder build"):
        load(encoder_copy)
    assert transformers_logging.get_verbosity() == verbosity


@pytest.mark.parametrize("load", [load_encoder, load_outline])
def test_a_folder_is_checked_first(load: Any, encoder_copy: Path) -> None:
    (encoder_copy / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"\[HE022\]"):
        load(encoder_copy)
    with pytest.raises(ValueError, match=r"\[HE020\]"):
        load(encoder_copy / "nowhere")


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[HE023\]"):
        load_tokenizer(tmp_path)
