"""The registered corpus reader."""

from itertools import pairwise

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.util import registry

from spacy_hetner.corpora.reader import create_record_corpus
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_docbin, write_parquet
from spacy_hetner.types import LabelledSpan

RECORDS = [
    Record(["il", "-", "2"], [LabelledSpan(0, 3, "DNA"), LabelledSpan(0, 1, "X")], [False] * 3),
    Record([], []),
    Record(["a", "b"], [], [True, False]),
    Record(["c"], [LabelledSpan(0, 1, "X")], [False]),
]


@pytest.fixture(scope="module")
def nlp():
    return spacy.blank("en")


@pytest.fixture
def path(tmp_path):
    write_parquet(RECORDS, tmp_path / "x.parquet")
    return str(tmp_path / "x.parquet")


def test_examples_have_gold_tokens_and_nested_gold(nlp, path):
    create = registry.readers.get("spacy_hetner.RecordCorpus.v1")
    assert create is create_record_corpus
    corpus = create(path)
    for examples in (list(corpus(nlp)), list(corpus(nlp))):  # it can be read again
        assert [eg.reference.text for eg in examples] == ["il-2", "a b", "c"]
        assert [[t.text for t in eg.predicted] for eg in examples] == [
            record.tokens for record in RECORDS if record.tokens
        ]
        reference = examples[0].reference
        assert [(s.start, s.end, s.label_) for s in reference.spans["entities"]] == [
            (0, 3, "DNA"),
            (0, 1, "X"),
        ]
        assert [e.label_ for e in reference.ents] == ["DNA"]
        assert not examples[0].predicted.spans and not examples[0].predicted.ents


def test_pipeline_tokens_come_from_its_own_tokenizer(nlp, path):
    example = next(iter(create_record_corpus(path, gold_tokens=False, spans_key="sc")(nlp)))
    assert [token.text for token in example.predicted] == ["il-2"]
    assert len(example.reference) == 3 and "sc" in example.reference.spans


def test_docbin_and_folders_are_read_too(nlp, path, tmp_path):
    write_docbin(RECORDS, tmp_path / "y.spacy")
    expected = [record.spans for record in RECORDS if record.tokens]
    for source, times in ((tmp_path / "y.spacy", 1), (tmp_path, 2)):
        examples = create_record_corpus(str(source))(nlp)
        found = [
            [(s.start, s.end, s.label_) for s in e.reference.spans["entities"]] for e in examples
        ]
        assert found == expected * times


def test_only_tokens_and_spans_of_a_docbin_are_taken(nlp, tmp_path):
    doc = Doc(nlp.vocab, words=["a", "b"], tags=["X", "Y"], sent_starts=[True, True])
    DocBin([*DocBin().attrs, "TAG"], docs=[doc]).to_disk(tmp_path / "y.spacy")
    (example,) = create_record_corpus(str(tmp_path / "y.spacy"))(nlp)
    assert example.reference.text == doc.text
    assert not any(map(example.reference.has_annotation, ("TAG", "SENT_START")))


def test_the_group_of_a_docbin_can_have_another_name(nlp, tmp_path):
    write_docbin(RECORDS, tmp_path / "y.spacy", spans_key="sc")
    corpus = create_record_corpus(str(tmp_path / "y.spacy"), spans_key="sc")
    spans = [[s.label_ for s in eg.reference.spans["sc"]] for eg in corpus(nlp)]
    assert spans == [["DNA", "X"], [], ["X"]]
    with pytest.raises(ValueError, match=r"\[HE084\].*\[sc\].*'entities'"):
        list(create_record_corpus(str(tmp_path / "y.spacy"))(nlp))


def test_limit_and_max_length(nlp, path):
    assert len(list(create_record_corpus(path, limit=2)(nlp))) == 2
    with pytest.warns(UserWarning, match=r"HW060.*1 of 3 records.*max_length = 2.*longest has 3"):
        examples = list(create_record_corpus(path, max_length=2)(nlp))
    assert [len(eg.reference) for eg in examples] == [2, 1]


def test_limit_counts_what_max_length_leaves(nlp, path):
    with pytest.warns(UserWarning, match="HW060.*1 of 2 records"):
        examples = list(create_record_corpus(path, limit=1, max_length=2)(nlp))
    assert [eg.reference.text for eg in examples] == ["a b"]


def test_shuffling_gives_another_order_each_time_and_the_same_by_seed(nlp, tmp_path):
    records = [Record([f"t{i}"], [], [False]) for i in range(30)]
    write_parquet(records, tmp_path / "x.parquet")

    def orders(seed):
        corpus = create_record_corpus(str(tmp_path), shuffle=True, seed=seed)
        return [[eg.reference.text for eg in corpus(nlp)] for _ in range(2)]

    first, second = orders(0)
    assert first != second and sorted(first) == sorted(second) == sorted(f"t{i}" for i in range(30))
    assert orders(0) == [first, second] != orders(1)


