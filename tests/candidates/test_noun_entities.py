"""Nouns as entities without types: what stands in for the links of a dump."""

from collections import Counter, defaultdict
from typing import Any, Dict

import pytest

from spacy_hetner.candidates import segmenters
from spacy_hetner.candidates.entities import FEW_NOUNS, TOO_LONG, NounEntities, _proposer
from spacy_hetner.candidates.nouns import CHANGED, MISFIT
from spacy_hetner.corpora.distant import annotate, label_texts
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.engine.make import make_engine
from spacy_hetner.engine.tables import digest
from spacy_hetner.gazetteers.gazetteer import Gazetteer


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segmenter that cuts at "/" of what it remembers of a text; nouns begin with n."""
    known = {
        "我在北京看长江": [("我", "r"), ("在", "p"), ("北京", "ns"), ("看", "v"), ("长江", "ns")],
        "他走": [("他", "r"), ("走", "v")],
        "看NBA球": [("看", "v"), ("NB", "n"), ("A球", "n"), ("X", "n")],
    }
    kind = segmenters.SegmenterKind(lambda model: known.__getitem__, ["n", "ns"])
    monkeypatch.setitem(segmenters.SEGMENTERS, "lac", kind)
    _proposer.cache_clear()
    yield
    _proposer.cache_clear()


def record_of(tokens: Any, **more: Any) -> Record:
    return Record(list(tokens), [], [False] * len(tokens), **more)


def test_nouns_are_entities_and_what_is_left_out_is_counted(words: None) -> None:
    said = {"unknown": [[0, 2]], "non_entities": [[2, 3]], "clusters": [1]}
    records = [
        record_of("我在北京看长江", id="a", meta={**said, "page": 1}),
        record_of("他走", id="b"),
        record_of(["看", "NBA", "球"], id="c"),
        record_of("字" * 8, id="d"),
    ]
    counts: Dict[str, Counter] = defaultdict(Counter)
    (record,) = NounEntities(max_tokens=7)(records, counts)
    assert record.id == "a" and record.meta == {"page": 1}
    assert record.spans == [(2, 4, "Entity"), (5, 7, "Entity")]
    assert counts["labels"] == {"Entity": 2}
    assert counts["totals"] == {"sentences read": 4, "tokens read": 20, "sentences taken": 1}
    assert counts["dropped"] == {FEW_NOUNS: 2, TOO_LONG: 1, MISFIT: 2, CHANGED: 1}
    again: Dict[str, Counter] = defaultdict(Counter)
    assert NounEntities(max_tokens=7)(records, again) == [record]
    assert again == counts  # of this call alone, whatever the proposer left out before


def test_sentences_of_few_nouns_go(words: None) -> None:
    counts: Dict[str, Counter] = defaultdict(Counter)
    assert NounEntities(min_nouns=3)([record_of("我在北京看长江")], counts) == []


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"source": "pipeline"}, "HE004"), ({"min_nouns": -1}, "HE078"), ({"min_chars": 0}, "HE078")],
)
def test_bad_settings(settings: Dict[str, Any], code: str) -> None:
    with pytest.raises(ValueError, match=code):
        NounEntities(**settings)


def test_from_texts_to_both_stores(tmp_path: Any) -> None:
    """CoFEE's D_g and D_s of raw text: the same rows of one shard and of many, with jieba."""
    pytest.importorskip("jieba")
    lines = [f"第{number}个人在北京大学看长江大桥。长江很长。他走了。" for number in range(30)]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf8")
    Gazetteer({"北京大学": ["ORG"], "长江": ["LOC"], "第": ["X"]}).to_disk(tmp_path / "names")
    inputs, nouns = [tmp_path / "texts.txt"], NounEntities("jieba")
    counts = label_texts(inputs, tmp_path / "entities", nouns, make_engine(), lang="zh")
    assert counts["labels"]["Entity"] >= 90 and counts["totals"]["sentences read"] == 90
    assert counts["dropped"][FEW_NOUNS] == 30
    engine = make_engine("local", workers=2)
    label_texts(inputs, tmp_path / "cut", nouns, engine, lang="zh", shard_bytes=500)
    assert digest(tmp_path / "cut") == digest(tmp_path / "entities")
    distant = annotate(
        [tmp_path / "entities"],
        tmp_path / "distant",
        tmp_path / "names",
        make_engine(),
        lang="zh",
        matching="spans",
    )
    labels = distant["labels"]
    assert labels == {"ORG": 30, "LOC": 30}  # of 长江大桥, one noun, no part
    entities = {r.id: {s[:2] for s in r.spans} for r in read_stores([tmp_path / "entities"])}
    for record in read_stores([tmp_path / "distant"]):
        assert {span[:2] for span in record.spans} <= entities[record.id]
