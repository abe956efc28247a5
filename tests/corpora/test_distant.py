"""Distant labels: mentions, what is unknown, sampled regions, and the job over shards."""

from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.distant import (
    DistantLabels,
    annotate,
    label_records,
    sample_regions,
)
from spacy_hetner.corpora.free_text import NOT_UTF8, TextLayout
from spacy_hetner.corpora.records import CLUSTERS, NON_ENTITIES, UNKNOWN, Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.engine.make import make_engine
from spacy_hetner.engine.tables import digest
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.types import LabelledSpan

NAMES = {"南京": ["GPE"], "南京市": ["GPE"], "长江大桥": ["LOC"], "江": ["PER", "LOC"]}
SENTENCE = "南京市长江大桥在江上"


@pytest.fixture(scope="module")
def gazetteer():
    return Gazetteer(NAMES)


@pytest.fixture(scope="module")
def folder(gazetteer, tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / "gazetteer"
    gazetteer.to_disk(path)
    return path


def record_of(text, identity="a", **more):
    return Record(list(text), [], [False] * len(text), identity, **more)


def label(records, gazetteer, **settings):
    counts = defaultdict(Counter)
    labels = DistantLabels("unused", **settings)
    return label_records(records, gazetteer, labels, counts), counts


def test_longest_mentions_do_not_overlap(gazetteer):
    (record,), counts = label([record_of(SENTENCE)], gazetteer)
    assert [tuple(span) for span in record.spans] == [
        (0, 3, "GPE"),
        (3, 7, "LOC"),
        (8, 9, "LOC"),
        (8, 9, "PER"),
    ]
    assert counts["labels"] == {"GPE": 1, "LOC": 2, "PER": 1}
    assert counts["totals"]["sentences with a mention"] == 1


def test_all_mentions_nest(gazetteer):
    (record,), _ = label([record_of(SENTENCE)], gazetteer, matching="all")
    assert {tuple(span[:2]) for span in record.spans} == {(0, 2), (0, 3), (3, 7), (4, 5), (8, 9)}


@pytest.mark.parametrize(("conflict", "labels"), [("first", ["PER"]), ("all", ["LOC", "PER"])])
def test_of_the_spans_there_are_only_entries_are_kept(conflict, labels):
    """A name that stands in the text and in no span is not labelled (CoFEE, section 3.3)."""
    names = Gazetteer(
        {"New York": ["GPE"], "江": ["PER", "LOC"], "住": ["X"]}, labels=["PER", "LOC", "GPE", "X"]
    )
    words = ["江", "住", "New", "York", "New", "York"]
    spaces = [False, True, True, True, True, False]
    spans = [LabelledSpan(*span, "Entity") for span in [(0, 1), (2, 4), (3, 5)]]
    settings = {"matching": "spans", "conflict": conflict}
    (record,), counts = label([Record(words, spans, spaces, "a")], names, **settings)
    assert record.spans == [*((0, 1, label) for label in labels), (2, 4, "GPE")]
    assert counts["labels"]["GPE"] == 1
    nothing, _ = label([Record(words, spans[2:], spaces, "a")], names, **settings)
    assert nothing == []


def test_a_name_has_the_label_of_priority():
    names = Gazetteer({"江": ["LOC", "PER"]}, labels=["PER", "LOC"])
    (record,), _ = label([record_of("江")], names, conflict="first")
    assert record.spans == [(0, 1, "PER")]


def test_gold_spans_and_gold_unknowns_give_way(gazetteer):
    gold = record_of("南京好", meta={"unknown": [[0, 3]], "page": 1})
    gold.spans.append(LabelledSpan(2, 3, "X"))
    (record,), _ = label([gold], gazetteer)
    assert [tuple(span) for span in record.spans] == [(0, 2, "GPE")]
    assert record.meta == {"page": 1} and gold.meta == {"unknown": [[0, 3]], "page": 1}


def test_what_the_dictionary_does_not_know_can_stay_unknown(gazetteer):
    texts = [record_of("在南京好了"), record_of("无")]
    records, counts = label(texts, gazetteer, unmatched="unknown", matched_only=False)
    assert [record.meta for record in records] == [
        {"unknown": [[0, 1], [3, 5]]},
        {"unknown": [[0, 1]]},
    ]
    assert counts["totals"]["sentences read"] == 2


def test_what_was_said_of_old_spans_goes_with_them(gazetteer):
    said = {NON_ENTITIES: [[1, 2]], UNKNOWN: [[0, 1]], CLUSTERS: [3]}
    old = record_of("在南京好", meta={**said, "page": 1})
    (record,), _ = label([old], gazetteer)
    assert record.meta == {"page": 1}


def test_sentences_without_a_mention_are_left_out_and_counted(gazetteer):
    records, counts = label([record_of("无"), record_of("南京", "b")], gazetteer)
    assert [record.id for record in records] == ["b"]
    assert counts["totals"]["sentences read"] == 2
    assert counts["totals"]["sentences with a mention"] == 1


def test_regions_touch_no_mention_and_depend_on_seed_and_id_only(gazetteer):
    texts = [record_of("我们昨天一起在南京看过了很多的好东西", f"s{i}") for i in range(20)]
    settings = {"non_entities": 2.0, "max_region": 4}
    records, counts = label(texts, gazetteer, **settings)
    regions = {record.id: record.meta[NON_ENTITIES] for record in records}
    for record in records:
        for start, end in record.meta[NON_ENTITIES]:
            assert 0 <= start < end <= len(record.tokens) and end - start <= 4
            assert all(end <= s.start or s.end <= start for s in record.spans)
    assert counts["totals"]["non-entities"] == sum(map(len, regions.values())) > 20
    assert len({str(found) for found in regions.values()}) > 10
    again, _ = label(texts[::-1], gazetteer, **settings)
    assert {record.id: record.meta[NON_ENTITIES] for record in again} == regions
    other, _ = label(texts, gazetteer, **settings, seed=1)
    assert {record.id: record.meta[NON_ENTITIES] for record in other} != regions


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 5), st.integers(1, 20))
def test_regions_are_distinct_free_and_no_more_than_wanted(taken, wanted, longest):
    found = sample_regions("x", taken, wanted, max_region=longest, seed=3)
    assert len(found) <= wanted and len({tuple(region) for region in found}) == len(found)
    assert all(0 <= start < end <= len(taken) for start, end in found)
    assert all(not any(taken[start:end]) and end - start <= longest for start, end in found)


