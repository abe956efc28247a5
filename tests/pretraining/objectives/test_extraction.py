"""CoFEE's objectives: what is read of a record, what counts, which heads go on, what runs do."""

import json
from types import SimpleNamespace

import numpy
import pytest
import torch
from pretraining.conftest import read_log
from pretraining.objectives.conftest import characters
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy

from spacy_hetner.corpora.records import UNKNOWN, Record
from spacy_hetner.corpora.steps import DROPPED, LABELS
from spacy_hetner.corpora.stores import read_parquet, write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder, load_tokenizer
from spacy_hetner.engine.task import new_counts
from spacy_hetner.pretraining.objectives.extraction import make_head
from spacy_hetner.pretraining.objectives.extraction_heads import (
    CLUSTERS,
    SPANS,
    ExtractionLearner,
    QueryHead,
    TagHead,
    cluster_loss,
    edge_probabilities,
    sum_spans,
)
from spacy_hetner.pretraining.objectives.extraction_task import (
    CUT,
    ENDS,
    NO_CLUSTER,
    NOT_LEARNT,
    NOTHING_SAID,
    OVERLAPPING,
    STARTS,
    TOO_LONG,
    TOTALS,
    UNSAID,
    WITHOUT_PIECES,
)
from spacy_hetner.pretraining.objectives.fine_typing import make_fine_typing
from spacy_hetner.pretraining.objectives.gazetteer_extraction import make_gazetteer_extraction
from spacy_hetner.pretraining.objectives.span_identification import (
    ENTITY,
    make_span_identification,
)
from spacy_hetner.pretraining.settings import read_config, resolve_settings
from spacy_hetner.spans.pairing import pick_spans
from spacy_hetner.types import LabelledSpan

RNG = numpy.random.default_rng(0)
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of
BACKBONES = ("query", "tagger")
QUERIES = {"GPE": "南", "ORG": "篮协", ENTITY: "人"}
QUERIED = {"labels": ["GPE", "ORG"], "queries": {"GPE": "南", "ORG": "篮协"}}
TAGGED = {"labels": ["GPE", "ORG"], "queries": None}
FACTS = {"query": QUERIED, "tagger": TAGGED}


@pytest.fixture
def cut_by(character_encoder, cut):
    """The instances of records under an objective; see ``cut``."""

    def make(objective, records, facts=None, counts=None):
        task = objective.task(character_encoder, facts or FACTS[objective.backbone])
        return cut(task, records, counts)

    return make


@pytest.fixture
def learner_of(character_encoder):
    """The learner of an objective with the same new weights each time, without dropout."""

    def make(objective, facts=None, seed=0):
        torch.manual_seed(seed)
        transformer = load_encoder(character_encoder).transformer
        return objective.learner(transformer, facts or FACTS[objective.backbone]).eval()

    return make


def texts_of(rows, encoder):
    tokenizer = load_tokenizer(encoder)
    return ["".join(tokenizer.convert_ids_to_tokens(row["pieces"].tolist())) for row in rows]


def spans_of(row):
    return row["spans"].reshape(-1, 4).tolist()


class Scripted(nn.Module):
    """An encoder of which each piece's vector is the one given for its id."""

    def __init__(self, vectors, n_types=1):
        super().__init__()
        self.vectors = nn.Parameter(torch.as_tensor(vectors, dtype=torch.float32))
        self.config = SimpleNamespace(hidden_size=self.vectors.shape[1], type_vocab_size=n_types)
        self.types = None

    def forward(self, input_ids, attention_mask, return_dict, token_type_ids=None):
        self.types = token_type_ids
        return SimpleNamespace(last_hidden_state=self.vectors[input_ids])


def scripted_query(starts, ends):
    """A learner that gives piece i + 1 the logits ``starts[i]`` and ``ends[i]``, (n, 2) each."""
    logits = numpy.concatenate([starts, ends], axis=1)
    head = QueryHead(4)
    with torch.no_grad():
        head.start.weight.copy_(torch.eye(4)[:2])
        head.end.weight.copy_(torch.eye(4)[2:])
        head.start.bias.zero_()
        head.end.bias.zero_()
    return ExtractionLearner(Scripted(numpy.concatenate([numpy.zeros((1, 4)), logits])), head)


def scripted_tags(labels, tags):
    """A learner that gives piece i + 1 the tag ``tags[i]``."""
    head = TagHead(4 * len(labels) + 1, labels)
    width = head.tags.in_features
    with torch.no_grad():
        head.tags.weight.copy_(torch.eye(width))
        head.tags.bias.zero_()
    return ExtractionLearner(Scripted(10 * numpy.eye(width)[[0, *tags]]), head)


def instance(pieces, rows, tags, spans=(), before=1, missed=0):
    arrays = {
        "pieces": pieces,
        "before": [before],
        "rows": rows,
        "tags": tags,
        "spans": numpy.array(spans, dtype="int32").reshape(-1),
        "missed": [missed],
    }
    return {name: numpy.array(values, dtype="int32") for name, values in arrays.items()}


# What is read under queries


