"""Typing: only anchors get labels, by the index, by gazetteers, or one for all."""

import pickle

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spacy_hetner.corpora.steps import DROPPED, LABELS
from spacy_hetner.corpora.stores import read_parquet
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.labels.codecs import encode_tags
from spacy_hetner.wiki.anchors import FEW_ANCHORS, TOO_LONG, Anchor, AnchoredSentence, to_batch
from spacy_hetner.wiki.redirects import build_redirects
from spacy_hetner.wiki.titles import normalise_title
from spacy_hetner.wiki.type_index import build_type_index
from spacy_hetner.wiki.typing import (
    NO_LABEL,
    AsEntity,
    ByGazetteer,
    ByIndex,
    TypeAnchors,
)


def write_sentences(path, *sentences):
    """Sentences as tokens and anchors (start, end, title); a blank after each token."""
    found = [
        AnchoredSentence(
            tokens,
            [True] * len(tokens),
            [Anchor(start, end, normalise_title(title)) for start, end, title in anchors],
            f"s{number}",
            "d",
        )
        for number, (tokens, anchors) in enumerate(sentences)
    ]
    pq.write_table(pa.Table.from_batches([to_batch(found)]), path)


@pytest.fixture
def run(tmp_path):
    """Type sentences; gives the records and the counts."""

    def run_task(typer, *sentences, **settings):
        write_sentences(tmp_path / "in.parquet", *sentences)
        task = pickle.loads(pickle.dumps(TypeAnchors(typer, **settings)))
        out = tmp_path / "out"
        counts = LocalEngine(progress=False).map(
            task, parquet_shards(tmp_path / "in.parquet"), out, key={}, resume=False
        )
        return [r for path in sorted(out.glob("*.parquet")) for r in read_parquet(path)], counts

    return run_task


def make_index(folder, types, redirects=None):
    names = sorted(set(types.values()))
    numbers = numpy.array([names.index(name) for name in types.values()], "uint16")
    table, _ = build_redirects([(list(redirects or {}), list((redirects or {}).values()))])
    build_type_index([(list(types), numbers)], names, folder, redirects=table)
    return folder


@pytest.fixture
def index(tmp_path):
    types = {"Paris": "city", "France": "country", "United Kingdom": "country"}
    return make_index(tmp_path / "index", types, {"UK": "Britain", "Britain": "United Kingdom"})


def spans(record):
    return [tuple(span) for span in record.spans]


def words(text, *anchors):
    return text.split(), list(anchors)


def test_golden_tagging(golden, run, tmp_path):
    for number, case in enumerate(golden("ner_bert")["tagging"]):
        index = make_index(tmp_path / f"index{number}", case["ontology"])
        records, counts = run(ByIndex(index), (case["tokens"], case["anchors"]))
        (record,) = records
        assert record.tokens == case["tokens"]
        assert encode_tags(record.spans, len(record.tokens), "BIO") == case["tags"]
        assert counts["anchors"] == {"typed": 2, "untyped": 1}
        assert counts[LABELS] == {"city": 1, "country": 1, "ENTITY": 1}


def test_unlinked_words_stay_unlabelled_and_redirects_lead_on(run, index):
    records, _ = run(
        ByIndex(index),
        words("Paris , not Paris , and the UK", (3, 4, "Paris"), (7, 8, "UK")),
        words("nothing linked"),
        words("Paris France", (0, 1, "paris"), (1, 2, "France")),
    )
    assert [spans(record) for record in records] == [
        [(3, 4, "city"), (7, 8, "country")],
        [],
        [(0, 1, "city"), (1, 2, "country")],
    ]
    assert [(record.id, record.doc_id) for record in records] == [
        ("s0", "d"),
        ("s1", "d"),
        ("s2", "d"),
    ]
    assert encode_tags(records[2].spans, 2, "BIO") == ["B-city", "B-country"]


@pytest.mark.parametrize(
    "untyped, expected", [("ENTITY", [(0, 1, "ENTITY"), (1, 2, "city")]), ("", [(1, 2, "city")])]
)
def test_label_of_unknown_titles_is_a_setting(run, index, untyped, expected):
    sentence = words("Foo Paris", (0, 1, "Foo"), (1, 2, "Paris"))
    records, counts = run(ByIndex(index, untyped), sentence)
    assert spans(records[0]) == expected
    assert counts["anchors"] == {"typed": 1, "untyped": 1}


@pytest.fixture
def anchors(golden):
    return golden("gazetteer")["anchors"]


@pytest.fixture
def make_gazetteer(tmp_path):
    def make(lists, priority, **options):
        names = {}
        for label, entries in lists.items():
            for entry in entries:
                names.setdefault(entry, []).append(label)
        Gazetteer(names, labels=priority, **options).to_disk(tmp_path / "gazetteer")
        return tmp_path / "gazetteer"

    return make


