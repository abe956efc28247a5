"""NER-BERT's objective: what of a token is learnt, and how mentions are counted."""

import pickle
from itertools import pairwise
from types import SimpleNamespace

import numpy
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from spacy.vocab import Vocab
from torch import nn

from spacy_hetner.corpora.records import UNKNOWN, Record, outermost_spans, record_to_doc
from spacy_hetner.corpora.steps import DROPPED, LABELS
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.encoders.pieces import PieceTokenizer
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.tables import parquet_shards
from spacy_hetner.engine.task import new_counts
from spacy_hetner.labels.tagset import TagSet
from spacy_hetner.labels.type_map import load_type_map
from spacy_hetner.pretraining.objectives.typed_tagging import (
    CUT,
    NOT_LEARNT,
    NOTHING_SAID,
    OVERLAPPING,
    TOO_LONG,
    TOTALS,
    UNSAID,
    WITHOUT_PIECES,
    find_mentions,
    make_typed_tagging,
)
from spacy_hetner.types import LabelledSpan

RNG = numpy.random.default_rng(0)
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of


def record(words, *spans, meta=None):
    words = words.split(" ") if isinstance(words, str) else list(words)
    return Record(words, [LabelledSpan(*span) for span in spans], meta=meta or {})


RECORDS = [
    record("a b went to lima x", (0, 2, "person"), (4, 5, "city")),
    record("the old mayor of oslo", (1, 3, "person"), (4, 5, "city")),
    record("7 boats"),
    record("ada grace alan", (0, 1, "person"), (1, 3, "person")),
]
FACTS = {"labels": ["city", "person"], "types": None}
TAGS = TagSet(FACTS["labels"], "BIO")


@pytest.fixture
def cut(tiny_encoder, tmp_path):
    """Make the instances of records; counts is filled with what is counted."""

    def make(records, objective=None, facts=FACTS, counts=None, encoder=tiny_encoder):
        write_parquet(records, tmp_path / "records.parquet")
        task = (objective or make_typed_tagging()).task(encoder, facts)
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
def learner(tiny_encoder):
    """The tiny encoder with a new head."""

    def make(objective=None, facts=FACTS):
        torch.manual_seed(0)
        return (objective or make_typed_tagging(dropout=0.0)).learner(
            load_encoder(tiny_encoder).transformer, facts
        )

    return make


def collate(rows):
    return make_typed_tagging().collate(rows, RNG)


def loss_of(learner, rows):
    return learner(collate(rows).tensors)["typed_tagging"]


class Scripted(nn.Module):
    """An encoder of which each piece's vector is the one given for its id."""

    def __init__(self, vectors):
        super().__init__()
        self.vectors = nn.Parameter(torch.as_tensor(vectors, dtype=torch.float32))
        self.config = SimpleNamespace(hidden_size=self.vectors.shape[1])

    def forward(self, input_ids, attention_mask, return_dict):
        assert return_dict and (attention_mask == (input_ids > 0)).all()
        return SimpleNamespace(last_hidden_state=self.vectors[input_ids])


def scripted(predictions, n_labels):
    """A learner that predicts tag ``predictions[i]`` for the piece i + 1."""
    vectors = numpy.eye(2 * n_labels + 1)[[0, *predictions]]
    learner = make_typed_tagging().learner(
        Scripted(vectors), {"labels": [str(n) for n in range(n_labels)]}
    )
    with torch.no_grad():
        learner.head.weight.copy_(torch.eye(2 * n_labels + 1))
        learner.head.bias.zero_()
    return learner.eval()


def measured(sentences, n_labels=2):
    """Statistics over sentences of (gold, predicted) tags, all in one batch."""
    rows, predictions = [], []
    for gold, predicted in sentences:
        pieces = len(predictions) + 1 + numpy.arange(len(gold))
        predictions += predicted
        rows.append({"pieces": pieces, "rows": numpy.arange(len(gold)), "tags": numpy.array(gold)})
    return scripted(predictions, n_labels).measure(collate(rows).tensors)


