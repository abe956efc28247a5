"""``spacy hetner fewshot`` and ``labels``."""

import json
import re
import shlex
from pathlib import Path

import pytest
from spacy.cli._util import parse_config_overrides
from spacy.util import load_config
from typer import Typer
from typer.testing import CliRunner

from spacy_hetner.cli.fewshot import fewshot_cli
from spacy_hetner.cli.labels import labels_cli
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.types import LabelledSpan

CONFIG = """
[paths]
encoder = null

[system]
gpu_allocator = null

[nlp]
lang = "en"
pipeline = ["transformer", "tagger"]

[components]

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy_hetner.Encoder.v1"
name = ${paths.encoder}

[components.tagger]
factory = "hetner_tagger"

[components.tagger.model]
@architectures = "spacy_hetner.TokenTagger.v1"

[components.tagger.model.tok2vec]
@architectures = "spacy_hetner.TokenRepresentation.v1"
width = 32

[corpora]

[corpora.train]
@readers = "spacy_hetner.RecordCorpus.v1"
path = null

[corpora.dev]
@readers = "spacy_hetner.RecordCorpus.v1"
path = null

[training]
gpu_allocator = null
max_steps = 1000
eval_frequency = 1

[training.score_weights]
spans_entities_f = 1.0
"""
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@pytest.fixture
def app():
    app = Typer()
    app.command("fewshot", context_settings=PASS_ON)(fewshot_cli)
    app.command("labels")(labels_cli)
    return app


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.cfg").write_text(CONFIG, encoding="utf8")
    record = Record(["Ada", "left", "Rome"], [LabelledSpan(0, 1, "PER"), LabelledSpan(2, 3, "GPE")])
    write_parquet([record] * 10, tmp_path / "data.parquet")
    return tmp_path


def invoke(app, folder, *options):
    data = str(folder / "data.parquet")
    stores = ["--train", data, "--dev", data, "--test", data]
    given = ["fewshot", str(folder / "base.cfg"), *stores, "--output", str(folder / "out")]
    return CliRunner().invoke(app, [*given, *options])


def test_rows_table_and_curve(app, folder, tiny_encoder):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: extra [plots]")
    options = ["--percent", "20,50", "--count", "5", "--seeds", "0,1", "--encoder"]
    result = invoke(app, folder, *options, f"my=tiny={tiny_encoder}", "--training.max_steps", "1")
    assert result.exit_code == 0, result.output
    out = folder / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.png",
        "curve.svg",
        "logs",
        "rows",
        "runs.json",
        "table.md",
    ]
    runs = json.loads((out / "runs.json").read_text("utf8"))["runs"]
    assert [(run["n"], run["seed"], run["start"]) for run in runs] == [
        (n, seed, "my=tiny") for n in (2, 5) for seed in (0, 1)
    ]
    rows = [json.loads(path.read_text("utf8")) for path in sorted((out / "rows").iterdir())]
    assert [(row["n"], row["total"], row["seed"]) for row in rows] == [
        (2, 10, 0),
        (2, 10, 1),
        (5, 10, 0),
        (5, 10, 1),
    ]
    table = (out / "table.md").read_text("utf8")
    assert table.count("my=tiny") == 2 and "±" in table
    assert table.split("\n\n")[1].strip() in result.output
    again = invoke(app, folder, *options, str(tiny_encoder), "--training.max_steps", "1")
    assert again.exit_code == 0, again.output
    assert again.output.count("(kept)") == 4
    assert (out / "table.md").read_text("utf8") == table.replace("my=tiny", tiny_encoder.name)


@pytest.mark.parametrize(
    "options,message",
    [
        (["--count", "1;2"], r"HE222.*--count takes numbers with commas.*'1;2'"),
        (["--count", "2.5"], "HE222.*--count"),
        (["--percent", "a"], "HE222.*--percent"),
        (["--seeds", "x", "--count", "1"], "HE222.*--seeds"),
        (["--percent", ""], "HE222.*--percent takes numbers.*got ''"),
        (["--count", " , "], "HE222.*--count takes numbers"),
        (["--seeds", "", "--count", "1"], "HE222.*--seeds takes numbers"),
        (["--encoder", "a=x", "--source", "a=y"], "HE222.*--source.*own.*'a'"),
        (["--encoder", "a=x", "--encoder", "a=y"], r"HE222.*--encoder.*own.*'a=y'"),
        (["--encoder", "x=nowhere", "--count", "1"], "HE020.*nowhere"),
        (["--source", "s=nowhere", "--count", "1"], "HE219.*--source"),
    ],
)
def test_options_that_cannot_be_read(app, folder, options, message):
    result = invoke(app, folder, *options)
    assert isinstance(result.exception, ValueError)
    with pytest.raises(ValueError, match=message):
        raise result.exception
    assert not (folder / "out").exists()


def test_an_option_that_is_misspelt_is_no_value_of_the_config(app, folder):
    result = invoke(app, folder, "--counts", "1")
    assert "No such option" in str(result.exception) and not (folder / "out").exists()


def test_the_code_of_a_config_tells_rows_apart(app, folder, tiny_encoder):
    code = folder / "code.py"
    options = ["--count", "2", "--seeds", "0", "--encoder", str(tiny_encoder), "--code", str(code)]
    for text, kept in (("", 0), ("", 1), ("CHANGED = True", 0)):
        code.write_text(text, encoding="utf8")
        result = invoke(app, folder, *options, "--training.max_steps", "1")
        assert result.exit_code == 0, result.output
        assert result.output.count("(kept)") == kept


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/pretraining.md"])
@pytest.mark.parametrize("config", ["locate_and_label.cfg", "tagger.cfg"])
def test_commands_of_the_docs_score_what_they_train(page, config):
    text = (ROOT / page).read_text(encoding="utf8").replace("\\\n", " ")
    (command,) = re.findall(r"^.*spacy hetner fewshot .*--.*$", text, re.M)
    words = shlex.split(command)
    first = next(i for i, word in enumerate(words) if word.startswith("--training."))
    given = [word for word in words[first:] if word != "--output" and word != "fewshot"]
    overrides = parse_config_overrides(given)
    training = load_config(ROOT / "configs" / config, overrides, interpolate=False)["training"]
    assert training["max_epochs"] == 0, "small samples would end before they are scored"
    assert training["max_steps"] >= 2 * training["eval_frequency"]
    assert training["optimizer"]["learn_rate"]["total_steps"] == training["max_steps"]


def test_labels(app, folder):
    write_parquet([Record(["x"], [LabelledSpan(0, 1, "FAC")])], folder / "other.parquet")
    stores = [str(folder / "data.parquet"), str(folder / "other.parquet")]
    result = CliRunner().invoke(
        app, ["labels", *stores, "--output", str(folder / "new" / "l.json")]
    )
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "new" / "l.json").read_text("utf8")) == ["FAC", "GPE", "PER"]
    assert [line.split() for line in result.output.split("\n")[1:4]] == [
        ["FAC", "1"],
        ["GPE", "10"],
        ["PER", "10"],
    ]