def test_a_text_is_read_under_the_query_of_each_label(cut_by, character_encoder):
    """Check 8.2.3: also of labels that it has no span of."""
    counts = new_counts()
    records = [characters("我在北京看", (2, 4, "GPE")), characters("我看")]
    rows = cut_by(make_gazetteer_extraction(), records, counts=counts)
    assert texts_of(rows, character_encoder) == [
        "[CLS]南[SEP]我在北京看[SEP]",
        "[CLS]篮协[SEP]我在北京看[SEP]",
        "[CLS]南[SEP]我看[SEP]",
        "[CLS]篮协[SEP]我看[SEP]",
    ]
    assert [row["before"].tolist() for row in rows] == [[3], [4], [3], [4]]
    assert rows[0]["rows"].tolist() == [3, 4, 5, 6, 7] and rows[1]["rows"][0] == 4
    assert [row["tags"].tolist() for row in rows] == [
        [0, 0, STARTS, ENDS, 0],
        [0] * 5,
        [0, 0],
        [0, 0],
    ]
    assert [spans_of(row) for row in rows] == [[[2, 4, 0, NO_CLUSTER]], [], [], []]
    assert counts[LABELS] == {"GPE": 1} and counts[TOTALS] == {"records": 2, "instances": 4}


def test_labels_in_another_order_are_the_same_instances_in_another_order(cut_by):
    """Check 8.2.3."""
    records = [characters("我在北京大学看", (2, 6, "ORG"), (2, 4, "GPE"))]
    objective = make_gazetteer_extraction()
    ahead, back = (
        cut_by(objective, records, {**QUERIED, "labels": labels})
        for labels in (["GPE", "ORG"], ["ORG", "GPE"])
    )
    for one, other in zip(ahead, reversed(back), strict=True):
        assert {name: one[name].tolist() for name in one} == {
            name: other[name].tolist() for name in other
        }


def test_the_query_changes_what_is_said(cut_by, learner_of):
    """Check 8.2.3."""
    objective = make_gazetteer_extraction()
    learner = learner_of(objective)
    rows = cut_by(objective, [characters("我在北京看", (2, 4, "GPE"))])
    one, other = (learner.vectors(objective.collate([row], RNG).tensors).detach() for row in rows)
    assert one.shape == other.shape and not torch.allclose(one, other, atol=1e-3)


def test_all_labels_are_one_to_span_identification(cut_by, character_encoder):
    """A span that has two labels is one entity; a label that training lacks is an entity, too."""
    objective = make_span_identification(queries=QUERIES)
    facts = {"labels": [ENTITY], "queries": {ENTITY: "人"}}
    counts = new_counts()
    records = [characters("我在北京看", (0, 1, "river"), (2, 4, "GPE"), (2, 4, "ORG"))]
    (row,) = cut_by(objective, records, facts, counts)
    assert texts_of([row], character_encoder) == ["[CLS]人[SEP]我在北京看[SEP]"]
    assert spans_of(row) == [[0, 1, 0, NO_CLUSTER], [2, 4, 0, NO_CLUSTER]]
    assert counts[LABELS] == {ENTITY: 2} and not counts[NOT_LEARNT]


def test_spans_of_a_label_may_share_an_end(cut_by):
    """As self-picking leaves them: starts and ends are more than spans, and pairs stay pairs."""
    record = characters("我在北京大学看", (0, 4, "GPE"), (2, 4, "GPE"), (6, 7, "GPE"))
    row, _ = cut_by(make_gazetteer_extraction(), [record])
    assert row["tags"].tolist() == [STARTS, 0, STARTS, ENDS, 0, 0, STARTS | ENDS]
    assert [span[:2] for span in spans_of(row)] == [[0, 4], [2, 4], [6, 7]]


# What is read by a tagger


def test_a_tagger_reads_a_text_once(cut_by, character_encoder):
    counts = new_counts()
    record = characters("我在北京大学看", (2, 6, "ORG"), (2, 4, "GPE"), (6, 7, "GPE"))
    (row,) = cut_by(make_gazetteer_extraction(backbone="tagger"), [record], counts=counts)
    assert texts_of([row], character_encoder) == ["[CLS]我在北京大学看[SEP]"]
    # O, then B, M, E, S of GPE and of ORG
    assert row["tags"].tolist() == [0, 0, 5, 6, 6, 7, 4]
    assert [span[:3] for span in spans_of(row)] == [[2, 6, 1], [6, 7, 0]]
    assert counts[DROPPED] == {OVERLAPPING: 1}


def test_a_label_that_training_lacks_hides_no_other_from_a_tagger(cut_by):
    """As in records of dev: the span is missed, what lies inside or across it is gold."""
    counts = new_counts()
    record = characters("我在北京大学看", (1, 7, "river"), (2, 4, "GPE"), (0, 2, "ORG"))
    (row,) = cut_by(make_gazetteer_extraction(backbone="tagger"), [record], counts=counts)
    assert [span[:3] for span in spans_of(row)] == [[0, 2, 1], [2, 4, 0]]
    assert row["missed"].tolist() == [1] and not counts[DROPPED]
    assert counts[NOT_LEARNT] == {"river": 1} and counts[LABELS] == {"GPE": 1, "ORG": 1}


# What is lost or unknown


