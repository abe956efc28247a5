"""``spacy hetner convert``."""

import json

import pytest
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.labels.codecs import ORPHAN


@pytest.fixture
def weibo(tmp_path):
    path = tmp_path / "weibo.txt"
    path.write_text("科0\tB-GPE.NAM\n技1\tI-GPE.NAM\n\n全0\tI-PER.NOM\n\n好0\tO\n", encoding="utf8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


@pytest.mark.parametrize("suffix", ["parquet", "spacy"])
def test_columns_to_store_with_report(weibo, tmp_path, suffix):
    output, report = tmp_path / "out" / f"x.{suffix}", tmp_path / "reports" / "x.json"
    options = ("--format", "columns", "--lang", "zh", "--strip-token-digit", "--report", report)
    result = run(weibo, output, *options)
    assert result.exit_code == 0, result.output
    assert "GPE.NAM" in result.output and f"inconsistent: {ORPHAN}" in result.output
    records = list(read_stores([output]))
    assert [record.text for record in records] == ["科技", "全", "好"]
    assert [record.spans for record in records] == [[(0, 2, "GPE.NAM")], [(0, 1, "PER.NOM")], []]
    written = json.loads(report.read_text(encoding="utf8"))
    assert (written["sentences"], written["entities"]) == (3, 2)
    assert written["inconsistent"] == {ORPHAN: 1}
    assert [path.name for path in output.parent.iterdir()] == [output.name]


def test_options_reach_the_reader(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("# a\nB-X|a\nE-X|b\n", encoding="utf8")
    output = tmp_path / "x.parquet"
    result = run(
        path, output, "--format", "columns", "--scheme", "bmes",
        "--decoding", "strict", "--separator", "|", "--token-column", 2, "--tag-column", 1,
        "--comment", "#", "--encoding", "gb18030", "--no-spaces",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (record,) = read_stores([output])
    assert (record.tokens, record.spans) == (["a", "b"], [(0, 2, "X")])
    assert record.text == "ab"


def test_limit_draws_by_seed(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("".join(f"t{i}\tO\n\n" for i in range(50)), encoding="utf8")
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        output = tmp_path / f"{number}.parquet"
        result = run(path, output, "-f", "columns", "--limit", 5, "--seed", seed)
        assert result.exit_code == 0, result.output
        drawn.append([record.tokens for record in read_stores([output])])
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 5


@pytest.mark.parametrize(
    "options, message",
    [
        (("--strict", "--strip-token-digit"), "HE074"),
        (("--scheme", "BMES"), "HE060"),
        (("--unit", "line"), "HE076"),
        (("--lang", "qqq"), "HE085"),
    ],
)
def test_bad_input_is_told_without_a_traceback_and_leaves_no_file(
    weibo, tmp_path, options, message, capfd
):
    result = run(weibo, tmp_path / "x.parquet", "--format", "columns", *options)
    assert result.exit_code == 1
    told = result.output + "".join(capfd.readouterr())
    assert message in told and "Traceback" not in told
    assert list(tmp_path.iterdir()) == [weibo]


def test_strict_names_file_and_line(weibo, tmp_path, capfd):
    options = ("--format", "columns", "--strict", "--strip-token-digit")
    result = run(weibo, tmp_path / "x.parquet", *options)
    told = "".join((result.output + "".join(capfd.readouterr())).split())
    assert f"{weibo}:4:" in told
