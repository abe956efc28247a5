"""``spacy hetner fewshot`` and ``labels``."""

import json

import pytest
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
        "table.md",
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