@pytest.mark.parametrize("backbone", BACKBONES)
def test_what_is_lost_is_counted(cut_by, backbone):
    counts = new_counts()
    objective = make_gazetteer_extraction(backbone=backbone)
    records = [
        Record([SWALLOWED, "我"], [LabelledSpan(0, 1, "ORG"), LabelledSpan(1, 2, "river")]),
        Record([SWALLOWED], []),
    ]
    rows = cut_by(objective, records, counts=counts)
    assert counts[DROPPED] == {WITHOUT_PIECES: 1} and counts[NOT_LEARNT] == {"river": 1}
    assert [row["missed"].tolist() for row in rows] == [[1], [0]][: 1 + (backbone == "query")]
    assert not any(spans_of(row) for row in rows)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_nothing_is_taught_of_what_is_unknown(cut_by, backbone):
    counts = new_counts()
    record = characters("我在北京看", (2, 4, "GPE"))
    record.meta[UNKNOWN] = [[1, 3], [4, 5]]
    unknown = characters("我看")
    unknown.meta[UNKNOWN] = [[0, 2]]
    objective = make_gazetteer_extraction(backbone=backbone)
    row, *others = cut_by(objective, [record, unknown], counts=counts)
    assert (row["tags"] == UNSAID).tolist() == [False, True, False, False, True]
    if backbone == "query":
        assert (others.pop()["tags"] == UNSAID).tolist() == [False, True, True, False, True]
    assert not others and counts[DROPPED] == {NOTHING_SAID: len(objective_frames(backbone))}
    assert objective.collate([row], RNG).counts == {SPANS: 3.0}


def objective_frames(backbone):
    return QUERIED["labels"] if backbone == "query" else [None]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_long_texts_are_read_in_windows(cut_by, character_encoder, backbone):
    """All tokens of a span in one window, if one holds it; each token in one."""
    counts = new_counts()
    objective = make_gazetteer_extraction(backbone=backbone, max_pieces=6, overlap=2)
    record = characters("我在北京大学习看天安门的人", (4, 8, "ORG"), (9, 10, "GPE"))
    rows = cut_by(objective, [record], counts=counts)
    if backbone == "query":
        rows = rows[len(rows) // 2 :]  # under the query of ORG
    texts = texts_of(rows, character_encoder)
    start = "[CLS]" if backbone == "tagger" else "[CLS]篮协[SEP]"
    parts = ("我在北京大学", "大学习看天安", "看天安门的人")
    assert texts == [f"{start}{part}[SEP]" for part in parts]
    labelled = [(row["rows"] - row["before"]).tolist() for row in rows]
    assert labelled == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4, 5]]
    found = [[span[:2] for span in spans_of(row)] for row in rows]
    assert found == [[], [[0, 4]], [] if backbone == "query" else [[1, 2]]] and not counts[CUT]
    # One that no window holds is missed; its parts are taught.
    counts = new_counts()
    long = characters("我在北京大学习看天安门的人", (1, 9, "ORG"))
    rows = cut_by(objective, [long], counts=counts)[-3:]
    assert counts[CUT] == {TOO_LONG: 1} and not any(spans_of(row) for row in rows)
    assert [row["missed"].tolist() for row in rows] == [[1], [0], [0]]
    tags = numpy.concatenate([row["tags"] for row in rows])
    assert (numpy.flatnonzero(tags) == ([1, 8] if backbone == "query" else range(1, 9))).all()


def test_a_query_may_not_fill_the_encoder(cut_by):
    facts = {"labels": ["GPE"], "queries": {"GPE": "南" * 300}}
    with pytest.raises(ValueError, match="HE270"):
        cut_by(make_gazetteer_extraction(), [characters("我")], facts)


# What counts


def test_the_loss_is_the_golden_one_of_the_context_alone(golden):
    """L_start + L_end, both means over the tokens of the text (check 8.2.2)."""
    case = golden("mrc_matching")["loss"]
    mask = numpy.array(case["context_mask"], dtype=bool)
    learner = scripted_query(case["start_logits"], case["end_logits"])
    labels = numpy.array(case["start_labels"]) * STARTS + numpy.array(case["end_labels"]) * ENDS
    rows = numpy.flatnonzero(mask)
    pieces = numpy.arange(1, len(mask) + 1)
    own = instance(pieces, rows, labels[mask], before=int(rows[0]))
    objective = make_gazetteer_extraction(dropout=0.0)
    batch = objective.collate([own], RNG)
    loss = learner(batch.tensors)[SPANS] / batch.counts[SPANS]
    assert loss.item() == pytest.approx(case["L_mrc"], abs=1e-6)
    # The mean over all positions, as the published code has it, is another number.
    assert abs(loss.item() - case["reference_unmasked_L_mrc"]) > 0.1
    # What stands in the query does not count, nor does padding.
    other = instance([6, 6, *pieces[2:]], rows, labels[mask], before=2)
    longer = instance([1] * 12, [2], [0], before=2)
    alone, padded = (
        learner(objective.collate(rows, RNG).tensors)[SPANS] for rows in ([other], [own, longer])
    )
    assert alone.item() == pytest.approx(3 * case["L_mrc"], abs=1e-5)
    only = learner(objective.collate([longer], RNG).tensors)[SPANS]
    assert (padded - only).item() == pytest.approx(3 * case["L_mrc"], abs=1e-5)


