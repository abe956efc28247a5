"""The benchmark page, on rows made for the test: what is averaged, kept apart, and missed."""

import copy
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any, Dict

import pytest
from benchmarks.pages import cells_of

ROW: Dict[str, Any] = {
    "data": "genia",
    "system": "locate_and_label",
    "encoder": "minilm-l6-en",
    "tag": "",
    "split": "test",
    "train_sentences": 3000,
    "seed": 0,
    "epochs": 5,
    "learn_rate": 0.0002,
    "batch_size": 16,
    "precision": "fp32",
    "steps": 940,
    "override": [],
    "scores": {
        "spans_entities_p": 0.5,
        "spans_entities_r": 0.25,
        "spans_entities_f": 0.7,
        "spans_entities_unlabelled_f": 0.75,
        "spans_entities_by_length": {"5-9": {"p": 0, "r": 0, "f": 0.4}},
        "spans_entities_by_depth": {"1": {"f": 0.8}, "2": {"f": 0.6}},
        "candidates_recall": 0.9,
        "candidates_per_gold": 12.25,
    },
    "train_cpu_s": 1234.5,
    "hardware": "x86_64, 1 thread(s), no GPU",
    "versions": {"spacy": "3.8.18", "torch": "2.13.0"},
}


def make_row(f: float = 0.7, **settings: Any) -> Dict[str, Any]:
    """A row as it is read, of a system without a threshold."""
    row = copy.deepcopy(ROW) | settings
    row["scores"]["spans_entities_f"] = f
    return {**row, "best": row["scores"]}


def test_mean_and_sample_deviation_over_seeds(tables: ModuleType) -> None:
    rows = [make_row(f, seed=seed) for seed, f in enumerate((0.70, 0.72, 0.80))]
    (line,) = cells_of(tables.accuracy_section(rows))
    # mean .74; deviations -.04, -.02, .06; sqrt(.0056 / 2) = .0529
    assert line["F"] == "**74.0** ± 5.3"
    assert line["seeds"] == "3"
    assert (line["P"], line["R"], line["F 5-9"]) == ("50.0", "25.0", "40.0")
    assert (line["F depth 1"], line["F depth 2"]) == ("80.0", "60.0")
    assert (line["candidate recall"], line["candidates per gold"]) == ("90.0", "12.2")
    assert line["train CPU s"] == "1,234"


