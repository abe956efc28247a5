"""``spacy hetner project-entities`` on a random encoder."""

import json
import sys

import pytest
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_docbin, write_parquet
from spacy_hetner.types import LabelledSpan

RECORDS = [
    Record(
        [f"Ada{i}", "left", f"Rome{i}", "."], [LabelledSpan(0, 1, "PER"), LabelledSpan(2, 3, "LOC")]
    )
    for i in range(12)
]


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "records.parquet"
    write_parquet(RECORDS, path)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["project-entities", *map(str, arguments)])


def test_picture_table_and_json(store, tiny_encoder, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    output, points = tmp_path / "new" / "map.svg", tmp_path / "map.json"
    encoders = ["--encoder", tiny_encoder, "-e", tiny_encoder]
    result = run(store, *encoders, "--output", output, "--per-label", 7, "--json", points)
    assert result.exit_code == 0, result.output
    found = json.loads(points.read_text(encoding="utf8"))
    assert found["method"] == "tsne" and found["counts"] == {"LOC": 7, "PER": 7}
    assert len(found["labels"]) == len(found["texts"]) == 14
    one, two = found["panels"]
    assert one == two and one["encoder"] == str(tiny_encoder) and len(one["points"]) == 14
    assert result.output.count(f"{one['silhouette']:.3f}") == 2
    assert "14 entities of 2 labels" in result.output
    assert output.read_text(encoding="utf8").count(f"silhouette {one['silhouette']:.3f}") == 2


def test_labels_method_and_group(tiny_encoder, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    store = tmp_path / "records.spacy"
    more = [Record(record.tokens, [*record.spans, LabelledSpan(3, 4, "DOT")]) for record in RECORDS]
    write_docbin(more, store, spans_key="gold")
    result = run(
        *(store, "-e", tiny_encoder, "-o", tmp_path / "map.png", "--json", tmp_path / "map.json"),
        *("--labels", "DOT, PER", "--method", "pca", "--spans-key", "gold", "--by-token"),
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "map.json").read_text(encoding="utf8"))
    assert found["method"] == "pca" and found["counts"] == {"DOT": 12, "PER": 12}


@pytest.mark.parametrize(
    "options, message",
    [
        (("--output", "map.jpg"), "HE004"),
        (("--output", "map.svg", "--method", "lda"), "HE004"),
        (("--output", "map.svg", "--labels", "PERS"), "HE227"),
        (("--output", "map.svg", "--labels", "PER"), "HE226"),
    ],
)
def test_bad_input(store, tiny_encoder, monkeypatch, capfd, tmp_path, options, message):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    result = run(store, "--encoder", tiny_encoder, *options)
    assert result.exit_code == 1
    assert message in result.output + "".join(capfd.readouterr())
    assert [path.name for path in tmp_path.iterdir()] == [store.name]


def test_no_matplotlib(store, tiny_encoder, monkeypatch, capfd, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(store, "--encoder", tiny_encoder, "--output", tmp_path / "map.svg")
    assert result.exit_code == 1
    assert "HE225" in result.output + "".join(capfd.readouterr())