def numbered(n, ids=True):
    return [Record([f"t{i}"], [], [False], id=f"s{i}" if ids else "") for i in range(n)]


def texts(nlp, path, **settings):
    return [eg.reference.text for eg in create_record_corpus(str(path), **settings)(nlp)]


@pytest.mark.parametrize("write", [write_parquet, write_docbin])
@pytest.mark.parametrize("ids", [True, False])
def test_samples_are_nested_seeded_and_exact(nlp, tmp_path, write, ids):
    path = tmp_path / ("x.parquet" if write is write_parquet else "x.spacy")
    write(numbered(80, ids), path)
    samples = [
        texts(nlp, path, **size)
        for size in (
            {"sample_count": 1},
            {"sample_share": 0.05},
            {"sample_count": 10},
            {"sample_share": 0.5},
            {"sample_count": 79},
            {"sample_share": 1.0},
        )
    ]
    assert [len(sample) for sample in samples] == [1, 4, 10, 40, 79, 80]
    for smaller, larger in pairwise(samples):
        assert set(smaller) < set(larger)
    assert samples[3] == sorted(samples[3], key=samples[-1].index), "in the order of the store"
    assert texts(nlp, path, sample_count=10) == samples[2]
    assert set(texts(nlp, path, sample_count=10, sample_seed=1)) != set(samples[2])


def test_a_sample_is_drawn_from_what_the_other_settings_leave(nlp, tmp_path):
    """So it is as large as it was asked for: empty and long records are none of those drawn."""
    long = [Record(["a", "b"], [], id=f"l{i}") for i in range(10)]
    empty = [Record([], [], id=f"e{i}") for i in range(10)]
    write_parquet([*long, *empty, *numbered(20)], tmp_path / "x.parquet")
    with pytest.warns(UserWarning, match="HW060.*10 of 30 records") as told:
        found = texts(nlp, tmp_path, max_length=1, sample_count=10)
    assert len(told) == 1 and len(set(found)) == 10 and all(text[0] == "t" for text in found)
    with pytest.warns(UserWarning, match="HW060"):
        found = texts(nlp, tmp_path, max_length=1, limit=8, sample_share=0.5)
    assert len(found) == 4 and set(found) < {f"t{i}" for i in range(8)}
    assert len(texts(nlp, tmp_path, sample_share=0.5)) == 15


def test_a_shuffled_sample_is_the_same_sample(nlp, tmp_path):
    write_parquet(numbered(60), tmp_path / "x.parquet")
    plain = texts(nlp, tmp_path, sample_count=30)
    corpus = create_record_corpus(str(tmp_path), sample_count=30, shuffle=True)
    first, second = ([eg.reference.text for eg in corpus(nlp)] for _ in range(2))
    assert len({tuple(plain), tuple(first), tuple(second)}) == 3
    assert set(plain) == set(first) == set(second)


def test_sizes_of_samples_are_checked(nlp, path):
    for settings, code in (
        ({"sample_count": 2, "sample_share": 0.5}, "HE216"),
        ({"sample_share": 0.0}, "HE217"),
        ({"sample_count": -1}, "HE078"),
    ):
        with pytest.raises(ValueError, match=code):
            create_record_corpus(path, **settings)
    with pytest.raises(ValueError, match=r"HE215.*sample of 4 .*there are 3"):
        list(create_record_corpus(path, sample_count=4)(nlp))


def test_samples_resolve_from_a_config(nlp, path):
    """Whole numbers may stand where a share is meant."""
    block = {"@readers": "spacy_hetner.RecordCorpus.v1", "path": path, "sample_share": 1}
    assert len(list(registry.resolve({"corpus": block})["corpus"](nlp))) == 3
    block.update(sample_share=0.5, sample_seed=2)
    assert len(list(registry.resolve({"corpus": block})["corpus"](nlp))) == 2


@pytest.mark.parametrize("option", ["limit", "max_length", "seed", "sample_seed"])
def test_negative_numbers_are_refused(path, option):
    with pytest.raises(ValueError, match=f"HE078.*{option}.*-1"):
        create_record_corpus(path, **{option: -1})


@pytest.mark.parametrize("empty", [None, ""])
def test_empty_path_is_refused_when_it_is_read(nlp, empty):
    corpus = create_record_corpus(empty)
    with pytest.raises(ValueError, match=r"HE082.*--paths\.train"):
        list(corpus(nlp))


def test_reader_resolves_from_a_config(nlp, path):
    block = {"@readers": "spacy_hetner.RecordCorpus.v1", "path": path, "limit": 1}
    resolved = registry.resolve({"corpus": block})
    assert len(list(resolved["corpus"](nlp))) == 1
