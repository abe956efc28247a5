"""``spacy hetner attention`` on a small tagger."""

import re
import sys

import numpy
import pytest
import spacy
from typer.testing import CliRunner
from util import SMALL_TOK2VEC, WIDTH, make_example, train

from spacy_hetner.cli import app
from spacy_hetner.evaluation import pictures
from spacy_hetner.evaluation.heatmap import HeatMap, read_heat_map, save_heat_map

NAME = "hetner_class_attention_tagger"
TEXT = "Ada met Alan Turing & sons ."
SENTENCE = (TEXT.split(), [(0, 1, "PER"), (2, 4, "PER"), (5, 6, "ORG")])


@pytest.fixture(scope="module")
def nlp():
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": SMALL_TOK2VEC})
    model = {"heads": 4, "dropout": 0.0, "tok2vec": {"width": WIDTH}}
    nlp.add_pipe(NAME, config={"model": model})
    train(nlp, [make_example(nlp, *SENTENCE)], epochs=60)
    return nlp


@pytest.fixture(scope="module")
def model(nlp, tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention") / "model"
    nlp.to_disk(folder)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["attention", *map(str, arguments)])


def test_what_is_shown(nlp):
    found = read_heat_map(nlp, TEXT)
    assert found.labels == ["ORG", "PER"] and found.tokens == TEXT.split()
    assert found.tags == ["S-PER", "O", "B-PER", "E-PER", "O", "S-ORG", "O"]
    doc = nlp(TEXT)
    numpy.testing.assert_allclose(found.weights, nlp.get_pipe(NAME).attention(doc), atol=1e-6)


def test_page(model, tmp_path):
    out = tmp_path / "new" / "map.html"
    result = run(model, "Ada met Alan & sons", "--out", out)
    assert result.exit_code == 0, result.output
    page = out.read_text(encoding="utf8")
    assert "<th>PER</th>" in page and "<th>&amp;</th>" in page
    columns = len(re.findall(r"<thead>.*</thead>", page)[0].split("<th>")) - 2
    cells = re.findall(r"rgb\((\d+), (\d+), (\d+)\)", page)
    assert len(cells) == 2 * columns
    assert min(int(red) for red, _, _ in cells) == 8  # the largest weight is the darkest


def test_picture(model, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "map.png"
    assert run(model, "Ada met Alan", "--out", out).exit_code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_characters_that_no_font_has_are_told_once(model, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(pictures, "FONTS", ("DejaVu Sans",))
    heat_map = HeatMap(numpy.ones((1, 3), "float32"), ["人"], ["图", "图", "\t"], ["O"] * 3)
    with pytest.warns(UserWarning, match=r"HW092.* 人图: ") as told:
        save_heat_map(heat_map, tmp_path / "map.png")
    assert len(told) == 1
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["map.html", "map.png"])
def test_no_text(model, tmp_path, name):
    pytest.importorskip("matplotlib")
    result = run(model, "", "--out", tmp_path / name)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).stat().st_size > 0


def test_no_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    heat_map = HeatMap(numpy.ones((1, 1), "float32"), ["PER"], ["Ada"], ["O"])
    with pytest.raises(ValueError, match=r"HE097.*plots"):
        save_heat_map(heat_map, tmp_path / "map.png")
    assert not list(tmp_path.iterdir())
    save_heat_map(heat_map, tmp_path / "map.html")


def test_a_place_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    heat_map = HeatMap(numpy.ones((1, 1), "float32"), ["PER"], ["Ada"], ["O"])
    with pytest.raises(ValueError, match=r"HE081"):
        save_heat_map(heat_map, tmp_path / "file" / "map.html")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--out", "map.svg"), "HE004"),
        (("--out", "map.html", "--component", "tok2vec"), "HE096"),
    ],
)
def test_bad_input(model, tmp_path, monkeypatch, capfd, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(model, "Ada", *arguments)
    assert result.exit_code == 1
    assert message in result.output + "".join(capfd.readouterr())
    assert not list(tmp_path.iterdir())


def test_no_pipeline(tmp_path, capfd):
    result = run(tmp_path / "none", "Ada", "--out", tmp_path / "map.html")
    assert result.exit_code == 1
    assert "HE093" in result.output + "".join(capfd.readouterr())
