"""The component that writes what proposers find."""

import pickle

import numpy
import pytest
import spacy
from spacy.tokens import Span, SpanGroup
from spacy.training import Example
from util import group_of, make_doc, scores_of

from spacy_hetner.candidates.component import CandidatePipe

CONFIG = """
[nlp]
lang = "en"
pipeline = ["sentencizer", "candidates"]

[components]

[components.sentencizer]
factory = "sentencizer"

[components.candidates]
factory = "hetner_candidates"
candidates_key = "found"

[components.candidates.proposers]

[components.candidates.proposers.short]
@misc = "spacy_hetner.NgramCandidates.v1"
lengths = [1]

[components.candidates.proposers.others]
@misc = "spacy_hetner.SpanGroupCandidates.v1"
spans_key = null
"""

TEXTS = ["One two. Three!", "", "a", "Four five six."]


def ngrams(*lengths):
    return {"@misc": "spacy_hetner.NgramCandidates.v1", "lengths": list(lengths)}


def add(nlp, proposers=None, **settings):
    proposers = {"ngrams": ngrams(1)} if proposers is None else proposers
    return nlp.add_pipe("hetner_candidates", config={"proposers": proposers, **settings})


def offsets(doc, key="candidates"):
    return [(start, end) for start, end, _ in group_of(doc, key)]