def test_golden_d_g(anchors, run):
    sentence = (anchors["tokens"], sorted(anchors["anchors"]))
    records, counts = run(AsEntity(), sentence, min_anchors=4)
    assert spans(records[0]) == sorted(map(tuple, anchors["D_g"]))
    assert counts["anchors"] == {"typed": 0, "untyped": 4}
    fewer = (anchors["tokens"], sorted(anchors["anchors"])[:3])
    records, counts = run(AsEntity(), fewer, min_anchors=4)
    assert not records and counts[DROPPED] == {FEW_ANCHORS: 1}


@pytest.mark.parametrize("match", ["title", "surface", "both"])
def test_golden_d_s(anchors, run, make_gazetteer, match):
    path = make_gazetteer(anchors["gazetteers"], anchors["priority"])
    sentence = (anchors["tokens"], sorted(anchors["anchors"]))
    first, _ = run(ByGazetteer(path, match, "first"), sentence)
    assert spans(first[0]) == sorted(map(tuple, anchors["D_s_first"]))
    every, counts = run(ByGazetteer(path, match, "all"), sentence)
    assert spans(every[0]) == sorted(
        (*bounds, label) for label, found in anchors["D_s_all"].items() for bounds in found
    )
    assert counts["anchors"] == {"typed": 2, "untyped": 2}


@pytest.mark.parametrize(
    "match, expected",
    [("title", [(3, 4, "LOC")]), ("surface", []), ("both", [(3, 4, "LOC")])],
)
def test_titles_are_matched_and_surfaces_labelled(run, make_gazetteer, match, expected):
    """[[Paris|City of Light]] has its words labelled by its title."""
    path = make_gazetteer({"LOC": ["Paris"]}, ["LOC"])
    tokens = ["Paris", ",", "the", "light"]
    records, _ = run(ByGazetteer(path, match), (tokens, [(3, 4, "Paris")]))
    assert spans(records[0]) == expected


def test_surfaces_are_the_text_with_its_blanks(run, make_gazetteer, tmp_path):
    path = make_gazetteer({"LOC": ["City of Light", "St.-Denis"]}, ["LOC"])
    sentence = words("the City of Light and Light", (1, 4, "Paris"), (5, 6, "Light"))
    records, _ = run(ByGazetteer(path, "surface"), words("x"), sentence)
    assert spans(records[1]) == [(1, 4, "LOC")]


def test_what_both_names_say_counts(run, make_gazetteer):
    path = make_gazetteer({"PER": ["Light"], "LOC": ["Paris"]}, ["PER", "LOC"])
    sentence = words("Light", (0, 1, "Paris"))
    assert spans(run(ByGazetteer(path, "both"), sentence)[0][0]) == [(0, 1, "PER")]
    assert spans(run(ByGazetteer(path, "both", "all"), sentence)[0][0]) == [
        (0, 1, "LOC"),
        (0, 1, "PER"),
    ]


def test_titles_are_matched_where_they_redirect_to(run, make_gazetteer, tmp_path):
    path = make_gazetteer({"GPE": ["United Kingdom"], "LOC": ["Albion"]}, ["GPE", "LOC"])
    redirects, _ = build_redirects([(["UK", "Albion"], ["United Kingdom", "England"])])
    redirects.to_disk(tmp_path / "r.arrow")
    sentence = words("UK Albion", (0, 1, "UK"), (1, 2, "Albion"))
    assert spans(run(ByGazetteer(path, "title"), sentence)[0][0]) == [(1, 2, "LOC")]
    followed = ByGazetteer(path, "title", redirects=tmp_path / "r.arrow")
    assert spans(run(followed, sentence)[0][0]) == [(0, 1, "GPE"), (1, 2, "LOC")]


@pytest.mark.parametrize("tokens, kept", [(250, 1), (251, 0)])
def test_long_sentences_go(run, tokens, kept):
    records, counts = run(
        AsEntity(),
        (["w"] * tokens, [(n, n + 1, "A") for n in range(4)]),
        min_anchors=4,
        max_tokens=250,
    )
    assert len(records) == kept
    assert counts.get(DROPPED, {}) == ({} if kept else {TOO_LONG: 1})


def test_sentences_without_a_label_go_if_asked(run, make_gazetteer):
    path = make_gazetteer({"LOC": ["Paris"]}, ["LOC"])
    sentences = [words("Paris", (0, 1, "Paris")), words("Rome", (0, 1, "Rome")), words("x")]
    records, counts = run(ByGazetteer(path), *sentences)
    assert len(records) == 3 and DROPPED not in counts
    records, counts = run(ByGazetteer(path), *sentences, keep_empty=False)
    assert [record.id for record in records] == ["s0"] and counts[DROPPED] == {NO_LABEL: 2}


def test_an_index_written_anew_is_read_anew(run, tmp_path):
    for name in ("city", "town"):
        index = make_index(tmp_path / "index", {"Paris": name})
        records, _ = run(ByIndex(index), words("Paris", (0, 1, "Paris")))
        assert spans(records[0]) == [(0, 1, name)]


def test_no_index(run, tmp_path):
    with pytest.raises(ValueError, match=r"HE126.*HE162.*nowhere"):
        run(ByIndex(tmp_path / "nowhere"), words("Paris", (0, 1, "Paris")))