# What the data says


def test_labels_are_those_of_the_training_records(tmp_path):
    write_parquet(RECORDS[:2], tmp_path / "a.parquet")
    write_parquet(RECORDS[2:], tmp_path / "b.parquet")
    facts = make_typed_tagging().inspect([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert facts == {**FACTS, "mentions": {"city": 2, "person": 4}}
    record = make_typed_tagging().head_record(facts)
    assert record["tags"] == ["O", "B-city", "I-city", "B-person", "I-person"]
    assert record["labels"] == ["city", "person"] and record["pooling"] == "first"


def test_records_without_a_mention_teach_nothing(tmp_path):
    write_parquet([RECORDS[2]], tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"HE200.*a\.parquet"):
        make_typed_tagging().inspect([tmp_path / "a.parquet"])


def test_315_categories_take_631_outputs(tmp_path, learner):
    names = sorted(load_type_map("4types"))[:315]
    assert len(names) == 315 and "ENTITY" in names
    records = [record("x", (0, 1, name)) for name in reversed(names)]
    write_parquet(records, tmp_path / "a.parquet")
    facts = make_typed_tagging().inspect([tmp_path / "a.parquet"])
    assert facts["labels"] == names
    made = learner(facts=facts)
    assert made.head.weight.shape == (631, 32) and len(facts["labels"]) == 315
    assert sorted(name for name, _ in made.named_children()) == ["head", "transformer"]


def test_four_types(tmp_path, cut):
    objective = make_typed_tagging(types="4types")
    records = [
        record("a b c d e", (0, 1, "bodyofwater"), (1, 2, "award"), (2, 3, "soccerplayer")),
        record("a b c", (0, 3, "soccerclub"), (1, 2, "city")),
    ]
    write_parquet(records, tmp_path / "a.parquet")
    facts = objective.inspect([tmp_path / "a.parquet"])
    assert facts["labels"] == ["ENTITY", "location", "organization", "person"]
    assert facts["mentions"]["location"] == 2
    counts = new_counts()
    rows = cut(records, objective, facts, counts)
    tags = TagSet(facts["labels"], "BIO").tags
    assert [[tags[tag] for tag in row["tags"]] for row in rows] == [
        ["B-location", "B-ENTITY", "B-person", "O", "O"],
        ["B-organization", "I-organization", "I-organization"],
    ]
    write_parquet([record("a", (0, 1, "GPE"))], tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"HE161.*GPE"):
        objective.inspect([tmp_path / "b.parquet"])


def test_a_type_map_of_ones_own(tmp_path):
    (tmp_path / "map.tsv").write_text("gene\tbio\ncell\tbio\ncity\tplace\n", encoding="utf8")
    write_parquet([record("a b", (0, 1, "gene"), (1, 2, "cell"))], tmp_path / "a.parquet")
    facts = make_typed_tagging(types=str(tmp_path / "map.tsv")).inspect([tmp_path / "a.parquet"])
    assert (facts["labels"], facts["mentions"]) == (["bio"], {"bio": 2})
    assert facts["types"] == {"gene": "bio", "cell": "bio", "city": "place"}


@pytest.mark.parametrize(
    "wrong, code",
    [
        ({"dropout": 1.5}, "HE002"),
        ({"max_pieces": 0}, "HE078"),
        ({"max_pieces": 64}, "HE032"),
        ({"overlap": -1}, "HE032"),
    ],
)
def test_wrong_settings(wrong, code):
    with pytest.raises(ValueError, match=code):
        make_typed_tagging(**wrong)


# What is cut


def test_pieces_are_those_of_fine_tuning(tiny_encoder, cut):
    records = [record("Ada met X Æ A-12", (0, 1, "person")), record("北京 , Lima", (0, 1, "city"))]
    records.append(Record(["don", "'t", "go"], [], [False, True, False]))
    for by_token in (False, True):
        encoder = load_encoder(tiny_encoder, by_token=by_token)
        read = PieceTokenizer(encoder.tokenizer, capacity=64, overlap=8, by_token=by_token)(
            [record_to_doc(found, Vocab()) for found in records]
        )
        rows = cut(records, make_typed_tagging(by_token=by_token))
        assert [row["pieces"].tolist() for row in rows] == [ids.tolist() for ids in read.window_ids]
        _, first = numpy.unique(read.link_token, return_index=True)
        assert numpy.concatenate([row["rows"] for row in rows]).tolist() == (
            read.link_row[first].tolist()
        )


def test_a_job_writes_what_the_task_gives(tiny_encoder, tmp_path, cut):
    write_parquet(RECORDS, tmp_path / "in.parquet")
    counts = LocalEngine(progress=False).map(
        make_typed_tagging().task(tiny_encoder, FACTS),
        parquet_shards(tmp_path / "in.parquet"),
        tmp_path / "out",
        key={},
    )
    table = pq.read_table(next((tmp_path / "out").glob("*.parquet")))
    assert table["pieces"].to_pylist() == [row["pieces"].tolist() for row in cut(RECORDS)]
    assert counts[LABELS] == {"person": 4, "city": 2} and not counts.get(DROPPED)
    assert counts[TOTALS] == {"records": 4, "labelled tokens": 16}


def test_outermost_mentions_are_taught_and_others_counted(cut):
    counts = new_counts()
    nested = record("a b c d e f", (0, 3, "person"), (1, 2, "city"), (2, 6, "city"))
    (row,) = cut([nested], counts=counts)
    assert TAGS.decode(row["tags"]) == outermost_spans(nested.spans) == [(2, 6, "city")]
    assert counts[DROPPED] == {OVERLAPPING: 2}


def test_tokens_without_pieces_are_in_neither_side(cut):
    counts = new_counts()
    words = [SWALLOWED, "ada", SWALLOWED, "grace", SWALLOWED, "oslo"]
    spans = [(0, 4, "person"), (4, 5, "city"), (5, 6, "city")]
    rows = cut([record(words, *spans)], counts=counts)
    assert TAGS.decode(rows[0]["tags"]) == [(0, 2, "person"), (2, 3, "city")]
    assert counts[DROPPED] == {WITHOUT_PIECES: 1}
    # Tags that are right, one for each token that has pieces, find all mentions that are left.
    gold = rows[0]["tags"].tolist()
    assert gold == [3, 4, 1] and measured([(gold, gold)]).tolist() == [2, 2, 2]
    # A sentence without any piece is no instance.
    (left,) = cut([record([SWALLOWED], (0, 1, "city")), record("a")])
    assert left["pieces"].shape == (3,) and left["tags"].tolist() == [0]


def test_unknown_tokens_have_no_loss(cut, learner):
    counts = new_counts()
    half = record("ada met grace in oslo", (0, 1, "person"), meta={UNKNOWN: [[2, 5]]})
    rows = cut([half, record("a b", meta={UNKNOWN: [[0, 2]]})], counts=counts)
    assert [row["tags"].tolist() for row in rows] == [[3, 0, UNSAID, UNSAID, UNSAID]]
    assert counts[DROPPED] == {NOTHING_SAID: 1}
    assert counts[TOTALS] == {"records": 2, "labelled tokens": 2}
    batch = collate(rows)
    assert batch.counts == {"typed_tagging": 2}
    known = {name: values.copy() for name, values in rows[0].items()}
    known["rows"], known["tags"] = known["rows"][:2], known["tags"][:2]
    made = learner()
    torch.testing.assert_close(loss_of(made, rows), loss_of(made, [known]))
    # Neither what is predicted there counts: only the first two tokens do.
    assert measured([([3, 0, UNSAID, UNSAID], [3, 0, 1, 2])]).tolist() == [1, 1, 1]


def test_labels_that_training_lacks_are_missed(cut, learner):
    counts = new_counts()
    strange = record("x y z oslo", (0, 2, "soccerclub"), (2, 3, "river"), (3, 4, "city"))
    (row,) = cut([strange], counts=counts)
    assert row["tags"].tolist() == [-2, -3, -2, 1]
    assert counts[NOT_LEARNT] == {"soccerclub": 1, "river": 1} and counts[LABELS] == {"city": 1}
    assert collate([row]).counts == {"typed_tagging": 1}
    alone = {"pieces": row["pieces"], "rows": row["rows"][3:], "tags": row["tags"][3:]}
    made = learner()
    torch.testing.assert_close(loss_of(made, [row]), loss_of(made, [alone]))
    assert measured([([-2, -3, -2, 1], [3, 4, 0, 1])]).tolist() == [1, 2, 3]


def test_long_sentences_are_read_in_windows_and_lose_nothing(cut):
    words = [f"w{n % 7}" for n in range(60)]
    spans = [(start, start + 3, "city") for start in range(0, 57, 4)]
    objective = make_typed_tagging(max_pieces=20, overlap=10)
    counts = new_counts()
    rows = cut([record(words, *spans), RECORDS[0]], objective, counts=counts)
    assert len(rows) > 4 and max(len(row["pieces"]) for row in rows) == 22
    whole = cut([record(words, *spans)])
    assert len(whole) == 1 and len(whole[0]["tags"]) == 60
    assert numpy.concatenate([row["tags"] for row in rows[:-1]]).tolist() == (
        whole[0]["tags"].tolist()
    )
    first_pieces = numpy.concatenate([row["pieces"][row["rows"]] for row in rows[:-1]])
    assert first_pieces.tolist() == whole[0]["pieces"][whole[0]["rows"]].tolist()
    # No mention is cut in two, so that the windows have as many as the sentence.
    assert not counts[CUT] and sum(len(TAGS.decode(row["tags"])) for row in rows[:-1]) == len(spans)
    assert collate(rows).counts == {"typed_tagging": 66}


def test_a_mention_longer_than_a_window_is_cut_and_counted(cut):
    counts = new_counts()
    objective = make_typed_tagging(max_pieces=8, overlap=2)
    rows = cut([record([*"abcdefghijklmnop"], (1, 14, "city"))], objective, counts=counts)
    assert counts[CUT] == {TOO_LONG: 1}
    tags = numpy.concatenate([row["tags"] for row in rows]).tolist()
    assert tags == [0, 1, *[2] * 12, 0, 0]


def test_windows_are_no_longer_than_the_encoder_reads(cut):
    (first, second) = cut([record(["a"] * 600)], make_typed_tagging(max_pieces=2048, overlap=512))
    assert len(first["pieces"]) == len(second["pieces"]) == 512
    assert len(first["tags"]) + len(second["tags"]) == 600


@st.composite
def flat_records(draw):
    """Records of which words have none, one or several pieces, and mentions that do not overlap."""
    words = draw(
        st.lists(
            st.sampled_from(["a", "oslo", "Ada", "北", SWALLOWED, "x-y"]), min_size=1, max_size=30
        )
    )
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=12)))
    labels = st.sampled_from([None, "city", "person"])
    spans = [LabelledSpan(s, e, draw(labels)) for s, e in pairwise(cuts)]
    return Record(words, [span for span in spans if span.label])