def test_a_no_counts(golden):
    """Trap C2: y log P alone would leave out every token that is no start."""
    case = golden("mrc_matching")["loss"]
    learner = scripted_query(case["start_logits"], case["end_logits"])
    none = instance(range(1, 7), [2, 3, 4], [0, 0, 0], before=2)
    logits = torch.tensor([case["start_logits"][2:5], case["end_logits"][2:5]])
    expected = -logits.log_softmax(2)[..., 0].sum()
    batch = make_gazetteer_extraction().collate([none], RNG)
    torch.testing.assert_close(learner.eval()(batch.tensors)[SPANS], expected)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_loss_is_a_sum_whatever_the_batch(cut_by, learner_of, backbone):
    objective = make_gazetteer_extraction(backbone=backbone, dropout=0.0)
    learner = learner_of(objective)
    records = [
        characters("我在北京看", (2, 4, "GPE")),
        characters("我在北京大学习看天安门", (2, 6, "ORG")),
        characters("人"),
    ]
    rows = cut_by(objective, records)
    batch = objective.collate(rows, RNG)
    assert batch.counts == {SPANS: 17.0 * (2 if backbone == "query" else 1)}
    assert batch.pieces == sum(len(row["pieces"]) for row in rows)
    alone = [learner(objective.collate([row], RNG).tensors)[SPANS] for row in rows]
    torch.testing.assert_close(learner(batch.tensors)[SPANS], sum(alone))


