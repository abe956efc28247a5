"""The labels of several corpora."""

import pytest

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stored_labels import count_stored_labels
from spacy_hetner.corpora.stores import write_docbin, write_parquet
from spacy_hetner.types import LabelledSpan


def test_labels_of_all_stores_are_counted(tmp_path):
    one = [Record(["a", "b"], [LabelledSpan(0, 2, "ORG"), LabelledSpan(1, 2, "GPE")])]
    other = [
        Record(["a"], [LabelledSpan(0, 1, "Ärzte")]),
        Record(["b"], [LabelledSpan(0, 1, "GPE")]),
    ]
    write_parquet(one, tmp_path / "one.parquet")
    write_docbin(other, tmp_path / "other.spacy", spans_key="sc")
    paths = [tmp_path / "one.parquet", tmp_path / "other.spacy"]
    found = count_stored_labels(paths, spans_key="sc")
    assert list(found.items()) == [("GPE", 2), ("ORG", 1), ("Ärzte", 1)]


def test_spans_without_a_label_have_none(tmp_path):
    records = [Record(["a"], [LabelledSpan(0, 1, "")])]
    write_parquet(records, tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"HE221.*x\.parquet.*'entities'"):
        count_stored_labels([tmp_path / "x.parquet"])
