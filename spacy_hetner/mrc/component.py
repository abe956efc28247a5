"""The component ``hetner_mrc_tagger``: asks of each sentence, label after label, what it has."""

import time
import warnings
from collections import Counter, defaultdict
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple, Union

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.util import logger
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate, xp2torch
from torch import Tensor

from ..errors import Errors, Warnings
from ..labels.gold import aligned_gold, initialization_gold
from ..labels.queries import load_queries
from ..spans.batch import sentence_bounds
from ..spans.groups import write_spans
from ..spans.pairing import above, flat_spans, nested_spans, span_scores
from ..spans.pipe import LabelledPipe
from ..torch_bridge import loss_and_gradients
from ..types import GoldSpans, ScoredSpans, SpanArray
from ..validation import check_choice, check_count, check_range
from .loss import boundary_loss, match_loss
from .model import (
    DocTexts,
    boundary_head,
    pair_encoder,
    pair_reader,
    read_docs,
    taught_head,
)
from .module import PairBatch, SpanLogits, yes_probabilities
from .questions import (
    NO_SPANS,
    Answer,
    Question,
    answer_of,
    count_spans,
    cut,
    gold_by_sentence,
    lost_in_flat,
    prediction_batch,
    prediction_batches,
    training_batch,
)

DECODINGS = ("flat", "nested")

_PIECES_AT_ONCE = 1 << 17
"""How much of a batch of docs is predicted in one pass of the model, which sorts it by length."""

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.QueryTagger.v1"
name = ""
window = 256
overlap = 64
by_token = false
precision = "fp32"
standardized = true
dropout = 0.1
match_width = 0
match_candidates = 256
carry_head = true
labels_together = false
min_density = 0.9
max_batch_pieces = 4096
"""
)["model"]


class LabelCost(NamedTuple):
    """What a label took: pairs of its query and a text, their pieces, and seconds.

    Batches have texts under several queries: their time is shared by pieces.
    """

    pairs: int
    pieces: int
    seconds: float


class Speed(NamedTuple):
    """What was predicted since the component was made; labels: the cost of each."""

    tokens: int
    seconds: float
    labels: Dict[str, LabelCost]

    @property
    def tokens_per_second(self) -> float:
        """0 before the first token."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def pieces(self) -> int:
        """How many the encoder read, those of queries and special ones included."""
        return sum(cost.pieces for cost in self.labels.values())

    def table(self) -> str:
        """The cost of each label, the dearest first: a line each."""
        width = max(map(len, ("label", *self.labels)))
        lines = [f"{'label':{width}} {'pairs':>10} {'pieces':>12} {'seconds':>9}"]
        for label, cost in sorted(self.labels.items(), key=lambda item: -item[1].pieces):
            lines.append(f"{label:{width}} {cost.pairs:10,} {cost.pieces:12,} {cost.seconds:9.2f}")
        return "\n".join(lines)