def test_the_encoder_is_told_which_part_is_the_query(cut_by):
    """By types, where it has more than one."""
    objective = make_gazetteer_extraction()
    rows = cut_by(objective, [characters("我在北京看", (2, 4, "GPE")), characters("我看")])
    tensors = objective.collate(rows, RNG).tensors
    assert tensors["token_type_ids"].tolist() == [
        [0, 0, 0, 1, 1, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
        [0, 0, 0, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 0, 0, 0],
    ]
    for n_types in (1, 2):
        encoder = Scripted(numpy.zeros((5000, 4)), n_types)
        ExtractionLearner(encoder, QueryHead(4))(tensors)
        assert (encoder.types is not None) == (n_types == 2)
    tagger = make_gazetteer_extraction(backbone="tagger")
    assert "token_type_ids" not in tagger.collate(rows, RNG).tensors


def test_spans_that_share_an_end_leave_those_of_other_texts_alone():
    """Check 8.2.12, trap C8: by index over the flattened batch, later ends would be wrong."""
    yes, no = [-9.0, 9.0], [9.0, -9.0]
    # Piece 1: a start; 2: an end; 3: neither; 4: both.
    learner = scripted_query([yes, no, no, yes], [no, yes, no, yes])
    objective = make_gazetteer_extraction()
    # Starts 0, 2 and 6, ends 3 and 6: spans (0, 4), (2, 4) and (6, 7), of which flat ones are two.
    first = instance([3, 1, 3, 1, 2, 3, 3, 4], range(1, 8), [0] * 7, [(0, 4, 0, -1), (6, 7, 0, -1)])
    second = instance([3, 3, 1, 2], [1, 2, 3], [0] * 3, [(1, 3, 0, -1)])
    tensors = objective.collate([first, second], RNG).tensors
    assert tensors["spans"][:, :2].tolist() == [[0, 4], [6, 7], [8, 10]]
    assert learner.measure(tensors).tolist() == [3, 3, 3]
    known = torch.ones(10, dtype=torch.bool)
    found = learner.head.find(learner.vectors(tensors), known, [7, 3])
    assert list(found) == [(0, 4, 0), (6, 7, 0), (8, 10, 0)]
    # A start finds no end in the next text.
    open_end = instance([3, 3, 1], [1, 2], [0, 0])
    tensors = objective.collate([open_end, second], RNG).tensors
    assert learner.measure(tensors).tolist() == [1, 1, 1]


def test_spans_of_a_tagger_are_counted_by_label():
    """O, then B M E S of a and of b."""
    learner = scripted_tags(["a", "b"], [0, 1, 2, 3, 4, 8])
    objective = make_gazetteer_extraction(backbone="tagger")
    gold = [(0, 3, 0, -1), (3, 4, 0, -1), (4, 5, 0, -1)]
    row = instance([1, 2, 3, 4, 5, 6, 1], [1, 2, 3, 4, 5], [0] * 5, gold, missed=1)
    statistics = learner.measure(objective.collate([row], RNG).tensors)
    assert statistics.tolist() == [2, 3, 4]
    scores = objective.scores(statistics.numpy())
    assert scores == {
        "f": pytest.approx(4 / 7),
        "p": pytest.approx(2 / 3),
        "r": pytest.approx(1 / 2),
    }
    unsaid = instance([1, 2, 3, 4, 5, 6, 1], [1, 2, 3, 4, 5], [-1] * 3 + [0] * 2, missed=1)
    assert learner.measure(objective.collate([unsaid], RNG).tensors).tolist() == [0, 2, 1]


def test_the_edges_of_a_tagger_are_the_golden_ones(golden):
    """P(B) + P(S), P(E) + P(S); and what is picked by them."""
    for case in golden("tagger_self_picking")["cases"]:
        edges = edge_probabilities(torch.tensor(case["logits"], dtype=torch.float64))
        (starts,), (ends,) = edges.starts.T.numpy(), edges.ends.T.numpy()
        numpy.testing.assert_allclose(starts, case["p_start"], atol=1e-9)
        numpy.testing.assert_allclose(ends, case["p_end"], atol=1e-9)
        picked = pick_spans(starts, ends, case["delta"]).spans
        assert (picked - (0, 1)).tolist() == case["spans_inclusive"]


def test_edges_of_several_labels_are_in_order():
    tags = torch.full((2, 9), -20.0)
    tags[0, 5] = tags[1, 4] = 20.0  # B of the second label; S of the first
    edges = edge_probabilities(tags)
    torch.testing.assert_close(edges.starts, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(edges.ends, torch.tensor([[0.0, 0.0], [1.0, 0.0]]))


# Clusters


def test_the_loss_of_clusters_is_the_golden_one(golden):
    """Equation 9 divides by M; torch divides by the sum of weights, in which their scale cancels
    (trap C5)."""
    numbers = golden("cofee_clusters")
    case = numbers["weighted_loss"]
    logits, weights = torch.tensor(case["logits"]), torch.tensor(case["alpha"])
    clusters = torch.tensor(case["labels"])
    n = len(clusters)
    own = cluster_loss(logits, clusters, weights) / n
    assert own.item() == pytest.approx(case["L_clus_eq9"], abs=1e-6)
    ones = cluster_loss(logits, clusters, torch.ones(3)) / n
    assert ones.item() == pytest.approx(case["L_clus_eq7_unweighted"], abs=1e-6)
    by_torch = cross_entropy(logits, clusters, weight=weights)
    assert by_torch.item() == pytest.approx(case["torch_weighted_mean"], abs=1e-6)
    assert abs(own - by_torch) > 0.1
    tenfold = cluster_loss(logits, clusters, 10 * weights) / n
    assert tenfold.item() == pytest.approx(10 * case["L_clus_eq9"], abs=1e-5)
    total = numbers["total"]
    objective = make_fine_typing(clusters=3, gamma=total["gamma"])
    losses = {SPANS: total["L_mrc"], CLUSTERS: own.item()}
    summed = sum(weight * losses[name] for name, weight in objective.weights.items())
    assert summed == pytest.approx(total["L_fet"], abs=1e-6)


def test_the_vector_of_a_span_is_a_sum(golden):
    """Check 8.2.9."""
    case = golden("cofee_clusters")["sum_pool"]
    first, last = torch.tensor(case["entities_inclusive"]).unbind(1)
    sums = sum_spans(torch.tensor(case["H"]), first, last + 1)
    torch.testing.assert_close(sums, torch.tensor(case["e"]))
    same = torch.tensor([[0.5, 2.0]]).expand(6, 2)
    once, twice = sum_spans(same, torch.tensor([1, 0]), torch.tensor([3, 4]))
    torch.testing.assert_close(twice, 2 * once)
    assert sum_spans(same, first[:0], last[:0]).shape == (0, 2)


CLUSTERED = {**QUERIED, "clusters": 3, "cluster_weights": [1.0, 0.5, 2.0]}


def clustered(record, *clusters):
    record.meta["clusters"] = list(clusters)
    return record


@pytest.mark.parametrize("backbone", BACKBONES)
def test_clusters_are_those_of_the_spans_in_order(cut_by, backbone):
    counts = new_counts()
    objective = make_fine_typing(backbone=backbone, clusters=3)
    facts = {**CLUSTERED, **FACTS[backbone]}
    records = [
        clustered(
            characters("我在北京大学看", (0, 1, "ORG"), (2, 4, "GPE"), (4, 6, "GPE")), 2, 0, 1
        ),
        characters("北京", (0, 2, "GPE")),
        characters("我"),
    ]
    clustered(records[0], 2, 0, 1)
    rows = cut_by(objective, records, facts, counts)
    found = [span for row in rows for span in spans_of(row)]
    texts = [[2, 4, 0, 0], [4, 6, 0, 1], [0, 1, 0, 2], [0, 2, 0, NO_CLUSTER]]
    tagged = [[0, 1, 1, 2], [2, 4, 0, 0], [4, 6, 0, 1], [0, 2, 0, NO_CLUSTER]]
    assert found == (texts if backbone == "query" else tagged)
    assert counts[TOTALS]["records without clusters"] == 1
    assert objective.collate(rows, RNG).counts[CLUSTERS] == 3.0


@pytest.mark.parametrize("clusters", [[0], [0, 3], [0, -1]])
def test_clusters_must_be_one_a_span(cut_by, clusters):
    record = clustered(characters("我在北京", (0, 1, "ORG"), (2, 4, "GPE"), id="r7"), *clusters)
    with pytest.raises(ValueError, match=r"HE283.*r7"):
        cut_by(make_fine_typing(clusters=3), [record], CLUSTERED)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_without_gamma_fine_typing_is_gazetteer_extraction(cut_by, learner_of, backbone):
    """Check 8.2.11: the same loss, and the same gradients of the encoder and of the heads."""
    records = [
        clustered(characters("我在北京看", (2, 4, "GPE")), 1),
        clustered(characters("篮协在北京", (0, 2, "ORG"), (3, 5, "GPE")), 0, 2),
    ]
    facts = {**CLUSTERED, **FACTS[backbone]}
    totals, gradients = [], []
    for objective, known in [
        (make_gazetteer_extraction(backbone=backbone, dropout=0.0), FACTS[backbone]),
        (make_fine_typing(backbone=backbone, dropout=0.0, clusters=3, gamma=0.0), facts),
        (make_fine_typing(backbone=backbone, dropout=0.0, clusters=3, gamma=0.5), facts),
    ]:
        learner = learner_of(objective, known)
        batch = objective.collate(cut_by(objective, records, known), RNG)
        sums = learner(batch.tensors)
        assert sums.keys() == batch.counts.keys() == objective.weights.keys()
        total = sum(
            weight * sums[name] / batch.counts[name] for name, weight in objective.weights.items()
        )
        total.backward()
        totals.append(total.detach())
        named = learner.named_parameters()
        gradients.append({name: w.grad for name, w in named if "clusters" not in name})
    torch.testing.assert_close(totals[0], totals[1], rtol=0, atol=0)
    assert totals[2] > totals[0]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(gradients[0], gradients[2])


def test_a_batch_without_clusters_has_a_loss_of_nothing(cut_by, learner_of):
    objective = make_fine_typing(clusters=3)
    learner = learner_of(objective, CLUSTERED)
    batch = objective.collate(cut_by(objective, [characters("我")], CLUSTERED), RNG)
    losses = learner(batch.tensors)
    assert batch.counts[CLUSTERS] == losses[CLUSTERS] == 0
    losses[CLUSTERS].backward()  # every weight has a gradient, as many processes need
    assert not learner.head.clusters.weight.grad.any()


# Heads that go on


def write_head(folder, objective, learner, facts):
    folder.mkdir(exist_ok=True)
    (folder / "head.json").write_text(json.dumps(objective.head_record(facts)), encoding="utf8")
    save_file(dict(learner.head.state_dict()), folder / "head.safetensors")
    return str(folder)


def same_weights(one, other, names):
    one, other = one.head.state_dict(), other.head.state_dict()
    return all(torch.equal(one[name], other[name]) for name in names)


START = ("start.weight", "start.bias", "end.weight", "end.bias")


def test_heads_under_queries_go_on_whatever_the_labels(learner_of, tmp_path):
    first = make_span_identification()
    facts = {"labels": [ENTITY], "queries": {ENTITY: "x"}}
    learner = learner_of(first, facts, seed=5)
    head = write_head(tmp_path / "esi", first, learner, facts)
    carried = learner_of(make_gazetteer_extraction(head=head))
    assert same_weights(carried, learner, START)
    assert not same_weights(learner_of(make_gazetteer_extraction()), learner, START[:1])
    record = json.loads((tmp_path / "esi" / "head.json").read_text(encoding="utf8"))
    assert record == {
        "objective": "span_identification",
        "backbone": "query",
        "labels": [ENTITY],
        "queries": {ENTITY: "x"},
        "pooling": "first",
        "by_token": False,
        "max_pieces": 256,
        "overlap": 64,
    }


def test_tags_of_one_label_do_not_go_on(learner_of, tmp_path):
    """By design: the head of a tagger is replaced between the first stage and the second."""
    first = make_span_identification(backbone="tagger")
    facts = {"labels": [ENTITY], "queries": None}
    head = write_head(tmp_path / "esi", first, learner_of(first, facts, seed=5), facts)
    second = make_gazetteer_extraction(backbone="tagger", head=head)
    assert same_weights(
        learner_of(second),
        learner_of(make_gazetteer_extraction(backbone="tagger")),
        ["tags.weight"],
    )
    store = tmp_path / "a.parquet"
    write_parquet([characters("北京", (0, 2, "GPE"))], store)
    assert second.inspect([store])["labels"] == ["GPE"]
    again = make_span_identification(backbone="tagger", head=head)
    assert same_weights(learner_of(again, facts), learner_of(first, facts, seed=5), ["tags.weight"])


def test_labels_that_a_model_no_longer_picks_are_not_forgotten(learner_of, tmp_path):
    for backbone in BACKBONES:
        objective = make_gazetteer_extraction(backbone=backbone)
        learner = learner_of(objective, seed=5)
        head = write_head(tmp_path / backbone, objective, learner, FACTS[backbone])
        store = tmp_path / "a.parquet"
        write_parquet([characters("北京", (0, 2, "ORG"))], store)
        following = make_gazetteer_extraction(backbone=backbone, head=head)
        facts = following.inspect([store])
        assert facts["labels"] == ["GPE", "ORG"] and facts["mentions"] == {"ORG": 1}
        assert len(facts["head"]) == 64
        names = START if backbone == "query" else ("tags.weight", "tags.bias")
        assert same_weights(learner_of(following, facts), learner, names)
        write_parquet([characters("北京", (0, 2, "river"))], store)
        if backbone == "query":
            assert following.inspect([store])["labels"] == ["GPE", "ORG", "river"]
        else:
            with pytest.raises(ValueError, match=r"HE280.*GPE, ORG\).*river"):
                following.inspect([store])


def test_a_head_of_the_other_kind_or_size_is_told(learner_of, tmp_path):
    objective = make_gazetteer_extraction()
    folder = write_head(tmp_path / "query", objective, learner_of(objective), QUERIED)
    store = tmp_path / "a.parquet"
    write_parquet([characters("北京", (0, 2, "ORG"))], store)
    with pytest.raises(ValueError, match=r"HE298.*'query'.*'tagger'"):
        make_gazetteer_extraction(backbone="tagger", head=folder).inspect([store])
    with pytest.raises(ValueError, match="HE298"):
        make_gazetteer_extraction(head=str(tmp_path / "nothing")).inspect([store])
    small = ExtractionLearner(Scripted(numpy.zeros((2, 8))), make_head("query", 8, ["GPE", "ORG"]))
    folder = write_head(tmp_path / "small", objective, small, QUERIED)
    with pytest.raises(ValueError, match=r"HE281.*start\.weight"):
        learner_of(make_gazetteer_extraction(head=folder))


def test_the_layer_over_clusters_begins_anew_or_goes_on(cut_by, learner_of, tmp_path):
    """Check 8.2.10, trap C7: cluster numbers are permuted whenever spans are clustered anew.

    A carried layer fits where the numbers were matched to the earlier ones, and a new one owes
    nothing to them."""
    before = make_fine_typing(clusters=3, dropout=0.0)
    learner = learner_of(before, CLUSTERED, seed=5)
    head = write_head(tmp_path / "fet", before, learner, CLUSTERED)
    record = characters("篮协在北京大学", (0, 2, "ORG"), (3, 5, "GPE"), (5, 7, "GPE"))
    even = {**CLUSTERED, "cluster_weights": [1.0] * 3}

    def loss(learner, clusters):
        rows = cut_by(before, [clustered(record, *clusters)], even)
        learner.cluster_weights = torch.ones(3)
        return learner(before.collate(rows, RNG).tensors)[CLUSTERS].item()

    reset = make_fine_typing(clusters=3, dropout=0.0, head=head)
    match = make_fine_typing(clusters=3, dropout=0.0, head=head, cluster_head="match")
    fresh = learner_of(before, CLUSTERED)
    assert same_weights(learner_of(reset, CLUSTERED), learner, START)
    assert same_weights(learner_of(reset, CLUSTERED), fresh, ["clusters.weight", "clusters.bias"])
    assert same_weights(
        learner_of(match, CLUSTERED), learner, [*START, "clusters.weight", "clusters.bias"]
    )
    matched, permuted = [0, 1, 2], [1, 2, 0]
    assert loss(learner_of(match, CLUSTERED), matched) == pytest.approx(loss(learner, matched))
    assert loss(learner_of(reset, CLUSTERED), permuted) == pytest.approx(loss(fresh, permuted))
    assert loss(learner, matched) != pytest.approx(loss(learner, permuted))
    with pytest.raises(ValueError, match=r"HE285.* 3 .* 4"):
        learner_of(
            make_fine_typing(clusters=4, head=head, cluster_head="match"),
            {**CLUSTERED, "clusters": 4, "cluster_weights": [1.0] * 4},
        )


def test_a_head_without_clusters_goes_on_with_a_new_layer(learner_of, tmp_path):
    objective = make_gazetteer_extraction()
    learner = learner_of(objective, seed=5)
    head = write_head(tmp_path / "nee", objective, learner, QUERIED)
    typing = make_fine_typing(clusters=3, head=head, cluster_head="match")
    assert same_weights(learner_of(typing, CLUSTERED), learner, START)
    assert typing.head_record(CLUSTERED)["clusters"] == 3


# Settings and what the stores say


def test_what_the_stores_say(tmp_path):
    store = tmp_path / "a.parquet"
    records = [characters("北京", (0, 2, "GPE")), characters("上海", (0, 2, "ORG"), (0, 1, "GPE"))]
    write_parquet(records, store)
    mentions = {"GPE": 2, "ORG": 1}
    assert make_span_identification(queries="zh").inspect([store]) == {
        "labels": [ENTITY],
        "mentions": mentions,
        "queries": {ENTITY: "所有实体"},
        "head": None,
    }
    facts = make_gazetteer_extraction().inspect([store])
    assert facts["labels"] == ["GPE", "ORG"] and facts["queries"] == {"GPE": "GPE", "ORG": "ORG"}
    tagger = make_gazetteer_extraction(backbone="tagger", queries="zh")
    facts = tagger.inspect([store])
    assert facts["queries"] is None
    record = tagger.head_record(facts)
    assert record["scheme"] == "BMES" and record["tags"][:3] == ["O", "B-GPE", "M-GPE"]
    with pytest.warns(UserWarning, match="HW270.*ORG"):
        make_gazetteer_extraction(queries={"GPE": "南"}).inspect([store])
    with pytest.raises(ValueError, match=r"HE282.*a\.parquet"):
        make_fine_typing(clusters=2).inspect([store])
    write_parquet([characters("北京")], store)
    with pytest.raises(ValueError, match=r"HE260.*span_identification.*a\.parquet"):
        make_span_identification().inspect([store])


def test_weights_of_clusters_are_read_from_a_file(tmp_path):
    store, path = tmp_path / "a.parquet", tmp_path / "weights.json"
    write_parquet([clustered(characters("北京", (0, 2, "GPE")), 0)], store)
    assert make_fine_typing(clusters=2).inspect([store])["cluster_weights"] == [1.0, 1.0]
    objective = make_fine_typing(clusters=2, cluster_weights=str(path))
    path.write_text("[0.25, 0]", encoding="utf8")
    facts = objective.inspect([store])
    assert facts["cluster_weights"] == [0.25, 0.0] and facts["clusters"] == 2
    for wrong in ("[0.5]", "[0.5, -1]", "[0.5, NaN]", '{"a": 1}', "[[1], 2]", "nothing"):
        path.write_text(wrong, encoding="utf8")
        with pytest.raises(ValueError, match=r"HE284.*weights\.json"):
            objective.inspect([store])
    path.unlink()
    with pytest.raises(ValueError, match="HE284"):
        objective.inspect([store])


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"dropout": 2.0}, "HE002"),
        ({"max_pieces": 0}, "HE078"),
        ({"overlap": 256}, "HE032"),
        ({"backbone": "both"}, "HE004"),
    ],
)
@pytest.mark.parametrize("make", [make_span_identification, make_gazetteer_extraction])
def test_wrong_settings(make, wrong, code):
    with pytest.raises(ValueError, match=code):
        make(**wrong)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"clusters": 0}, "HE078"), ({"gamma": -1.0}, "HE002"), ({"cluster_head": "old"}, "HE004")],
)
def test_wrong_settings_of_fine_typing(wrong, code):
    with pytest.raises(ValueError, match=code):
        make_fine_typing(**{"clusters": 2, **wrong})