@settings(max_examples=40)
@given(records=st.lists(flat_records(), min_size=1, max_size=4), size=st.integers(2, 40))
def test_tags_decode_to_the_mentions(tiny_encoder, tmp_path_factory, records, size):
    path = tmp_path_factory.mktemp("records") / "a.parquet"
    write_parquet(records, path)
    counts = new_counts()
    task = make_typed_tagging(max_pieces=size, overlap=size // 2).task(tiny_encoder, FACTS)
    rows = [
        row for shard in parquet_shards(path) for b in task(shard, counts) for row in b.to_pylist()
    ]
    expected, tokens = [], 0
    for found in records:
        places = numpy.cumsum([0, *(word != SWALLOWED for word in found.tokens)]) + tokens
        spans = [(int(places[s]), int(places[e]), label) for s, e, label in found.spans]
        expected += [span for span in spans if span[0] < span[1]]
        tokens = int(places[-1])
    assert sum(len(row["tags"]) for row in rows) == tokens
    tags = [tag for row in rows for tag in row["tags"]]
    # Every mention begins with B, so that the seams of sentences and windows do not matter.
    assert TAGS.decode(tags) == expected
    if not counts[CUT]:
        parts = [len(TAGS.decode(row["tags"])) for row in rows]
        assert sum(parts) == len(expected)


# What is learnt


def test_only_first_pieces_contribute(cut, learner):
    """ "lima" and "oslo" have four pieces each, and count once."""
    made = learner()
    (row,) = cut([RECORDS[0]])
    assert numpy.diff(row["rows"]).tolist() == [1, 1, 4, 2, 4]
    ids = torch.tensor([row["pieces"].tolist()])
    with torch.no_grad():
        states = made.transformer(input_ids=ids).last_hidden_state[0]
        logits = states @ made.head.weight.T + made.head.bias
        chances = logits.softmax(1)
    by_hand = 0.0
    for place, tag in zip([1, 2, 3, 7, 9, 13], [3, 4, 0, 0, 1, 0], strict=True):
        by_hand -= chances[place, tag].log()
    torch.testing.assert_close(loss_of(made, [row]), by_hand)
    assert collate([row]).counts == {"typed_tagging": 6}


def test_no_gradient_at_other_pieces(cut):
    rows = cut(RECORDS)
    batch = collate(rows)
    n = int(batch.tensors["input_ids"].max()) + 1
    # Vectors by position: the gradient says which positions are read.
    positions = batch.padded
    encoder = Scripted(numpy.random.default_rng(1).standard_normal((max(n, positions + 1), 8)))
    made = make_typed_tagging(dropout=0.0).learner(encoder, FACTS)
    tensors = dict(batch.tensors)
    tensors["input_ids"] = torch.arange(1, positions + 1).view(tensors["input_ids"].shape)
    tensors["attention_mask"] = torch.ones_like(tensors["input_ids"])
    made(tensors)["typed_tagging"].backward()
    touched = encoder.vectors.grad.abs().sum(1).nonzero().flatten() - 1
    assert touched.tolist() == sorted(batch.tensors["rows"].tolist())


def test_padding_changes_nothing(cut, learner):
    made = learner().eval()
    rows = cut([*RECORDS, record("a " * 40 + "b", (3, 9, "city"))])
    together = loss_of(made, rows)
    alone = sum(loss_of(made, [row]) for row in rows)
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)
    batch = collate(rows)
    assert (batch.pieces, batch.padded) == (
        sum(len(row["pieces"]) for row in rows),
        len(rows) * max(len(row["pieces"]) for row in rows),
    )
    assert batch.tensors["attention_mask"].sum() == batch.pieces
    assert (
        made.measure(batch.tensors) == sum(made.measure(collate([r]).tensors) for r in rows)
    ).all()


