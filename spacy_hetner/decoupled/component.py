"""The component ``hetner_decoupled_scorer``: labels candidates by their words and their context."""

import time
import warnings
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate
from torch import Tensor

from ..candidates.near_miss import near_misses
from ..errors import Errors, Warnings
from ..labels.gold import aligned_gold, initialization_gold
from ..spans.batch import sentence_bounds, softmax
from ..spans.groups import group_scores, group_spans, make_span_group
from ..spans.pipe import LabelledPipe
from ..spans.soft_nms import best_per_span
from ..torch_bridge import loss_and_gradients
from ..types import SpanArray
from ..validation import check_count, check_range
from .loss import decoupled_loss
from .model import row_encoder
from .module import Logits

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.DecoupledScorer.v1"
name = ""
shared = true
context_name = null
window = 256
by_token = false
precision = "fp32"
standardized = true
dropout = 0.5
min_density = 0.9
max_batch_pieces = 4096
cache_size = 10000
"""
)["model"]


class DecoupledSpans(NamedTuple):
    """Labelled spans of one doc, and how sure of the label each classifier is.

    spans: int64 ``(n, 2)``; labels: ``n`` strings; scores: the global classifier's probability,
    mention_scores, context_scores: those of the two that see only one part; float32 ``(n,)``.
    """

    spans: SpanArray
    labels: List[str]
    scores: numpy.ndarray
    mention_scores: numpy.ndarray
    context_scores: numpy.ndarray


class Speed(NamedTuple):
    """What was predicted since the component was made.

    mentions: how many were asked for, counting equal ones of a batch once; hits: how many of these
    were known from earlier batches.
    """

    candidates: int
    mentions: int
    hits: int
    seconds: float

    @property
    def candidates_per_second(self) -> float:
        """0 before the first candidate."""
        return self.candidates / self.seconds if self.seconds else 0.0

    @property
    def hit_share(self) -> float:
        """The share of mentions that were known; 0 before the first."""
        return self.hits / self.mentions if self.mentions else 0.0


class Regions(NamedTuple):
    """Spans of a doc to train on, int64 (n, 2), and the outputs they should have, int64 (n,)."""

    spans: SpanArray
    targets: numpy.ndarray


NO_SPANS = DecoupledSpans(
    numpy.zeros((0, 2), dtype="int64"), [], *(numpy.zeros(0, dtype="float32") for _ in range(3))
)


@Language.factory(
    "hetner_decoupled_scorer",
    assigns=["doc.spans"],
    requires=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": "candidates",
        "alpha": 0.5,
        "beta": 0.5,
        "max_edit_distance": 1,
        "negative_ratio": 10.0,
        "min_negatives": 2,
        "batch_regions": 128,
        "candidate_budget": None,
        "seed": 0,
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_decoupled_scorer(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: str,
    alpha: float,
    beta: float,
    max_edit_distance: Optional[int],
    negative_ratio: float,
    min_negatives: int,
    batch_regions: int,
    candidate_budget: Optional[int],
    seed: int,
    scorer: Optional[Callable],
) -> "DecoupledScorer":
    """Build the decoupled scorer; see ``DecoupledScorer`` for the settings."""
    return DecoupledScorer(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        alpha=alpha,
        beta=beta,
        max_edit_distance=max_edit_distance,
        negative_ratio=negative_ratio,
        min_negatives=min_negatives,
        batch_regions=batch_regions,
        candidate_budget=candidate_budget,
        seed=seed,
        scorer=scorer,
    )


class DecoupledScorer(LabelledPipe):
    """Decoupled NER: a label for each candidate, by what it is called and by where it stands.

    Reads ``doc.spans[candidates_key]``, whoever wrote it, and writes ``doc.spans[spans_key]``: the
    candidates that get a label, in document order, which may nest and cross, with
    ``attrs["scores"]``. ``attrs["mention_scores"]`` and ``attrs["context_scores"]`` say how
    probable the same label is to a classifier that sees the words alone, or the context alone.

    In training it learns from all gold spans and from a sample of those candidates and near misses
    of gold spans that are none, so the component that writes the candidates must be among
    ``training.annotating_components``.

    alpha, beta: weights of the losses of the mention and of the context classifier.
    max_edit_distance: regions of the same sentence that differ from a gold span by so many tokens
        inserted, left out or changed are negatives; None for none.
    negative_ratio, min_negatives: at most so many negatives for each gold span of a sentence, but
        so many in a sentence at least.
    batch_regions: most regions in one pass of training; more take several passes of one step.
    candidate_budget: score only so many candidates of a doc, the best by the scores of their group
        (ties: the first in the doc); None for all. How many were left out is told once (HW250) and
        counted in ``over_budget``.
    seed: of the draw of negatives.

    speed: candidates, mentions, and how long prediction took; see ``Speed``.

    RAISES (ValueError): HE002, HE015, HE078 on settings that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        spans_key: str,
        candidates_key: str,
        alpha: float,
        beta: float,
        max_edit_distance: Optional[int],
        negative_ratio: float,
        min_negatives: int,
        batch_regions: int,
        candidate_budget: Optional[int],
        seed: int,
        scorer: Optional[Callable],
    ) -> None:
        settings = {
            "spans_key": spans_key,
            "candidates_key": candidates_key,
            "alpha": check_range("alpha", alpha, 0, 1),
            "beta": check_range("beta", beta, 0, 1),
            "max_edit_distance": None
            if max_edit_distance is None
            else check_count("max_edit_distance", max_edit_distance, 0),
            "negative_ratio": check_range("negative_ratio", negative_ratio, 0, float("inf")),
            "min_negatives": check_count("min_negatives", min_negatives, 0),
            "batch_regions": check_count("batch_regions", batch_regions, 1),
            "candidate_budget": None
            if candidate_budget is None
            else check_count("candidate_budget", candidate_budget, 1),
        }
        super().__init__(vocab, model, name, scorer, settings)
        self.seed = seed
        self.rng = numpy.random.default_rng(seed)
        self.over_budget = 0
        self._candidates = 0
        self._seconds = 0.0

    @property
    def speed(self) -> Speed:
        """What was predicted since the component was made."""
        cache = row_encoder(self.model, "mention").cache
        return Speed(self._candidates, cache.asked, cache.hits, self._seconds)

    def head_settings(self) -> Dict[str, Any]:
        """The number of labels, which come after none."""
        return {"n_labels": len(self.labels)}

    def predict(self, docs: Iterable[Doc]) -> List[DecoupledSpans]:
        """Labelled spans of each doc, in document order, without modifying the docs."""
        docs = list(docs)
        candidates = self._read_candidates(docs)
        lengths = [len(spans) for spans in candidates]
        if not sum(lengths) or not self.labels:
            return [NO_SPANS] * len(docs)
        began = time.perf_counter()
        logits = self.model.predict((docs, candidates))
        probabilities = [softmax(self.model.ops.to_numpy(part)) for part in logits]
        self._seconds += time.perf_counter() - began
        self._candidates += sum(lengths)
        ends = numpy.cumsum(lengths)[:-1]
        parts = zip(*(numpy.split(part, ends) for part in probabilities), strict=True)
        return [self._decode(*pair) for pair in zip(candidates, parts, strict=True)]

    def set_annotations(self, docs: Iterable[Doc], predictions: List[DecoupledSpans]) -> None:
        """Write the labelled spans to ``doc.spans``."""
        key = self.settings["spans_key"]
        for doc, found in zip(docs, predictions, strict=True):
            group = make_span_group(doc, key, found.spans, found.scores, found.labels)
            group.attrs["mention_scores"] = found.mention_scores
            group.attrs["context_scores"] = found.context_scores
            doc.spans[key] = group

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Train on gold spans and on negatives found on the docs.

        RAISES (ValueError): HE007 for a gold label that the component does not have, HE009 where
            nobody proposed candidates.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "DecoupledScorer.update")
        docs = [eg.predicted for eg in examples]
        regions = [self._training_regions(eg) for eg in examples]
        total = sum(len(part.targets) for part in regions)
        if not total:
            return losses
        set_dropout_rate(self.model, drop)
        self.warn_of_missing_sentences(docs)
        for spans, targets in self._passes(regions):
            logits, backprop = self.model.begin_update((docs, spans))
            value, d_logits = self.get_loss(targets, logits)
            share = len(targets) / total
            backprop(Logits(*(share * part for part in d_logits)))
            losses[self.name] += share * value
        if sgd is not None:
            self.finish_update(sgd)
        return losses

    def get_loss(  # type: ignore[override]
        self, targets: numpy.ndarray, logits: Logits
    ) -> Tuple[float, Logits]:
        """Mean loss over regions, and its gradient.

        targets: the outputs they should have, int64 (n,); logits: (n, n_labels + 1) each.
        """
        labels = torch.from_numpy(targets)
        alpha, beta = self.settings["alpha"], self.settings["beta"]

        def loss(both: Tensor, mention: Tensor, context: Tensor) -> Tensor:
            wanted = labels.to(both.device)
            return decoupled_loss(both, mention, context, wanted, alpha=alpha, beta=beta).mean()

        value, gradients = loss_and_gradients(loss, *logits)
        return value, Logits(*gradients)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
    ) -> None:
        """Learn the labels, read the encoder and build the classifiers.

        labels (List[str]): By default those of the examples' gold spans. Labels added before stay.
        RAISES (ValueError): HE003 where there is no label at all; as ``build_decoupled_model`` says
            for an encoder that cannot be used.
        """
        validate_get_examples(get_examples, "DecoupledScorer.initialize")
        sample = initialization_gold(get_examples, self.settings["spans_key"])
        self.start_with(sample.labels if labels is None else labels)
        self.expect_sentences(nlp)
        self.rng = numpy.random.default_rng(self.seed)
        self.model.initialize(X=sample.docs)

    def _read_candidates(self, docs: List[Doc]) -> List[SpanArray]:
        """The candidates of each doc, within the budget, each once and in document order."""
        budget = self.settings["candidate_budget"]
        found = [_best_candidates(doc, self.settings["candidates_key"], budget) for doc in docs]
        lost, total = sum(beyond for _, beyond in found), sum(len(spans) for spans, _ in found)
        if lost and not self.over_budget:
            message = Warnings.HW250.format(
                name=self.name, lost=lost, total=lost + total, budget=budget
            )
            warnings.warn(message, stacklevel=3)
        self.over_budget += lost
        return [spans for spans, _ in found]

    def _decode(self, spans: SpanArray, probabilities: Tuple[numpy.ndarray, ...]) -> DecoupledSpans:
        """What the global classifier takes for an entity, with the scores of all three."""
        best = probabilities[0].argmax(axis=1)
        found = numpy.flatnonzero(best)
        found = found[numpy.lexsort((-spans[found, 1], spans[found, 0]))]
        scores = (part[found, best[found]] for part in probabilities)
        return DecoupledSpans(spans[found], [self.labels[i - 1] for i in best[found]], *scores)

    def _training_regions(self, example: Example) -> Regions:
        """Gold spans and a sample of negatives; RAISES (ValueError): HE007, HE009."""
        doc, key = example.predicted, self.settings["candidates_key"]
        if len(doc) and key not in doc.spans:
            raise ValueError(Errors.HE009.format(name=self.name, text=doc.text[:40], key=key))
        gold = aligned_gold(example, self.settings["spans_key"]).gold
        for label in set(gold.labels):
            self.check_label(label)
        pool = [group_spans(doc, key)]
        if self.settings["max_edit_distance"] is not None:
            distance = self.settings["max_edit_distance"]
            pool.append(near_misses(doc, gold.spans, max_distance=distance))
        negatives = self._sample(doc, numpy.concatenate(pool), gold.spans)
        targets = numpy.zeros(len(gold.spans) + len(negatives), dtype="int64")
        targets[: len(gold.spans)] = [self.labels.index(label) + 1 for label in gold.labels]
        return Regions(numpy.concatenate((gold.spans, negatives)), targets)

    def _sample(self, doc: Doc, pool: SpanArray, gold: SpanArray) -> SpanArray:
        """Spans of the pool that are not gold, each once: so many a sentence, drawn at random."""
        known = set(map(tuple, gold.tolist()))
        pool = numpy.array(sorted(set(map(tuple, pool.tolist())) - known), dtype="int64")
        pool = pool.reshape(-1, 2)
        starts = sentence_bounds(doc)[:, 0]
        sentence_of, gold_sentence = (
            numpy.searchsorted(starts, spans[:, 0], side="right") for spans in (pool, gold)
        )
        drawn = [numpy.zeros(0, dtype="int64")]
        for sentence in numpy.unique(sentence_of).tolist():
            inside = numpy.flatnonzero(sentence_of == sentence)
            positives = int((gold_sentence == sentence).sum())
            ratio, least = self.settings["negative_ratio"], self.settings["min_negatives"]
            wanted = int(min(max(ratio * positives, least), len(inside)))
            drawn.append(numpy.sort(self.rng.choice(inside, size=wanted, replace=False)))
        return pool[numpy.concatenate(drawn)]

    def _passes(self, regions: List[Regions]) -> Iterator[Tuple[List[SpanArray], numpy.ndarray]]:
        """The spans of each doc, and all targets, for one pass after the other."""
        lengths = [len(part.targets) for part in regions]
        doc_of = numpy.repeat(numpy.arange(len(regions)), lengths)
        spans = numpy.concatenate([part.spans for part in regions])
        targets = numpy.concatenate([part.targets for part in regions])
        for start in range(0, len(targets), self.settings["batch_regions"]):
            rows = slice(start, start + self.settings["batch_regions"])
            cuts = numpy.searchsorted(doc_of[rows], numpy.arange(1, len(regions)))
            yield numpy.split(spans[rows], cuts), targets[rows]


def _best_candidates(doc: Doc, key: str, budget: Optional[int]) -> Tuple[SpanArray, int]:
    """A group's distinct spans that have tokens, (n, 2), in document order, and how many more there
    are than the budget."""
    if key not in doc.spans:
        return group_spans(doc, key), 0
    group = doc.spans[key]
    spans = numpy.array([(s.start, s.end) for s in group], dtype="int64").reshape(-1, 2)
    scores = group_scores(group)
    filled = numpy.flatnonzero(spans[:, 0] < spans[:, 1])
    kept = filled[best_per_span(spans[filled], scores[filled])]
    kept = kept[numpy.lexsort((spans[kept, 1], spans[kept, 0]))]
    within = kept
    if budget is not None:
        within = kept[numpy.sort(numpy.argsort(-scores[kept], kind="stable")[:budget])]
    return spans[within], len(kept) - len(within)
