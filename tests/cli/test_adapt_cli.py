"""``spacy hetner encoder adapt``: raw text in, an encoder folder out, with or without a teacher."""

import json

import numpy
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.pretraining import train as train_module
from spacy_hetner.pretraining.checkpoints import find_checkpoints

WORDS = ["ada", "grace", "zed", "rome", "oslo", "lima", "queen", "saw", "the", "met", "why", "but"]


@pytest.fixture
def teacher(tmp_path):
    text = tmp_path / "words.txt"
    text.write_text(" ".join(WORDS * 2), encoding="utf8")
    return build_encoder("tiny", tmp_path / "teacher", vocab_text=text)


@pytest.fixture
def texts(tmp_path):
    """A text a line, one of them twice; and a test set with another one."""
    random = numpy.random.default_rng(0)
    lines = [" ".join(random.permutation(WORDS)) for _ in range(12)]
    (tmp_path / "texts.txt").write_text("\n".join([*lines, lines[3]]), encoding="utf8")
    (tmp_path / "test.jsonl").write_text(json.dumps({"text": lines[5]}), encoding="utf8")
    return tmp_path / "texts.txt"


@pytest.fixture
def adapt(tmp_path, tiny_encoder, texts):
    def start(*options, lang="en"):
        arguments = ["encoder", "adapt", "--student", str(tiny_encoder), "--text", str(texts)]
        arguments += ["--out", str(tmp_path / "run"), "--lang", lang, "--dev", "0.3", "--cpu"]
        arguments += ["--exclude", f"{tmp_path / 'test.jsonl'}:text"]
        return CliRunner().invoke(app, [*arguments, "--pretraining.max_steps", "4", *options])

    return start


def read_json(path):
    return json.loads(path.read_text(encoding="utf8"))


def test_with_a_teacher(adapt, tmp_path, teacher, tiny_encoder):
    options = ["--pretraining.eval_frequency", "2", "--pretraining.max_epochs", "0"]
    result = adapt("--teacher", str(teacher), *options)
    assert result.exit_code == 0, result.output
    encoder = tmp_path / "run" / "encoder"
    stage = read_json(encoder / "stage.json")
    assert stage["objective"]["name"] == "piece_alignment" and stage["steps"] == 4
    (origin,) = stage["data"]["train"]["origins"]
    (source,) = origin["sources"]
    assert source["name"] == "texts.txt" and source["read"]["texts"] == 13
    assert sum(source["dropped"].values()) == 2  # the one that is repeated, the one to be tested
    assert "collected from: `texts.txt`" in (encoder / "README.md").read_text(encoding="utf8")
    head = read_json(encoder / "head.json")
    assert head["teacher"]["name"] == "teacher"
    before, after = (load_file(f / "model.safetensors") for f in (tiny_encoder, encoder))
    name = "embeddings.word_embeddings.weight"
    assert before[name].shape == after[name].shape and (before[name] != after[name]).any()
    load_encoder(encoder)


def test_without_a_teacher(adapt, tmp_path):
    result = adapt()
    assert result.exit_code == 0, result.output
    stage = read_json(tmp_path / "run" / "encoder" / "stage.json")
    assert stage["objective"]["name"] == "masked_language_modelling"
    assert stage["objective"]["settings"]["whole_words"] == "tokens"
    assert stage["objective"]["settings"]["by_token"] is False


def test_chinese_is_read_by_the_character(adapt, tmp_path, teacher):
    result = adapt("--teacher", str(teacher), "--pretraining.seed", "3", lang="zh")
    assert result.exit_code == 0, result.output
    stage = read_json(tmp_path / "run" / "encoder" / "stage.json")
    assert stage["objective"]["settings"]["by_token"] is True and stage["seed"] == 3


def test_a_run_that_was_cut_off_goes_on(adapt, tmp_path, teacher, monkeypatch):
    plain = train_module.Trainer.step

    def dying(trainer, planned, number, *, stop):
        if number == 2:
            raise KeyboardInterrupt
        return plain(trainer, planned, number, stop=stop)

    options = ["--teacher", str(teacher), "--pretraining.checkpoint_frequency", "1"]
    options += ["--pretraining.max_epochs", "4"]
    with monkeypatch.context() as patch:
        patch.setattr(train_module.Trainer, "step", dying)
        assert adapt(*options).exit_code != 0
    assert find_checkpoints(tmp_path / "run" / "checkpoints")
    again = adapt(*options)
    assert again.exit_code == 1 and "HE195" in again.output
    resumed = adapt(*options, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert read_json(tmp_path / "run" / "encoder" / "stage.json")["steps"] == 4


def test_the_config_is_left_for_pretrain(adapt, tmp_path, teacher):
    assert adapt("--teacher", str(teacher)).exit_code == 0
    arguments = ["pretrain", str(tmp_path / "run" / "config.cfg"), "-o", str(tmp_path / "again")]
    result = CliRunner().invoke(app, [*arguments, "--cpu"])
    assert result.exit_code == 0, result.output
    first, second = (
        load_file(tmp_path / name / "encoder" / "model.safetensors") for name in ("run", "again")
    )
    assert all((first[name] == second[name]).all() for name in first)


def test_a_wrong_setting_is_told_before_any_work(adapt, tmp_path):
    result = adapt("--pretraining.precision", "int8")
    assert result.exit_code == 1 and "HE004" in result.output
    assert not (tmp_path / "run" / "text").exists()
