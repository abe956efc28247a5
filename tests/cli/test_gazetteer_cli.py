"""``spacy hetner gazetteer``."""

import json

import pytest
from typer import Typer
from typer.testing import CliRunner

from spacy_hetner.cli.gazetteer import gazetteer_app
from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.gazetteers.gazetteer import Gazetteer


@pytest.fixture
def dictionaries(tmp_path):
    (tmp_path / "org.txt").write_text("IBM\n苹果\nx\n", encoding="utf8")
    (tmp_path / "loc.csv").write_text('id,name\n1,"Paris, TX"\n2,苹果\n', encoding="utf8")
    return tmp_path


def run(*arguments):
    app = Typer()
    app.add_typer(gazetteer_app)
    return CliRunner().invoke(app, ["gazetteer", *map(str, arguments)])


def test_build_and_stats(dictionaries, tmp_path):
    sources = tmp_path / "sources.json"
    sources.write_text('[{"path": "loc.csv", "label": "LOC", "text_column": "name"}]', "utf8")
    out, report = tmp_path / "out", tmp_path / "report.json"
    result = run(
        "build", f"ORG={dictionaries / 'org.txt'}", "--sources", sources, "--out", out,
        "--conflict", "first", "--priority", "LOC", "--min-length", 2, "--normalize", "case",
        "--report", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for part in ("ORG", "LOC + ORG", "dropped: shorter than 2", "Saved 3 entries"):
        assert part in result.output, result.output
    gazetteer = Gazetteer.from_disk(out)
    assert {name: gazetteer.get(name) for name in gazetteer.surfaces} == {
        "ibm": ("ORG",), "paris, tx": ("LOC",), "苹果": ("LOC",),
    }  # fmt: skip
    written = json.loads(report.read_text(encoding="utf8"))
    assert (written["entries"], written["ambiguous"]) == (3, 1)

    counts = tmp_path / "counts.json"
    result = run("stats", out, "--report", counts)
    assert result.exit_code == 0, result.output
    assert "length 9-12" in result.output
    written = json.loads(counts.read_text(encoding="utf8"))
    assert written["labels"] == {"LOC": 2, "ORG": 1}
    assert written["lengths"] == {"2": 1, "3": 1, "9": 1}


def test_options_of_the_layout_reach_the_reader(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("title\nLOC|南京|7\nORG|x|1\nPER|短|8\n".encode("gb18030"))
    result = run(
        "build", path, "--out", tmp_path / "out", "--text-column", 2, "--label-column", 1,
        "--frequency-column", 3, "--separator", "|", "--skip", 1, "--encoding", "gb18030",
        "--min-frequency", 2, "--max-length", 2, "--label", "X", "--no-header",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    gazetteer = Gazetteer.from_disk(tmp_path / "out")
    assert [gazetteer.get(name) for name in ("南京", "短", "x")] == [("LOC",), ("PER",), ()]


def test_one_label_for_many_files(dictionaries, tmp_path):
    result = run("build", dictionaries / "org.txt", "-l", "NAME", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert Gazetteer.from_disk(tmp_path / "out").labels == ("NAME",)


def test_strict_stops_and_writes_nothing(dictionaries, tmp_path):
    result = run(
        "build",
        f"X={dictionaries / 'org.txt'}",
        "--min-length",
        2,
        "--strict",
        "-o",
        tmp_path / "o",
    )
    assert result.exit_code != 0 and "HE074" in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_nothing_to_build_from_is_told(tmp_path):
    result = run("build", "-o", tmp_path / "out")
    assert "HE114" in str(result.exception)


def test_stats_of_no_gazetteer_is_told(tmp_path):
    assert "HE112" in str(run("stats", tmp_path).exception)


def test_mentions(dictionaries, tmp_path):
    words, report = tmp_path / "words.txt", tmp_path / "report.json"
    words.write_bytes("7 桌子\n8 苹果\n9 走路\n".encode("gb18030"))
    result = run("build", f"ORG={dictionaries / 'org.txt'}", "--out", tmp_path / "names")
    assert result.exit_code == 0, result.output
    result = run(
        "mentions", tmp_path / "names", tmp_path / "out", "--lang", "zh", "--common", words,
        "--text-column", 2, "--separator", " ", "--encoding", "gb18030", "--o-ratio", 0.67,
        "--dev", 0, "--per-character", "--report", report,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Saved the mentions" in result.output and "ORG" in result.output
    written = json.loads(report.read_text(encoding="utf8"))
    assert written["labels"] == {"ORG": 3, "O": 2}
    assert written["dropped"] == {"common word that the gazetteer has": 1}
    records = {record.id: record for record in read_stores([tmp_path / "out"])}
    assert set(records) == {"IBM", "苹果", "x", "桌子", "走路"}
    assert records["IBM"].tokens == ["I", "B", "M"]


def test_options_of_mentions_reach_the_function(dictionaries, tmp_path):
    parts = [f"{label}={dictionaries / 'org.txt'}" for label in ("A", "B")]
    run("build", *parts, "--out", tmp_path / "names")
    result = run("mentions", tmp_path / "names", tmp_path / "out", "--lang", "zh", "--o-ratio", 0)
    assert "HE266" in str(result.exception)
    result = run(
        "mentions", tmp_path / "names", tmp_path / "out", "--lang", "zh", "--o-ratio", 0,
        "--ambiguous", "all", "--dev", 0.5, "--seed", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert sum(1 for _ in read_stores([tmp_path / "out"])) == 3
    options = ["--lang", "zh", "--ambiguous", "all"]
    result = run("mentions", tmp_path / "names", tmp_path / "out", *options)
    assert "HE265" in str(result.exception)
    words = tmp_path / "words.txt"
    words.write_text("\t3\n", encoding="utf8")
    options += ["--common", words, "--strict"]
    result = run("mentions", tmp_path / "names", tmp_path / "out", *options)
    assert "HE074" in str(result.exception)