@Language.factory(
    "hetner_mrc_tagger",
    assigns=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": None,
        "queries": None,
        "decoding": "flat",
        "threshold": 0.5,
        "start_weight": 1.0,
        "end_weight": 1.0,
        "match_weight": 0.1,
        "batch_pieces": 8192,
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_query_tagger(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: Optional[str],
    queries: Union[str, Dict[str, str], None],
    decoding: str,
    threshold: float,
    start_weight: float,
    end_weight: float,
    match_weight: float,
    batch_pieces: int,
    scorer: Optional[Callable],
) -> "QueryTagger":
    """Build the query-based tagger; see ``QueryTagger`` for the settings."""
    return QueryTagger(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        queries=queries,
        decoding=decoding,
        threshold=threshold,
        start_weight=start_weight,
        end_weight=end_weight,
        match_weight=match_weight,
        batch_pieces=batch_pieces,
        scorer=scorer,
    )


class QueryTagger(LabelledPipe):
    """CoFEE's tagger: each sentence is read once under the query of every label, and the starts and
    ends of what the query seeks are paired to spans.

    Writes ``doc.spans[spans_key]`` in document order, with ``attrs["scores"]``, the probability of
    the start times that of the end. Each label is asked for alone, so spans of different labels may
    overlap, or be the same. Where a doc has sentence boundaries, spans stay within sentences.

    candidates_key: a group to write the same spans to without labels, as candidates for a span
        classifier, or None.
    queries: one text a label; or the name of queries of the package, or a file (see
        ``labels.queries``); None: those of the head that is carried on, or else the words of the
        labels. They are read when the pipeline is initialized, and saved with it.
    decoding: "flat": each start takes the nearest end, from left to right, so that spans of one
        label neither nest nor cross; "nested": all that the match head takes for spans.
    threshold: how probable a start, an end and a match have to be, at least: more than so much.
    start_weight, end_weight, match_weight: of the losses.
    batch_pieces: most pieces in one pass of training; more take several passes of one step.

    speed: what was predicted, how long it took, and the cost of each label; see ``Speed``.

    RAISES (ValueError): HE002, HE004, HE015, HE078, HE274 on settings that make no sense; HE274
        also from predict, where a head without a match head was loaded.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        spans_key: str,
        candidates_key: Optional[str],
        queries: Union[str, Dict[str, str], None],
        decoding: str,
        threshold: float,
        start_weight: float,
        end_weight: float,
        match_weight: float,
        batch_pieces: int,
        scorer: Optional[Callable],
    ) -> None:
        settings = {
            "spans_key": spans_key,
            "candidates_key": candidates_key,
            "queries": queries,
            "decoding": check_choice("decoding", decoding, DECODINGS),
            "threshold": check_range("threshold", threshold, 0, 1),
            "start_weight": check_range("start_weight", start_weight, 0, float("inf")),
            "end_weight": check_range("end_weight", end_weight, 0, float("inf")),
            "match_weight": check_range("match_weight", match_weight, 0, float("inf")),
            "batch_pieces": check_count("batch_pieces", batch_pieces, 1),
        }
        super().__init__(vocab, model, name, scorer, settings)
        self._check_decoding()
        self._warned_of_lost = False
        self.cfg["queries"] = {}
        self._tokens = 0
        self._pairs: Counter[str] = Counter()
        self._pieces: Counter[str] = Counter()
        self._seconds: Dict[str, float] = defaultdict(float)

    @property
    def queries(self) -> Dict[str, str]:
        """The query of each label."""
        return {label: self.cfg["queries"][label] for label in self.labels}

    @property
    def speed(self) -> Speed:
        """What was predicted since the component was made."""
        costs = {
            label: LabelCost(self._pairs[label], self._pieces[label], self._seconds[label])
            for label in self._pairs
        }
        return Speed(self._tokens, sum(self._seconds.values()), costs)

    def head_settings(self) -> Dict[str, Any]:
        """None: the same head answers all queries."""
        return {}

    def add_label(self, label: str) -> int:
        """Add a label with its query; see ``LabelledPipe``.

        RAISES (ValueError): HE270-HE272 for a query that cannot be used.
        """
        if label not in self.labels:
            found = load_queries(self.settings["queries"], [label])
            if pair_encoder(self.model).transformer is not None:
                pair_reader(self.model).read_query(found[label])
            self.cfg["queries"].update(found)
        return super().add_label(label)

    def predict(self, docs: Iterable[Doc]) -> List[ScoredSpans]:
        """Labelled spans of each doc, in document order, without modifying the docs."""
        docs = list(docs)
        if not self.labels or not any(len(doc) for doc in docs):
            return [_scored([]) for _ in docs]
        self._check_decoding()
        texts, questions = self._read(docs)
        found: List[List[Tuple[int, int, str, float]]] = [[] for _ in texts.pieces]
        for part in prediction_batches(questions, _PIECES_AT_ONCE):
            for question, spans, scores in self._answer(part):
                label = self.labels[question.label]
                for (start, end), score in zip(spans.tolist(), scores.tolist(), strict=True):
                    found[question.text].append((start, end, label, score))
        self._tokens += sum(map(len, docs))
        rest = iter(found)
        return [
            _scored(
                [
                    (start + first, end + first, label, score)
                    for first, _ in bounds.tolist()
                    for start, end, label, score in next(rest)
                ]
            )
            for bounds in texts.bounds
        ]

    def set_annotations(self, docs: Iterable[Doc], predictions: List[ScoredSpans]) -> None:
        """Write the spans to ``doc.spans``."""
        write_spans(docs, predictions, self.settings["spans_key"], self.settings["candidates_key"])

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Train on the gold spans, each sentence under all queries, those without an answer too.

        Tokens at the edge of a span that have no pieces are not learned to be in it; a span that
        has no others is lost, which is told once (HW301).

        RAISES (ValueError): HE007 for a gold label that the component does not have.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "QueryTagger.update")
        docs = [eg.predicted for eg in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        self.warn_of_missing_sentences(docs)
        gold = [aligned_gold(eg, self.settings["spans_key"]).gold for eg in examples]
        texts, questions = self._read(docs)
        spans = self._gold_of_texts(docs, gold, texts)
        windows = [(question, pair) for question in questions for pair in question.pairs]
        answers = [
            answer_of(pair, spans[question.text].get(self.labels[question.label], NO_SPANS))
            for question, pair in windows
        ]
        total = sum(len(part.starts) for part in answers)
        pieces = [len(pair.ids) for _, pair in windows]
        for part in cut(pieces, self.settings["batch_pieces"]):
            asked, pairs = zip(*windows[part], strict=True)
            texts_of = [question.text for question in asked]
            batch = training_batch(pairs, texts_of, answers[part])
            logits, backprop = self.model.begin_update(batch)
            value, d_logits = self.get_loss(answers[part], batch, logits)
            share = sum(len(answer.starts) for answer in answers[part]) / total
            backprop(SpanLogits(*(share * gradient for gradient in d_logits)))
            losses[self.name] += share * value
        if sgd is not None and windows:
            self.finish_update(sgd)
        return losses

    def get_loss(  # type: ignore[override]
        self, answers: List[Answer], batch: PairBatch, logits: SpanLogits
    ) -> Tuple[float, SpanLogits]:
        """L_start + L_end, a token, and L_match, a pair of tokens, each with its weight; and the
        gradient.

        answers: to the pairs of the batch; logits: what the model says of these.
        """
        starts = torch.from_numpy(numpy.concatenate([answer.starts for answer in answers]))
        ends = torch.from_numpy(numpy.concatenate([answer.ends for answer in answers]))
        gold = set(map(tuple, batch.gold.tolist()))
        pairs = self.model.ops.to_numpy(logits.pairs).tolist()
        matches = torch.tensor([tuple(pair) in gold for pair in pairs], dtype=torch.float32)
        weights = [self.settings[f"{name}_weight"] for name in ("start", "end", "match")]

        def loss(start: Tensor, end: Tensor, match: Tensor) -> Tensor:
            device = start.device
            return (
                weights[0] * boundary_loss(start, starts.to(device)) / len(starts)
                + weights[1] * boundary_loss(end, ends.to(device)) / len(ends)
                + weights[2] * match_loss(match, matches.to(device)) / max(len(matches), 1)
            )

        value, (start, end, match) = loss_and_gradients(
            loss, logits.start, logits.end, logits.match
        )
        return value, SpanLogits(start, end, logits.pairs, match)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
    ) -> None:
        """Learn the labels, read their queries and the encoder, and build the heads or go on with
        those that the encoder was taught with.

        Warns of labels without a query (HW270), and of gold spans that cannot be learned (HW001) or
        that the decoding cannot find (HW271).

        labels (List[str]): By default those of the examples' gold spans, or else those that the
            head was taught with. Labels added before stay.
        RAISES (ValueError): HE003 where there is no label at all; HE270-HE272 for queries that
            cannot be used; as ``build_query_model`` says for such an encoder.
        """
        validate_get_examples(get_examples, "QueryTagger.initialize")
        sample = initialization_gold(get_examples, self.settings["spans_key"], beyond=self._unfound)
        taught = taught_head(self.model)
        known, queries = [], self.settings["queries"]
        if taught is not None:
            logger.info("%s goes on with the head of %s", self.name, taught.folder)
            known = taught.labels
            queries = taught.record.get("queries") if queries is None else queries
        self.start_with((sample.labels or known) if labels is None else labels)
        self.cfg["queries"] = load_queries(queries, self.labels)
        if sample.beyond:
            message = Warnings.HW271.format(lost=sample.beyond, total=sample.total, name=self.name)
            warnings.warn(message, stacklevel=2)
        self.expect_sentences(nlp)
        self._warned_of_lost = False
        self.model.initialize()
        reader = pair_reader(self.model)
        for query in self.queries.values():
            reader.read_query(query)

    def _read(self, docs: List[Doc]) -> Tuple[DocTexts, List[Question]]:
        """The texts of docs, and each under the query of every label, text after text."""
        reader = pair_reader(self.model)
        texts = read_docs(reader, docs)
        queries = [reader.read_query(query) for query in self.queries.values()]
        questions = [
            Question(i, label, reader.pairs(query, text))
            for i, text in enumerate(texts.pieces)
            for label, query in enumerate(queries)
        ]
        return texts, [question for question in questions if question.pairs]

    def _answer(
        self, questions: List[Question]
    ) -> Iterator[Tuple[Question, SpanArray, numpy.ndarray]]:
        """The spans of each question, int64 (n, 2), tokens of its text, and their scores (n,)."""
        began = time.perf_counter()
        logits = self.model.predict(prediction_batch(questions, self.settings["threshold"]))
        p_start, p_end = (yes_probabilities(xp2torch(part)) for part in logits[:2])
        matches = self.model.ops.to_numpy(logits.pairs)[self._matching(logits)]
        self._count(questions, time.perf_counter() - began)
        first = 0
        for question in questions:
            tokens = question.tokens
            rows = slice(first, first + len(tokens))
            own = slice(*numpy.searchsorted(matches[:, 0], (rows.start, rows.stop)))
            match = matches[own] - first + numpy.array([0, 1])
            spans = self._decode(p_start[rows], p_end[rows], match)
            scores = span_scores(p_start[rows], p_end[rows], spans)
            found = numpy.stack((tokens[spans[:, 0]], tokens[spans[:, 1] - 1] + 1), axis=1)
            yield question, found, scores
            first = rows.stop

    def _decode(self, p_start: numpy.ndarray, p_end: numpy.ndarray, match: SpanArray) -> SpanArray:
        """The spans of one text and label; match: what the match head takes for spans."""
        starts, ends = (above(part, self.settings["threshold"]) for part in (p_start, p_end))
        if self.settings["decoding"] == "nested":
            return nested_spans(starts, ends, match)
        return flat_spans(starts, ends)

    def _matching(self, logits: SpanLogits) -> numpy.ndarray:
        """Which of the judged pairs are taken for spans: bool (p,)."""
        return xp2torch(logits.match).sigmoid().cpu().numpy() > self.settings["threshold"]

    def _count(self, questions: List[Question], seconds: float) -> None:
        """Note what questions cost, by label."""
        pieces: Counter[str] = Counter()
        for question in questions:
            label = self.labels[question.label]
            self._pairs[label] += len(question.pairs)
            pieces[label] += question.pieces
        self._pieces.update(pieces)
        total = sum(pieces.values())
        for label, own in pieces.items():
            self._seconds[label] += seconds * own / total

    def _gold_of_texts(
        self, docs: List[Doc], gold: List[GoldSpans], texts: DocTexts
    ) -> List[Dict[str, SpanArray]]:
        """The gold spans of each text by label, in tokens that have pieces; RAISES (ValueError):
        HE007."""
        for label in {label for part in gold for label in part.labels}:
            self.check_label(label)
        found: List[Dict[str, SpanArray]] = []
        for doc, part, bounds in zip(docs, gold, texts.bounds, strict=True):
            own = gold_by_sentence(part, bounds)
            self.warn_of_crossing(doc, len(part.labels) - count_spans(own))
            found += own
        narrow = [
            {label: text.narrow(spans) for label, spans in own.items()}
            for text, own in zip(texts.pieces, found, strict=True)
        ]
        self._warn_of_lost(count_spans(found) - count_spans(narrow))
        return narrow

    def _warn_of_lost(self, lost: int) -> None:
        """Say once (HW301) that gold spans have no pieces."""
        if lost and not self._warned_of_lost:
            self._warned_of_lost = True
            warnings.warn(Warnings.HW301.format(n=lost, name=self.name), stacklevel=4)

    def _check_decoding(self) -> None:
        """RAISES (ValueError): HE274 where nested spans are to be found without a match head."""
        if self.settings["decoding"] == "nested" and boundary_head(self.model).match is None:
            raise ValueError(Errors.HE274.format(name=self.name))

    def _unfound(self, doc: Doc, gold: GoldSpans) -> int:
        """How many gold spans within sentences the decoding cannot give, were all else right."""
        if self.settings["decoding"] == "nested":
            return 0
        by_text = gold_by_sentence(gold, sentence_bounds(doc))
        return sum(lost_in_flat(spans) for by_label in by_text for spans in by_label.values())


def _scored(found: List[Tuple[int, int, str, float]]) -> ScoredSpans:
    """Starts, ends, labels and scores, in document order."""
    found = sorted(found, key=lambda span: (span[0], -span[1], span[2]))
    spans = numpy.array([span[:2] for span in found], dtype="int64").reshape(-1, 2)
    scores = numpy.array([score for *_, score in found], dtype="float32")
    return ScoredSpans(spans, [label for _, _, label, _ in found], scores)
