"""Records of Chinese characters with regions, and what objectives over regions make of them."""

import pickle

import numpy
import pytest

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.types import LabelledSpan


def characters(text, *spans, others=(), **more):
    """A record of the characters of a text, with labelled spans and regions of no entity."""
    meta = {NON_ENTITIES: [list(region) for region in others]} if others else {}
    spans = [LabelledSpan(*span) for span in spans]
    return Record(list(text), spans, [False] * len(text), meta=meta, **more)


@pytest.fixture
def cut(tmp_path):
    """Make the instances of records by a task; counts is filled with what is counted."""

    def make(task, records, counts=None):
        write_parquet(records, tmp_path / "records.parquet")
        counts = new_counts() if counts is None else counts
        rows = []
        for shard in parquet_shards(tmp_path / "records.parquet"):
            for batch in pickle.loads(pickle.dumps(task))(shard, counts):
                assert batch.schema == task.schema
                rows += batch.to_pylist()
        assert all(row.pop("length") == len(row["pieces"]) for row in rows)
        return [{name: numpy.array(row[name], dtype="int32") for name in row} for row in rows]

    return make


@pytest.fixture
def cut_regions(character_encoder, cut):
    """The instances of records under an objective of regions; see ``cut``."""

    def make(objective, records, labels=("GPE", "ORG"), counts=None, encoder=character_encoder):
        return cut(objective.task(encoder, {"labels": list(labels)}), records, counts)

    return make
