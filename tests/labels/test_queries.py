"""Queries of the package, files of one's own, and labels without any."""

import json
from pathlib import Path
from typing import Any

import pytest

from spacy_hetner.labels.queries import QUERIES, label_words, load_queries, read_queries


@pytest.mark.parametrize("name", QUERIES)
def test_queries_of_the_package(name: str) -> None:
    """Every label has a text of its own, and nothing is told."""
    found = read_queries(name)
    assert load_queries(name, found) == found
    assert len(set(found.values())) == len(found)


def test_queries_of_the_paper() -> None:
    chinese, english = read_queries("zh"), read_queries("en")
    ours = {"FAC", "TITLE"}
    assert {"PER", "ORG", "LOC", "GPE", "HP", "HC", "Entity"} == set(chinese) - ours
    assert {"PER", "ORG", "LOC", "Entity"} < set(english)
    assert chinese["PER"] == "人名和虚构的人物形象"
    assert chinese["HP"] == "找出文中的商标, 包括公司, 品牌"
    assert len(chinese["HC"].split("包括")[1].split(", ")) == 20
    assert (chinese["Entity"], english["Entity"]) == ("所有实体", "Find Entities")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("cell_line", "cell line"),
        ("DocumentReference", "document reference"),
        ("PER", "PER"),
        ("PER.NOM", "PER NOM"),
        ("Multi-tissue_structure", "multi tissue structure"),
        ("人名", "人名"),
        ("_", "_"),
    ],
)
def test_words_of_labels(label: str, words: str) -> None:
    assert label_words(label) == words


def test_labels_without_a_query_are_told_once() -> None:
    with pytest.warns(UserWarning, match=r"\[HW270\].*for XYZ, cell_line.*'XYZ', 'cell line'") as w:
        found = load_queries("zh", ["PER", "XYZ", "cell_line"])
    assert len(w) == 1
    assert list(found) == ["PER", "XYZ", "cell_line"] and found["cell_line"] == "cell line"


def test_words_by_choice_are_not_told() -> None:
    assert load_queries(None, ["cell_line"]) == {"cell_line": "cell line"}


def test_a_file_and_a_mapping(tmp_path: Path) -> None:
    queries = {"PER": "who?", "LOC": "where?"}
    path = tmp_path / "own.json"
    path.write_text(json.dumps(queries), encoding="utf8")
    assert load_queries(path, ["LOC"]) == load_queries(queries, ["LOC"]) == {"LOC": "where?"}


@pytest.mark.parametrize("content", [None, "[1]", "{", "\xff"])
def test_what_is_no_file_of_queries(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content.encode("latin1"))
    with pytest.raises(ValueError, match=r"\[HE271\].*own\.json.*cluener.*zh"):
        load_queries(path, ["PER"])


@pytest.mark.parametrize("query", ["", "  ", 3, None])
def test_a_query_that_says_nothing(query: Any) -> None:
    with pytest.raises(ValueError, match=r"\[HE272\].*'PER'"):
        load_queries({"PER": query}, ["PER"])