def test_union_with_scores_of_1(nlp):
    add(nlp, {"one": ngrams(2), "two": ngrams(1, 2)})
    doc = nlp("a b c")
    assert offsets(doc) == [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    assert scores_of(doc, "candidates").tolist() == [1] * 5
    assert all(span.label == 0 for span in doc.spans["candidates"])


def test_from_config_and_round_trips(tmp_path):
    config = spacy.util.load_config_from_str(CONFIG)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nlp.to_disk(tmp_path / "model")
    loaded = spacy.load(tmp_path / "model")
    as_bytes = spacy.util.load_model_from_config(config, auto_fill=True)
    as_bytes.from_bytes(nlp.to_bytes())
    expected = [offsets(nlp(text), "found") for text in TEXTS]
    assert expected[0] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    for pipeline in (loaded, as_bytes):
        assert [offsets(pipeline(text), "found") for text in TEXTS] == expected
        assert pipeline.config["components"] == nlp.config["components"]


def test_pipe_equals_call_whatever_the_batch(nlp):
    nlp.add_pipe("sentencizer")
    add(nlp, {"ngrams": ngrams(1, 2, 3)})
    called = [offsets(nlp(text)) for text in TEXTS]
    assert (2, 4) not in called[0] and called[1] == [] and called[2] == [(0, 1)]
    for batch_size in (1, 3, 100):
        assert [offsets(doc) for doc in nlp.pipe(TEXTS, batch_size=batch_size)] == called


def test_empty_docs_have_an_empty_group(nlp):
    add(nlp)
    assert scores_of(nlp(""), "candidates").shape == (0,)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_another_proposer_wrote(nlp, overwrite):
    """It keeps its score, label and id, or goes."""
    pipe = add(nlp, overwrite=overwrite)
    doc = make_doc(nlp, ["a", "b", "c"])
    spans = [Span(doc, 1, 3, label="X", span_id="kept"), Span(doc, 0, 1), Span(doc, 0, 1, label=7)]
    scores = numpy.array([0.5, 0.25, 0.75], dtype="float32")
    attrs = {"scores": scores, "by": "hand"}
    doc.spans["candidates"] = SpanGroup(doc, name="candidates", spans=spans, attrs=attrs)
    group = pipe(doc).spans["candidates"]
    if overwrite:
        assert offsets(doc) == [(0, 1), (1, 2), (2, 3)]
        assert scores_of(doc, "candidates").tolist() == [1, 1, 1]
        return
    assert offsets(doc) == [(0, 1), (0, 1), (1, 2), (1, 3), (2, 3)]
    assert scores_of(doc, "candidates").tolist() == [0.25, 0.75, 1, 0.5, 1]
    assert [span.label for span in group][:2] == [0, 7]
    assert (group[3].label_, group[3].id_) == ("X", "kept")
    assert group.attrs["by"] == "hand"


def test_twice_is_once(nlp):
    pipe = add(nlp)
    doc = pipe(pipe(make_doc(nlp, ["a", "b"])))
    assert offsets(doc) == [(0, 1), (1, 2)]


def test_two_components_join(nlp):
    add(nlp)
    config = {"proposers": {"pairs": ngrams(2)}}
    nlp.add_pipe("hetner_candidates", name="second", config=config)
    assert offsets(nlp("a b")) == [(0, 1), (0, 2), (1, 2)]


def test_a_group_without_scores_counts_as_1(nlp):
    pipe = add(nlp)
    doc = make_doc(nlp, ["a", "b"], [(0, 2, "")], key="candidates")
    assert scores_of(pipe(doc), "candidates").tolist() == [1, 1, 1]


def test_scores_that_do_not_fit_leave_all_docs_alone(nlp):
    pipe = add(nlp)
    good, bad = make_doc(nlp, ["a"]), make_doc(nlp, ["a"], [(0, 1, "")], key="candidates")
    bad.spans["candidates"].attrs["scores"] = numpy.zeros(2, "float32")
    with pytest.raises(ValueError, match=r"\[HE090\].*'candidates' holds 1 spans .* 2 values"):
        list(pipe.pipe([good, bad]))
    assert "candidates" not in good.spans


def test_no_proposer(nlp):
    nlp.add_pipe("hetner_candidates")
    with pytest.raises(ValueError, match=r"\[HE170\].*\[components.hetner_candidates.proposers"):
        nlp("a")


def test_a_proposer_of_ones_own(nlp):
    pipe = CandidatePipe("own", {"all": lambda docs: [[(0, len(doc))] for doc in docs]})
    assert offsets(pipe(make_doc(nlp, ["a", "b"]))) == [(0, 2)]
    with pytest.raises(ValueError, match=r"\[HE176\] The proposer 'all'.*empty"):
        pipe(make_doc(nlp, []))


def test_errors_go_to_the_handler(nlp):
    pipe = add(nlp, {"chunks": {"@misc": "spacy_hetner.NounChunkCandidates.v1"}})
    failed = []
    pipe.set_error_handler(lambda name, proc, docs, error: failed.append((name, len(docs), error)))
    docs = [make_doc(nlp, []), make_doc(nlp, ["a"]), make_doc(nlp, [])]
    assert [len(doc) for doc in pipe.pipe(docs, batch_size=1)] == [0, 0]
    assert failed[0][:2] == ("hetner_candidates", 1) and "[HE172]" in str(failed[0][2])


def test_recall_and_cost(nlp):
    add(nlp, {"pairs": ngrams(2)}, candidates_key="pairs")
    gold = [(0, 2, "A"), (1, 2, "B")]
    examples = [Example(nlp.make_doc("a b c"), make_doc(nlp, ["a", "b", "c"], gold))]
    scores = nlp.evaluate(examples)
    assert scores["pairs_recall"] == 0.5
    assert scores["pairs_per_gold"] == 1
    assert scores["pairs_per_token"] == pytest.approx(2 / 3)


def test_gold_in_another_group(nlp):
    scorer = {"@scorers": "spacy_hetner.candidates_scorer.v1", "gold_key": "gold"}
    add(nlp, scorer=scorer)
    reference = make_doc(nlp, ["a", "b"], [(0, 1, "A")], key="gold")
    assert nlp.evaluate([Example(nlp.make_doc("a b"), reference)])["candidates_recall"] == 1


def test_can_be_sent_to_another_process(nlp):
    """As nlp.pipe does with n_process where processes are not forked."""
    chunks = {"@misc": "spacy_hetner.NounChunkCandidates.v1"}
    pipe = add(nlp, {"ngrams": ngrams(1), "chunks": chunks})
    assert set(pickle.loads(pickle.dumps(pipe)).proposers) == {"ngrams", "chunks"}


def test_initialize_without_anything_to_read(nlp):
    add(nlp)
    nlp.initialize()
    assert offsets(nlp("a")) == [(0, 1)]


def test_wrong_settings_in_a_config(nlp):
    with pytest.raises(ValueError, match=r"\[HE001\] Seed lengths"):
        add(nlp, {"ngrams": ngrams(0)})


def test_a_proposer_without_a_function(nlp):
    with pytest.raises(ValueError, match=r"\[HE178\] The proposer 'ngrams'.*'lengths': \[1\]"):
        add(nlp, {"ngrams": {"lengths": [1]}})
