"""Anchored sentences: tokens, anchors on them, what is left out and why, and the task."""

import pickle
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dumps import many_pages, multistream, page_xml
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.engine.make import make_engine
from spacy_hetner.engine.tables import digest, parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.wiki import dump
from spacy_hetner.wiki.anchors import (
    FEW_ANCHORS,
    SCHEMA,
    SPLIT_TOKEN,
    TOO_LONG,
    Anchor,
    AnchoredSentence,
    AnchorReader,
    AnchorsTask,
    from_batch,
    to_batch,
)
from spacy_hetner.wiki.dump import PAGES, PagesTask, dump_shards
from spacy_hetner.wiki.wikitext import Cleaner


def read(text, **settings):
    counts = new_counts()
    settings = {"lang": "en", **settings}
    return list(AnchorReader(AnchorsTask(**settings)).read(7, text, counts)), counts


def surfaces(sentence):
    return [(sentence.tokens[a.start : a.end], a.title) for a in sentence.anchors]


def text_of(sentence):
    pairs = zip(sentence.tokens, sentence.spaces, strict=True)
    return "".join(token + " " * space for token, space in pairs)


def test_sentences_have_tokens_and_anchors():
    text = "The [[Grey wolf|wolf]] of [[New York]]. It howls. See [[dog]]s, [[cat]]s.\n* [[Fox]]"
    sentences, counts = read(text)
    assert sentences == [
        AnchoredSentence(
            ["The", "wolf", "of", "New", "York", "."],
            [True, True, True, True, False, False],
            [Anchor(1, 2, "Grey wolf"), Anchor(3, 5, "New York")],
            "7-0",
            "7",
        ),
        AnchoredSentence(
            ["See", "dogs", ",", "cats", "."],
            [True, False, True, False, False],
            [Anchor(1, 2, "Dog"), Anchor(3, 4, "Cat")],
            "7-2",
            "7",
        ),
        AnchoredSentence(["Fox"], [False], [Anchor(0, 1, "Fox")], "7-3", "7"),
    ]
    assert counts["totals"] == {"sentences read": 4, "anchors": 5, "tokens": 12}
    assert counts["dropped"] == {FEW_ANCHORS: 1}


@pytest.mark.parametrize(
    "text, tokens, anchors",
    [
        ("[[Apple Inc]].", ["Apple", "Inc", "."], [(["Apple", "Inc"], "Apple Inc")]),
        ("un[[do]]able", ["un", "doable"], [(["doable"], "Do")]),
        ("a-[[b]]-c", ["a", "-", "b", "-", "c"], [(["b"], "B")]),
        ("[[a]][[b]] c", ["a", "b", "c"], [(["a"], "A"), (["b"], "B")]),
        ("x[[a|1]]2[[b|3]]y", ["x", "1", "2", "3y"], [(["1"], "A"), (["3y"], "B")]),
    ],
)
def test_no_anchor_is_lost_within_a_token(text, tokens, anchors):
    (sentence,), _ = read(text)
    assert sentence.tokens == tokens
    assert surfaces(sentence) == anchors


def test_cut_tokens_are_counted():
    assert read("[[Apple Inc]].")[1]["changed"] == {SPLIT_TOKEN: 1}
    assert read("[[Apple]] Inc.")[1]["changed"] == {}


def test_link_is_not_cut_by_the_end_of_a_sentence():
    (sentence,), _ = read("He read [[What? Why? Now]] and [[Who? Me]].")
    assert [title for _, title in surfaces(sentence)] == ["What? Why? Now", "Who? Me"]


def test_limits():
    text = "[[A]] [[b]] ends. [[D]] e f g ends. Another ends."
    assert [s.id for s in read(text, min_anchors=0)[0]] == ["7-0", "7-1", "7-2"]
    assert [s.id for s in read(text, min_anchors=2)[0]] == ["7-0"]
    sentences, counts = read(text, max_tokens=4)
    assert [s.id for s in sentences] == ["7-0"]
    assert counts["dropped"] == {FEW_ANCHORS: 1, TOO_LONG: 1}
    for name in ("min_anchors", "max_tokens"):
        with pytest.raises(ValueError, match=f"HE078.*{name}"):
            AnchorsTask("en", **{name: -1})