def test_dropout_is_of_training_only(cut, learner):
    made = learner(make_typed_tagging(dropout=0.5))
    made.transformer.eval()
    rows = cut(RECORDS)
    assert loss_of(made, rows) != loss_of(made, rows)
    made.eval()
    assert loss_of(made, rows) == loss_of(made, rows)


def test_a_tiny_encoder_learns_the_records(cut, learner):
    made = learner()
    batch = collate(cut(RECORDS))
    optimizer = torch.optim.Adam(made.parameters(), lr=0.003)
    for _ in range(60):
        optimizer.zero_grad()
        (made(batch.tensors)["typed_tagging"] / batch.counts["typed_tagging"]).backward()
        optimizer.step()
    made.eval()
    statistics = made.measure(batch.tensors)
    assert statistics.tolist() == [6, 6, 6] and statistics.dtype == torch.float64
    assert make_typed_tagging().scores(statistics.numpy()) == {"f": 1.0, "p": 1.0, "r": 1.0}


# What is counted


@pytest.mark.parametrize(
    "sentences, expected",
    [
        ([([1, 2, 0], [1, 2, 0])], [1, 1, 1]),
        ([([0, 2, 2], [0, 1, 2])], [1, 1, 1]),  # an orphan I begins a mention, also in gold
        ([([1, 2, 0], [2, 2, 0])], [1, 1, 1]),
        ([([1, 2, 2], [1, 2, 4])], [0, 2, 1]),  # another type is another mention
        ([([1, 4, 4], [1, 4, 4])], [2, 2, 2]),
        ([([1, 1], [1, 2])], [0, 1, 2]),  # B separates
        ([([1, 2], [3, 4])], [0, 1, 1]),  # the type counts
        ([([1], [1]), ([2], [2])], [2, 2, 2]),  # no mention goes on in the next sentence
        ([([0, 1], [0, 1]), ([0, 2], [2, 2])], [1, 2, 2]),
        ([([0, 0], [0, 0])], [0, 0, 0]),
    ],
)
def test_mentions_are_counted_as_conlleval_does(sentences, expected):
    assert measured(sentences).tolist() == expected