def test_all_lengths_and_places_of_regions_are_drawn():
    found = [
        tuple(region)
        for number in range(400)
        for region in sample_regions(f"{number}", [False] * 6, 1, max_region=3, seed=0)
    ]
    assert len(set(found)) == 6 + 5 + 4 and len(found) == 400


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    lines = [f"他在南京市住。长江大桥很长！第{number}行没有。" for number in range(50)]
    path.write_bytes("\n".join(lines).encode() + b"\nb\xe4d\n")
    return path


def run_job(texts, folder, out, **settings):
    settings = {"lang": "zh", "non_entities": 1.0, "shard_bytes": 500, **settings}
    return annotate([texts], out, folder, settings.pop("engine", make_engine()), **settings)


def test_job_writes_sentences_and_counts(texts, folder, tmp_path):
    counts = run_job(texts, folder, tmp_path / "out")
    records = list(read_stores([tmp_path / "out"]))
    assert len(records) == counts["totals"]["sentences with a mention"] == 100
    assert counts["totals"]["texts read"] == 50 and counts["totals"]["sentences read"] == 150
    assert counts["labels"] == {"GPE": 50, "LOC": 50}
    assert counts["dropped"] == {NOT_UTF8: 1}
    assert len({record.id for record in records}) == 100
    assert "".join(records[0].tokens) == "他在南京市住。" and records[0].doc_id == "texts.txt@0"