def test_scores_at_the_fitted_threshold_count(tables: ModuleType, tmp_path: Path) -> None:
    fitted = {**ROW["scores"], "spans_entities_f": 0.8, "spans_entities_p": 0.9}
    del fitted["candidates_recall"]
    row = {**ROW, "fitted_scores": fitted, "fitted_threshold": 0.3}
    tagger = {**ROW, "fitted_scores": None, "system": "token_tagger"}
    for name, content in (("a", row), ("b", tagger)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf8")
    ours, theirs = cells_of(tables.accuracy_section(tables.read_rows(tmp_path)))
    assert (ours["F"], ours["P"], ours["F unfitted"]) == ("**80.0**", "90.0", "70.0")
    assert ours["candidate recall"] == "90.0"
    assert (theirs["F"], theirs["P"], theirs["F unfitted"]) == ("**70.0**", "50.0", "70.0")


def test_one_seed_has_no_deviation(tables: ModuleType) -> None:
    (line,) = cells_of(tables.accuracy_section([make_row(0.7)]))
    assert line["F"] == "**70.0**"


@pytest.mark.parametrize(
    "name,value",
    [
        ("encoder", "other"),
        ("train_sentences", 100),
        ("epochs", 1),
        ("batch_size", 8),
        ("precision", "bf16"),
        ("split", "dev"),
        ("hardware", "GPU"),
        ("versions", {"spacy": "3.8.19", "torch": "2.13.0"}),
    ],
)
def test_other_setups_are_other_tables(tables: ModuleType, name: str, value: Any) -> None:
    rows = [make_row(0.6), make_row(0.8, seed=1, **{name: value})]
    text = tables.accuracy_section(rows)
    assert [line["F"] for line in cells_of(text)] == ["**60.0**", "**80.0**"]
    assert text.count("| system |") == 2


@pytest.mark.parametrize(
    "name,value,shown",
    [
        ("system", "spancat_ngram", "spaCy spancat, all n-grams"),
        ("learn_rate", 0.0005, "learning rate 0.0005"),
        ("override", ["components.x.eta=0"], "`components.x.eta=0`"),
    ],
)
def test_other_runs_are_other_lines(tables: ModuleType, name: str, value: Any, shown: str) -> None:
    text = tables.accuracy_section([make_row(0.6), make_row(0.8, seed=1, **{name: value})])
    first, second = cells_of(text)
    assert (first["F"], second["F"]) == ("**60.0**", "**80.0**")
    assert shown in second["system"] and shown not in first["system"]
    assert text.count("| system |") == 1


def test_tagged_rows_stand_in_a_table_of_their_own(tables: ModuleType) -> None:
    rows = [
        make_row(0.7),
        make_row(0.5, system="spancat_ngram"),
        make_row(0.6, tag="no regressor", override=["x=false"]),
    ]
    main, variants = re.split("Ablations", tables.accuracy_section(rows))
    assert [line["F"] for line in cells_of(main)] == ["**70.0**", "**50.0**"]
    # Beside the system that is changed, not beside the others.
    assert [line["F"] for line in cells_of(variants)] == ["**70.0**", "**60.0**"]
    assert "no regressor" in cells_of(variants)[1]["system"]


def test_missing_runs_are_named(tables: ModuleType) -> None:
    rows = [
        *(make_row(seed=seed) for seed in tables.SEEDS),
        make_row(seed=1, system="spancat_ngram"),
        make_row(seed=0, system="token_tagger"),
    ]
    text = tables.accuracy_section(rows)
    assert (
        "Missing: spaCy spancat, all n-grams (seed 0, 2); spaCy span_finder + spancat; "
        "token tagger (BIO, outermost entities) (seed 1, 2)." in text
    )
    assert text.count("No rows yet") == 2  # Weibo and Resume
    whole = [make_row(seed=seed, system=name) for seed in tables.SEEDS for name in tables.SYSTEMS]
    assert "Missing" not in tables.accuracy_section(whole)


def test_two_rows_of_one_seed_are_an_error(tables: ModuleType) -> None:
    with pytest.raises(ValueError, match="same seed"):
        tables.accuracy_section([make_row(0.6), make_row(0.8)])


def test_a_figure_that_a_seed_lacks_is_left_out(tables: ModuleType) -> None:
    rows = [make_row(), make_row(seed=1), make_row(system="token_tagger")]
    del rows[1]["scores"]["spans_entities_by_length"]["5-9"]
    del rows[2]["scores"]["candidates_recall"]
    ours, tagger = cells_of(tables.accuracy_section(rows))
    assert (ours["F 5-9"], tagger["F 5-9"]) == ("", "40.0")
    assert (ours["candidate recall"], tagger["candidate recall"]) == ("90.0", "")
    assert "F 10+" not in ours  # nobody has it


def test_flat_data_has_no_depths(tables: ModuleType) -> None:
    (line,) = cells_of(tables.accuracy_section([make_row(data="weibo")]))
    assert not [title for title in line if "depth" in title]


def test_speed(tables: ModuleType) -> None:
    other = "transformer+ner, defaults"
    row = {
        "data": "genia",
        "ours": "spacy_hetner",
        "encoder": "minilm-l6-en",
        "texts": 420,
        "words": 8000,
        "candidates": 10000,
        "rounds": 5,
        "steps": 60,
        "trained_pipeline": True,
        "cpu_s": {"bare encoder, exact lengths": 2.0, "spacy_hetner": 2.2, other: 4.0},
        "ratio_to_bare": {"bare encoder, exact lengths": 1.0, "spacy_hetner": 1.1, other: 2.0},
        "ours_ratio_to": {"spacy_hetner": 1.0, other: 0.55},
        "update_cpu_s": {"spacy_hetner": 1.0, other: 1.25},
        "update_ratio_to": {"spacy_hetner": 1.0, other: 0.8},
        "largest_head_tensor_bytes": {"128": 1000, "256": 2000},
        "hardware": "x86_64, 1 thread, no GPU",
        "versions": {"spacy": "3.8.18"},
    }
    section = tables.speed_section([row])
    assert "`genia`" in section and "1.25 candidates a word" in section
    lines = cells_of(section)
    bare, ours, ner = lines[:3]
    assert bare["÷ bare encoder"] == "1.00"
    assert ours["÷ bare encoder"] == "1.10 (goal ≤ 1.25)"
    assert ner["spacy_hetner ÷ it"] == "0.55 (goal ≤ 0.60)"
    assert lines[4]["spacy_hetner ÷ it"] == "0.80"
    assert [line["ratio"] for line in lines[5:]] == ["1.00", "2.00"]


def test_crf(tables: ModuleType) -> None:
    part = {"ours_ms": 10.0, "pytorch_crf_ms": 40.0, "ratio": 0.25}
    row = {"sentences": 8, "tokens": 99, "tags": 9, "rounds": 3, "hardware": "h"}
    loss, decode = cells_of(tables.crf_section([{**row, "loss": part, "decode": part}]))
    assert loss["ratio"] == "0.25 (goal ≤ 0.75)" and decode["ratio"] == "0.25 (goal ≤ 0.50)"


def test_the_page_reads_folders_and_says_what_was_not_run(
    tables: ModuleType, tmp_path: Path
) -> None:
    page = tables.make_page(tmp_path)
    assert page.count("No rows yet") == 21 and "Nothing was left out" in page
    (tmp_path / "accuracy").mkdir()
    (tmp_path / "accuracy" / "row.json").write_text(json.dumps(make_row(0.7)), encoding="utf8")
    items = [{"what": "ACE 2005", "why": "licensed"}]
    (tmp_path / "not_run.json").write_text(json.dumps(items), encoding="utf8")
    page = tables.make_page(tmp_path)
    assert "**70.0**" in page and "- ACE 2005: licensed" in page


def test_the_committed_page_is_that_of_the_committed_rows(
    tables: ModuleType, repo_root: Path
) -> None:
    page = (repo_root / "docs" / "benchmarks.md").read_text(encoding="utf8")
    assert page == tables.make_page(repo_root / "benchmarks" / "results"), (
        "run: python benchmarks/tables.py"
    )
