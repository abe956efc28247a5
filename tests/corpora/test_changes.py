"""What changed between two stores: counted right, shown with examples, told where they differ."""

import json

import pytest
from typer.testing import CliRunner

from spacy_hetner.cli import app
from spacy_hetner.corpora.changes import (
    ADDED,
    DROPPED,
    RETYPED,
    compare_spans,
    compare_stores,
    write_changes,
)
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.types import LabelledSpan

SENTENCE = "In the spring Ada Lovelace of London met two | friends in *Paris* again"
WORDS = SENTENCE.split()


def spans(*bounds):
    return [LabelledSpan(*bound) for bound in bounds]


@pytest.fixture
def compare(tmp_path):
    """The changes from some spans of each sentence to others."""

    def run(before, after, words=WORDS, **settings):
        for name, given in (("old", before), ("new", after)):
            records = [Record(words, spans(*bounds), id=f"r{n}") for n, bounds in enumerate(given)]
            write_parquet(records, tmp_path / f"{name}.parquet")
        return compare_stores([tmp_path / "old.parquet"], [tmp_path / "new.parquet"], **settings)

    return run


OLD = [[(3, 5, "PER"), (6, 7, "LOC")], [(3, 5, "PER")], []]
NEW = [[(3, 5, "PER"), (6, 7, "GPE"), (12, 13, "LOC")], [], []]


def test_spans_are_paired_by_their_bounds():
    kept, changes = compare_spans(
        spans((0, 1, "A"), (0, 1, "B"), (4, 6, "A"), (7, 8, "C")),
        spans((0, 1, "A"), (0, 1, "C"), (0, 1, "D"), (4, 5, "A"), (7, 8, "C")),
    )
    assert kept == ["A", "C"]
    assert changes == [
        (RETYPED, 0, 1, "C", "B"),
        (ADDED, 0, 1, "D", ""),
        (ADDED, 4, 5, "A", ""),
        (DROPPED, 4, 6, "A", ""),
    ]


def test_labels_balance(compare):
    changes = compare(OLD, NEW)
    assert (changes["records"], changes["changed"]) == (3, 2)
    assert changes["retyped"] == {"LOC": {"GPE": 1}}
    assert changes["labels"]["PER"] == {
        "before": 2,
        "after": 1,
        "kept": 1,
        "added": 0,
        "dropped": 1,
        "retyped from": 0,
        "retyped to": 0,
    }
    location = changes["labels"]["LOC"]
    assert (location["before"], location["after"]) == (1, 1)
    assert (location["added"], location["retyped from"]) == (1, 1)
    assert changes["labels"]["GPE"]["retyped to"] == 1


def test_examples_show_their_sentence(compare):
    changes = compare(OLD, NEW)
    by_kind = {example["change"]: example for example in changes["examples"]}
    assert by_kind["dropped"]["mention"] == "Ada Lovelace"
    assert by_kind["dropped"]["before"] == "In the spring "
    assert by_kind["dropped"]["record"] == "r1"
    assert by_kind["added"]["mention"] == "*Paris*"
    assert by_kind["added"]["before"].startswith("…")
    assert (by_kind["retyped"]["was"], by_kind["retyped"]["label"]) == ("LOC", "GPE")
    told = write_changes(changes)
    assert "**LOC → GPE** (1)" in told and "`London` met" in told
    assert "two \\| friends" in told  # a bar would be one of the table


def test_examples_are_a_draw_that_a_seed_decides(compare):
    before, after = [[]] * 200, [[(n % 10, n % 10 + 1, "A")] for n in range(200)]
    first = compare(before, after, examples=7)
    assert len(first["examples"]) == 7
    assert first == compare(before, after, examples=7)
    assert first["examples"] != compare(before, after, examples=7, seed=1)["examples"]
    assert len({example["record"] for example in first["examples"]}) == 7
    assert first["labels"]["A"]["added"] == 200
    assert compare(before, after, examples=0)["examples"] == []


def test_nothing_changed(compare):
    changes = compare(OLD, OLD)
    assert changes["changed"] == 0 and not changes["examples"]
    assert write_changes(changes).startswith("0 of 3 sentences changed.")


@pytest.mark.parametrize("after", [[[], []], [[], [], [], []]])
def test_other_numbers_of_records_are_told(compare, after):
    with pytest.raises(ValueError, match="HE289"):
        compare([[], [], []], after)


def test_other_records_are_told(tmp_path):
    write_parquet([Record(["a"], []), Record(["b"], [])], tmp_path / "old.parquet")
    write_parquet([Record(["a"], []), Record(["c"], [])], tmp_path / "new.parquet")
    with pytest.raises(ValueError, match=r"HE289.*record 1 is 'b ' in the one and 'c '"):
        compare_stores([tmp_path / "old.parquet"], [tmp_path / "new.parquet"])


def test_command(compare, tmp_path):
    compare(OLD, NEW)
    arguments = [str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet")]
    files = ["--output", str(tmp_path / "a.md"), "--report", str(tmp_path / "a.json")]
    result = CliRunner().invoke(app, ["changes", *arguments, *files, "-n", "1"])
    assert result.exit_code == 0, result.output
    assert "2 of 3 sentences changed." in result.output
    assert "| PER | 2 | 1 | 1 | 0 | 1 | 0 | 0 |" in (tmp_path / "a.md").read_text(encoding="utf8")
    report = json.loads((tmp_path / "a.json").read_text(encoding="utf8"))
    assert report["records"] == 3 and len(report["examples"]) == 3