def test_result_does_not_depend_on_shards_and_processes(texts, folder, tmp_path):
    run_job(texts, folder, tmp_path / "many")
    run_job(texts, folder, tmp_path / "one", shard_bytes=2**20)
    run_job(texts, folder, tmp_path / "two", engine=make_engine(workers=2))
    found = {name: digest(tmp_path / name) for name in ("many", "one", "two")}
    assert len(set(found.values())) == 1
    run_job(texts, folder, tmp_path / "other", seed=1)
    assert digest(tmp_path / "other") != found["one"]


def test_records_are_labelled_on_their_own_tokens(folder, tmp_path):
    store = tmp_path / "gold.parquet"
    write_parquet([Record(["南京", "市长"], [LabelledSpan(0, 1, "X")], [False, False])], store)
    annotate([store], tmp_path / "out", folder, make_engine(), lang="zh")
    (record,) = read_stores([tmp_path / "out"])
    assert (record.tokens, record.spans) == (["南京", "市长"], [(0, 1, "GPE")])


def test_a_gazetteer_written_anew_is_read_anew(texts, tmp_path):
    for number, label_ in enumerate(("ONE", "TWO")):
        Gazetteer({"南京": [label_]}).to_disk(tmp_path / "names")
        counts = run_job(texts, tmp_path / "names", tmp_path / f"out{number}")
        assert counts["labels"] == {label_: 50}
    with pytest.raises(ValueError, match="HE125"):
        run_job(texts, tmp_path / "names", tmp_path / "out0")


def test_texts_beside_stores_are_not_passed_over(folder, tmp_path):
    (tmp_path / "in").mkdir()
    write_parquet([record_of("a")], tmp_path / "in" / "gold.parquet")
    (tmp_path / "in" / "more.txt").write_text("text", encoding="utf8")
    with pytest.raises(ValueError, match=r"HE182.*more\.txt"):
        annotate([tmp_path / "in"], tmp_path / "out", folder, make_engine(), lang="zh")


def test_stores_and_texts_are_not_mixed(texts, folder, tmp_path):
    write_parquet([record_of("a")], tmp_path / "gold.parquet")
    with pytest.raises(ValueError, match=r"HE182.*gold\.parquet.*texts\.txt"):
        inputs = [tmp_path / "gold.parquet", texts]
        annotate(inputs, tmp_path / "out", folder, make_engine(), lang="zh")


def test_strict_job_stops_with_file_and_byte(texts, folder, tmp_path):
    with pytest.raises(ValueError, match=r"HE181.*texts\.txt, byte \d+"):
        run_job(texts, folder, tmp_path / "out", strict=True)


@pytest.mark.parametrize(
    "settings, code",
    [
        ({"matching": "some"}, "HE004"),
        ({"unmatched": "gone"}, "HE004"),
        ({"non_entities": -1.0}, "HE002"),
        ({"max_region": 0}, "HE078"),
    ],
)
def test_wrong_settings(settings, code):
    with pytest.raises(ValueError, match=code):
        DistantLabels("x", **settings)


def test_language_may_be_written_in_any_case(tmp_path):
    Gazetteer({"Oktober": ["X"]}).to_disk(tmp_path / "names")
    (tmp_path / "a.txt").write_text("Am 3. Oktober war Ruhe.\n", encoding="utf8")
    for lang in ("de", "DE"):
        out = tmp_path / lang
        annotate([tmp_path / "a.txt"], out, tmp_path / "names", make_engine(), lang=lang)
        (record,) = read_stores([out])
        assert record.tokens[0] == "Am"


def test_layout_of_json_lines(folder, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"t": "在南京"}\n', encoding="utf8")
    layout = TextLayout("jsonl", "t")
    annotate([path], tmp_path / "out", folder, make_engine(), lang="zh", layout=layout)
    assert [record.tokens for record in read_stores([tmp_path / "out"])] == [["在", "南", "京"]]