# Runs


GPES, ORGS = ("北京", "上海", "天门"), ("篮协", "大学", "长江")
WORDS = ("我在", "看", "的人", "立于")


def sentences(count, seed=0, clusters=False):
    """Sentences of names and words, no character of which is in both."""
    random = numpy.random.default_rng(seed)
    kinds = [(GPES, "GPE"), (ORGS, "ORG"), (WORDS, None), (WORDS, None)]
    for number in range(count):
        text, spans, ids = "", [], []
        for kind in random.integers(0, 4, random.integers(2, 6)):
            names, label = kinds[kind]
            name = str(random.choice(names))
            if label:
                spans.append((len(text), len(text) + len(name), label))
                ids.append(int(names.index(name) > 0))
            text += name
        record = characters(text, *spans, id=f"s{number}")
        yield clustered(record, *ids) if clusters else record


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    write_parquet(sentences(150), folder / "train.parquet")
    write_parquet(sentences(150, clusters=True), folder / "clustered.parquet")
    write_parquet(sentences(30, seed=1), folder / "dev.parquet")
    return folder


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_stages_go_on_from_each_other(run, corpus, character_encoder, tmp_path, backbone):
    """Check 8.2.13: one trainer, either backbone, with head and encoder of the stage before."""
    encoder, head = character_encoder, None
    stages = {
        "SpanIdentification": {},
        "GazetteerExtraction": {},
        "FineTyping": {"clusters": 2, "gamma": 0.1},
    }
    for name, more in stages.items():
        outcome = run(
            name,
            encoder=str(encoder),
            train=str(corpus / f"{'clustered' if more else 'train'}.parquet"),
            dev=str(corpus / "dev.parquet"),
            objective={
                "@misc": f"spacy_hetner.{name}.v1",
                "backbone": backbone,
                "by_token": True,
                "head": None if head is None else str(head),
                "queries": QUERIES,
                **more,
            },
            max_epochs=2 if more else 16,
            accumulate=1,
            changes={"optimizer.learn_rate": 0.01, "sampler.batch_pieces": 256},
        )
        encoder = head = outcome.encoder
        assert outcome.scores["f"] > 0.9, name
    lineage = json.loads((encoder / "stage.json").read_text(encoding="utf8"))
    names = []
    while "objective" in lineage:
        names.append(lineage["objective"]["name"])
        lineage = lineage["parent"]
    assert names == ["fine_typing", "gazetteer_extraction", "span_identification"]
    weights = load_file(encoder / "head.safetensors")
    record = json.loads((encoder / "head.json").read_text(encoding="utf8"))
    own = START if backbone == "query" else ("tags.weight", "tags.bias")
    assert set(weights) == {*own, "clusters.weight", "clusters.bias"} and record["clusters"] == 2
    assert record["backbone"] == backbone and record["labels"] == ["GPE", "ORG"]
    # The last one knows from its first step what the one before had learned.
    first = {name: read_log(tmp_path / name)[0]["losses"][SPANS] for name in stages}
    assert first["FineTyping"] < 0.1 * first["GazetteerExtraction"]
    last = read_log(tmp_path / "FineTyping")
    assert last[-1]["losses"][CLUSTERS] < last[0]["losses"][CLUSTERS]


def test_one_config_is_for_all_of_them(repo_root, character_encoder, corpus):
    paths = {"paths.encoder": str(character_encoder), "paths.train": str(corpus / "train.parquet")}
    name = repo_root / "configs" / "pretrain_spans.cfg"
    objective = resolve_settings(read_config(name, paths)).objective
    assert objective == make_span_identification(queries="zh", by_token=True)
    second = {"pretraining.objective.@misc": "spacy_hetner.GazetteerExtraction.v1"}
    objective = resolve_settings(
        read_config(name, {**paths, **second, "paths.head": "e"})
    ).objective
    assert objective == make_gazetteer_extraction(queries="zh", by_token=True, head="e")
    third = {
        "pretraining.objective.@misc": "spacy_hetner.FineTyping.v1",
        "pretraining.objective.clusters": 23,
    }
    objective = resolve_settings(read_config(name, {**paths, **third})).objective
    assert objective == make_fine_typing(queries="zh", by_token=True, clusters=23)


def test_the_records_of_a_run_are_not_changed(corpus):
    """The names of the corpus above are told apart by their characters."""
    assert not set("".join(GPES + ORGS)) & set("".join(WORDS))
    assert next(read_parquet(corpus / "clustered.parquet")).meta["clusters"]
