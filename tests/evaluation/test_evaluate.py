"""Evaluating a saved pipeline on files."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from thinc.util import has_gpu

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.evaluation.evaluate import evaluate_model
from spacy_hetner.types import LabelledSpan

PATTERNS = [
    {"label": "ORG", "pattern": "Bank of China"},
    {"label": "LOC", "pattern": "China"},
    {"label": "LOC", "pattern": "New York"},
]
SENTENCES = [
    (["The", "Bank", "of", "China", "left", "New", "York"], [(1, 4, "ORG"), (3, 4, "LOC")]),
    (["China", "hired", "Ann", "Lee"], [(0, 1, "LOC"), (2, 4, "PER")]),
    (["Nothing", "here"], []),
]
# Of three predicted in the first sentence two are gold, in the second one of one.
EXPECTED = {"predicted": 4, "correct": 3, "gold": 4, "found": 3, "p": 0.75, "r": 0.75, "f": 0.75}


@pytest.fixture
def model(tmp_path):
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("span_ruler", config={"spans_key": "entities"})
    ruler.add_patterns(PATTERNS)
    nlp.add_pipe("hetner_resolver", config={"policy": "outermost"})
    nlp.to_disk(tmp_path / "model")
    return tmp_path / "model"


def write_docs(path, key="entities", ents=False, words=None):
    vocab = spacy.blank("en").vocab
    docs = DocBin(store_user_data=True)
    for sentence, spans in SENTENCES:
        doc = Doc(vocab, words=sentence)
        gold = [Span(doc, *span) for span in spans]
        if key:
            doc.spans[key] = gold
        if ents:
            doc.set_ents(spacy.util.filter_spans(gold))
        docs.add(doc)
    docs.to_disk(path)
    return path


@pytest.fixture
def docbin(tmp_path):
    return write_docs(tmp_path / "test.spacy")


@pytest.fixture
def parquet(tmp_path):
    path = tmp_path / "test.parquet"
    write_parquet(
        (Record(words, [LabelledSpan(*span) for span in spans]) for words, spans in SENTENCES), path
    )
    return path


def test_scores_of_docs(model, docbin):
    report = evaluate_model(model, docbin)
    assert (report.documents, report.tokens) == (3, 13)
    assert report.to_dict()["spans"]["strict"] == EXPECTED
    assert report.to_dict()["spans"]["by_depth"]["2"]["found"] == 1
    assert report.candidates is None, "the pipeline writes none"
    assert report.ents is None, "the data has none"


def test_docs_and_records_score_the_same(model, docbin, parquet):
    one, other = evaluate_model(model, docbin), evaluate_model(model, parquet, batch_size=1)
    assert one.spans == other.spans
    # Records set the outermost gold spans as entities, and the resolver was told to do the same.
    assert other.to_dict()["ents"]["strict"]["found"] == 2
    assert other.to_dict()["ents"]["strict"]["gold"] == 3


def test_candidates_are_measured_against_the_same_gold(model, docbin):
    report = evaluate_model(model, docbin, candidates_key="entities").candidates
    assert (report.recall.confirmed, report.recall.total, report.candidates) == (3, 4, 4)
    assert report.per_token == 4 / 13


@pytest.mark.parametrize("kind", ["docbin", "parquet"])
def test_own_tokens(tmp_path, request, kind):
    """A tokenizer that cuts only at blanks glues the stop to the name: the span is missed."""
    nlp = spacy.blank("en")
    nlp.tokenizer = spacy.tokenizer.Tokenizer(nlp.vocab)
    ruler = nlp.add_pipe("span_ruler", config={"spans_key": "entities"})
    ruler.add_patterns(
        [{"label": "LOC", "pattern": "China."}, {"label": "LOC", "pattern": "China"}]
    )
    nlp.to_disk(tmp_path / "glued")
    words, spaces, spans = ["In", "China", "."], [True, False, False], [(1, 2, "LOC")]
    if kind == "docbin":
        doc = Doc(nlp.vocab, words=words, spaces=spaces)
        doc.spans["entities"] = [Span(doc, *span) for span in spans]
        path = tmp_path / "glued.spacy"
        DocBin(docs=[doc]).to_disk(path)
    else:
        path = tmp_path / "glued.parquet"
        write_parquet([Record(words, [LabelledSpan(*span) for span in spans], spaces)], path)
    gold_tokens = evaluate_model(tmp_path / "glued", path)
    assert gold_tokens.spans.strict.f == 1.0
    assert gold_tokens.spans.unreachable == 0
    own_tokens = evaluate_model(tmp_path / "glued", path, gold_tokens=False)
    assert own_tokens.spans.strict.precision.total == 1, "predicted, and wrong"
    assert own_tokens.spans.strict.f == 0.0
    assert own_tokens.spans.unreachable == 1


def test_only_flat_entities(model, tmp_path):
    path = write_docs(tmp_path / "flat.spacy", key=None, ents=True)
    report = evaluate_model(model, path)
    assert report.spans is None
    assert report.candidates is None
    assert report.to_dict()["ents"]["strict"]["gold"] == 3


def test_nothing_to_compare(model, tmp_path):
    path = write_docs(tmp_path / "other.spacy", key="sc")
    match = r"\[HE092\].*3 documents.*\[sc\], the pipeline writes \[entities\].*got 'entities'"
    with pytest.raises(ValueError, match=match):
        evaluate_model(model, path)
    with pytest.raises(ValueError, match=r"\[HE092\]"):
        evaluate_model(model, path, spans_key="sc")


def test_pipeline_that_does_not_load(tmp_path, docbin):
    with pytest.raises(ValueError, match=r"\[HE093\].*no-such-model.*E05[02]"):
        evaluate_model(tmp_path / "no-such-model", docbin)
    (tmp_path / "broken").mkdir()
    with pytest.raises(ValueError, match=r"\[HE093\].*broken"):
        evaluate_model(tmp_path / "broken", docbin)


def test_data_that_cannot_be_read(model, docbin, tmp_path):
    whole = docbin.read_bytes()
    cut = tmp_path / "cut.spacy"
    cut.write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text.spacy"
    text.write_text("no DocBin", encoding="utf8")
    table = tmp_path / "data.csv"
    table.write_text("a,b", encoding="utf8")
    for path, reason in (
        (cut, "cut.spacy"),
        (text, "text.spacy"),
        (table, "neither .spacy nor .parquet"),
        (tmp_path / "missing.parquet", "no such file"),
    ):
        with pytest.raises(ValueError, match=rf"\[HE094\].*{reason}"):
            evaluate_model(model, path)


@pytest.mark.skipif(has_gpu, reason="there is a GPU")
def test_missing_gpu(model, docbin):
    with pytest.raises(ValueError, match=r"\[HE095\] Cannot evaluate on GPU 3"):
        evaluate_model(model, docbin, gpu_id=3)