def test_chinese():
    text = "[[柏林]]是[[德国|德國]]首都。-{zh-hans:联邦州;zh-tw:邦}-。[[1990年]]统一。"
    sentences, _ = read(text, lang="zh")
    assert [text_of(sentence) for sentence in sentences] == ["柏林是德國首都。", "1990年统一。"]
    assert surfaces(sentences[0]) == [(["柏", "林"], "柏林"), (["德", "國"], "德国")]
    assert surfaces(sentences[1]) == [(["1990", "年"], "1990年")]
    (sentence,), _ = read("[[1990年]]", lang="zh", per_character=True)
    assert sentence.tokens == list("1990年")


def test_settings_reach_the_cleaner():
    text = "== [[A]] ==\n[[Bilddatei:x.jpg|[[B]]]]"
    assert len(read(text)[0]) == 1
    own = {"headings": True, "namespaces": (("Bilddatei", 6),)}
    (sentence,), _ = read(text, **own)
    assert surfaces(sentence) == [(["A"], "A")]


WORDS = [
    "wolf",
    "New York",
    "Inc.",
    "a-b",
    "don't",
    "柏林",
    "。",
    ".",
    "3.5",
    "(",
    ")",
    "e.g.",
    "?",
]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.booleans(), st.booleans()), max_size=15))
def test_anchors_are_the_links_of_the_prose(items):
    text = "".join(
        (f"[[T{i}|{word}]]" if link else word) + " " * blank
        for i, (word, link, blank) in enumerate(items)
    )
    prose, links = Cleaner()(text)
    sentences, _ = read(text, min_anchors=0)
    assert "".join(prose.split()) == "".join("".join(map(text_of, sentences)).split())
    found = [
        ("".join(tokens), title) for sentence in sentences for tokens, title in surfaces(sentence)
    ]
    assert found == [(prose[a:b].replace(" ", ""), title) for a, b, title in links]


def test_batches_give_back_the_sentences():
    sentences, _ = read("[[A]] b.\n[[Apple Inc]].\nc [[D|e f]].")
    batch = to_batch(sentences)
    assert batch.schema == SCHEMA
    assert list(from_batch(batch)) == sentences


def test_task_reads_pages_but_no_redirects(tmp_path):
    rows = [(1, 0, "A", None, "[[B]] c. D."), (2, 0, "B", "A", ""), (3, 0, "C", None, "No link.")]
    table = pa.Table.from_pylist(
        [dict(zip(PAGES.names, row, strict=True)) for row in rows], schema=PAGES
    )
    pq.write_table(table, tmp_path / "pages.parquet")
    task = pickle.loads(pickle.dumps(AnchorsTask(lang="en")))
    counts = new_counts()
    (batch,) = task(parquet_shards(tmp_path)[0], counts)
    assert [sentence.id for sentence in from_batch(batch)] == ["1-0"]
    assert counts["totals"]["pages read"] == 2
    assert asdict(task)["lang"] == "en"


def test_steps_run_on_the_engine_and_do_not_depend_on_shards(tmp_path, monkeypatch):
    pages = [*many_pages(40), page_xml(99, "#REDIRECT [[Page 1]]", redirect="Page 1")]
    (tmp_path / "dump.xml.bz2").write_bytes(multistream(pages, 5))
    digests = set()
    for name, step in [("one", 10**6), ("many", 1500)]:
        points = dump.cut_points
        monkeypatch.setattr(
            dump, "cut_points", lambda path, _, points=points, n=step: points(path, n)
        )
        shards = dump_shards(tmp_path / "dump.xml.bz2")
        monkeypatch.undo()
        assert (len(shards) > 3) == (name == "many")
        engine = make_engine()
        engine.map(PagesTask(), shards, tmp_path / name / "pages", key={})
        task = AnchorsTask(lang="en")
        rows = parquet_shards(tmp_path / name / "pages")
        counts = engine.map(task, rows, tmp_path / name / "anchors", key={})
        assert counts["totals"]["pages read"] == 40 and counts["totals"]["anchors"] == 1600
        digests.add(digest(tmp_path / name / "anchors"))
    assert len(digests) == 1