@given(st.lists(st.lists(st.integers(0, 6), max_size=8), max_size=5))
def test_mentions_are_those_of_seqeval(sentences):
    tag_set = TagSet(["a", "b", "c"], "BIO")
    flat = torch.tensor([tag for tags in sentences for tag in tags], dtype=torch.int64)
    windows = [n for n, tags in enumerate(sentences) for _ in tags]
    found = find_mentions(flat, torch.tensor(windows, dtype=torch.int64))
    ours = [
        (start, int(found.ends[start]), "abc"[int(found.labels[start]) - 1])
        for start in found.begins.nonzero().flatten().tolist()
    ]
    theirs, decoded, before = [], [], 0
    for tags in sentences:
        names = [tag_set.tags[tag] for tag in tags]
        theirs += [(s + before, e + 1 + before, label) for label, s, e in get_entities(names)]
        decoded += [(s + before, e + before, label) for s, e, label in tag_set.decode(tags)]
        before += len(tags)
    assert ours == theirs == decoded


def test_scores_of_sums():
    scores = make_typed_tagging().scores
    assert scores(numpy.array([2.0, 4.0, 8.0])) == {"f": pytest.approx(1 / 3), "p": 0.5, "r": 0.25}
    assert scores(numpy.zeros(3)) == {"f": 0.0, "p": 0.0, "r": 0.0}


def test_a_map_of_labels_in_capitals(cut, tmp_path):
    """And of a label that only dev has: it counts as missed."""
    types = tmp_path / "types.tsv"
    types.write_text("PER\tthing\ncell_type\tthing\n", encoding="utf8")
    objective = make_typed_tagging(types=str(types))
    write_parquet(
        [record("ada", (0, 1, "PER")), record("b", (0, 1, "cell_type"))], tmp_path / "t.parquet"
    )
    facts = objective.inspect([tmp_path / "t.parquet"])
    assert facts["labels"] == ["thing"]
    (known, unknown) = cut(
        [record("ada x", (0, 1, "PER")), record("ada x", (0, 1, "VEH"))], objective, facts
    )
    assert known["tags"].tolist() == [1, 0]
    assert unknown["tags"].tolist() == [-2, 0]
