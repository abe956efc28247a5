"""The component ``hetner_span_proposer``: writes candidate spans on the Doc."""

from functools import lru_cache
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Literal,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate

from ..errors import Errors
from ..labels.gold import aligned_gold, initialization_gold
from ..spans.adjust import ILLEGAL_POLICIES, adjust_spans
from ..spans.assign import SeedTargets, assign_seeds, sample_seeds, soft_weights, with_pairs
from ..spans.batch import (
    SpanBatch,
    concatenate_spans,
    resize_head,
    sentence_bounds,
    split_by_doc,
)
from ..spans.groups import make_span_group
from ..spans.handover import hand_over
from ..spans.pipe import SpanPipe
from ..spans.seeds import check_lengths, enumerate_seeds
from ..spans.soft_nms import best_per_span
from ..torch_bridge import loss_and_gradients
from ..types import GoldSpans, SpanArray
from ..validation import check_choice, check_range
from .loss import focal_loss, regression_loss
from .model import propose

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.SpanProposer.v1"
hidden_width = null
filter_width = null
dropout = 0.5
outer_boundary = "sentinel"
width = null

[model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 384
upstream = "*"
"""
)["model"]

LONGEST_CACHED = 256
"""Seeds of texts up to so many tokens are kept and used again."""


@Language.factory(
    "hetner_span_proposer",
    assigns=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": "candidates",
        "lengths": [1, 2, 3, 4, 5, 7, 9, 11, 13, 15],
        "eval_lengths": "same",
        "clip_at_end": False,
        "positive_iou": 0.7,
        "add_gold": True,
        "negative_ratio": 5.0,
        "extra_negatives": 2,
        "filter_threshold": 1 / 6,
        "illegal": "clamp",
        "use_filter": True,
        "use_regressor": True,
        "eta": 1.0,
        "gamma": 2.0,
        "weight_regression": False,
        "filter_weight": 1.0,
        "regressor_weight": 0.1,
        "seed": 0,
        "scorer": {"@scorers": "spacy_hetner.candidates_scorer.v1"},
    },
    default_score_weights={"candidates_recall": 0.0, "candidates_per_gold": None},
)
def make_span_proposer(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: str,
    lengths: List[int],
    eval_lengths: Literal["same", "all"],
    clip_at_end: bool,
    positive_iou: float,
    add_gold: bool,
    negative_ratio: float,
    extra_negatives: int,
    filter_threshold: float,
    illegal: Literal["clamp", "revert"],
    use_filter: bool,
    use_regressor: bool,
    eta: float,
    gamma: float,
    weight_regression: bool,
    filter_weight: float,
    regressor_weight: float,
    seed: int,
    scorer: Optional[Callable],
) -> "SpanProposer":
    """Build the trained proposer; see ``SpanProposer`` for the settings."""
    return SpanProposer(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        lengths=lengths,
        eval_lengths=eval_lengths,
        clip_at_end=clip_at_end,
        positive_iou=positive_iou,
        add_gold=add_gold,
        negative_ratio=negative_ratio,
        extra_negatives=extra_negatives,
        filter_threshold=filter_threshold,
        illegal=illegal,
        use_filter=use_filter,
        use_regressor=use_regressor,
        eta=eta,
        gamma=gamma,
        weight_regression=weight_regression,
        filter_weight=filter_weight,
        regressor_weight=regressor_weight,
        seed=seed,
        scorer=scorer,
    )


class Candidates(NamedTuple):
    """Candidates of one document: int64 spans (n, 2) and float32 filter probabilities (n,)."""

    spans: SpanArray
    scores: numpy.ndarray


class Seeds(NamedTuple):
    """Seeds of one document: spans and the sentence of each, both int64 (n, 2)."""

    spans: SpanArray
    bounds: SpanArray


class SpanProposer(SpanPipe):
    """Locate and Label's first stage: seeds, a filter, and a regressor that moves boundaries.

    Writes ``doc.spans[candidates_key]``, with filter probabilities in ``attrs["scores"]``. In
    training it also hands its adjusted seeds to the span classifier that follows, so that both
    learn from one pass of the encoder. Where a doc has sentence boundaries, seeds stay within
    sentences.

    lengths: lengths of the seeds, in tokens. eval_lengths: "all" proposes from every length up to
        the largest at prediction time, as the published code does. clip_at_end: also clip longer
        windows at the sentence end.
    positive_iou: least IoU of a seed and its gold span to be positive (alpha 1). add_gold: train
        on gold spans beside the seeds. negative_ratio, extra_negatives: negatives sampled for each
        positive, and for each sentence.
    filter_threshold: least filter probability of a candidate. illegal: "clamp" or "revert", what
        becomes of boundaries that leave the sentence. use_filter, use_regressor: off for ablation,
        the head is then neither used nor trained; without the filter every candidate scores 1.
    eta: exponent of the soft weights, 0 for hard examples. gamma: of the focal loss.
        weight_regression: weight the smooth L1 loss by IoU too, as the published code does.
    filter_weight, regressor_weight: weights of the two losses.
    seed: of the negative sampler.

    RAISES (ValueError): HE001, HE002, HE004, HE015 on settings that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        spans_key: str,
        candidates_key: str,
        lengths: Sequence[int],
        eval_lengths: str,
        clip_at_end: bool,
        positive_iou: float,
        add_gold: bool,
        negative_ratio: float,
        extra_negatives: int,
        filter_threshold: float,
        illegal: str,
        use_filter: bool,
        use_regressor: bool,
        eta: float,
        gamma: float,
        weight_regression: bool,
        filter_weight: float,
        regressor_weight: float,
        seed: int,
        scorer: Optional[Callable],
    ) -> None:
        lengths = check_lengths(lengths)
        whole = list(range(1, lengths[-1] + 1))
        unbounded = float("inf")
        settings = {
            "spans_key": spans_key,
            "candidates_key": candidates_key,
            "lengths": lengths,
            "predicted_lengths": whole
            if check_choice("eval_lengths", eval_lengths, ("same", "all")) == "all"
            else lengths,
            "clip_at_end": clip_at_end,
            "positive_iou": check_range("positive_iou", positive_iou, 0, 1),
            "add_gold": add_gold,
            "negative_ratio": check_range("negative_ratio", negative_ratio, 0, unbounded),
            "extra_negatives": int(check_range("extra_negatives", extra_negatives, 0, 10**6)),
            "filter_threshold": check_range("filter_threshold", filter_threshold, 0, 1),
            "illegal": check_choice("illegal", illegal, ILLEGAL_POLICIES),
            "use_filter": use_filter,
            "use_regressor": use_regressor,
            "eta": check_range("eta", eta, 0, unbounded),
            "gamma": check_range("gamma", gamma, 0, unbounded),
            "weight_regression": weight_regression,
            # A head that is not used is not trained either: it would still shape the encoder.
            "filter_weight": use_filter * check_range("filter_weight", filter_weight, 0, unbounded),
            "regressor_weight": use_regressor
            * check_range("regressor_weight", regressor_weight, 0, unbounded),
        }
        super().__init__(vocab, model, name, scorer, settings)
        self.seed = seed
        self.rng = numpy.random.default_rng(seed)

    def predict(self, docs: Iterable[Doc]) -> List[Candidates]:
        """Candidates of each doc, in document order, without modifying the docs."""
        docs = list(docs)
        if not any(len(doc) for doc in docs):
            return [Candidates(numpy.zeros((0, 2), "int64"), numpy.zeros(0, "float32"))] * len(docs)
        seeds = [
            _seeds(doc, self.settings["predicted_lengths"], self.settings["clip_at_end"])
            for doc in docs
        ]
        lengths = [len(doc) for doc in docs]
        batch = SpanBatch(
            self.model.get_ref("tok2vec").predict(docs),
            concatenate_spans([s.spans for s in seeds], lengths),
            concatenate_spans([s.bounds for s in seeds], lengths),
        )
        threshold = self.settings["filter_threshold"] if self.settings["use_filter"] else 0.0
        kept, scores, offsets = propose(self.model, batch, _logit(threshold))
        if not self.settings["use_filter"]:
            scores = numpy.ones_like(scores)
        results = []
        for doc_seeds, inside in zip(
            seeds, split_by_doc(kept, [len(s.spans) for s in seeds]), strict=True
        ):
            spans, legal = self._adjust(
                doc_seeds.spans[inside.local], offsets[inside.rows], doc_seeds.bounds[inside.local]
            )
            found = Candidates(spans[legal], scores[inside.rows][legal].astype("float32"))
            best = best_per_span(*found)
            order = best[numpy.lexsort((-found.spans[best, 1], found.spans[best, 0]))]
            results.append(Candidates(found.spans[order], found.scores[order]))
        return results

    def set_annotations(self, docs: Iterable[Doc], predictions: List[Candidates]) -> None:
        """Write the candidates to ``doc.spans``."""
        key = self.settings["candidates_key"]
        for doc, (spans, scores) in zip(docs, predictions, strict=True):
            doc.spans[key] = make_span_group(doc, key, spans, scores)

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Train the filter and the regressor, and hand adjusted seeds to the classifier.

        ``losses`` gets the weighted sum under the component's name, and the parts under
        ``{name}_filter`` and ``{name}_regressor``.
        """
        losses = {} if losses is None else losses
        parts = [f"{self.name}_filter", f"{self.name}_regressor"]
        for key in (self.name, *parts):
            losses.setdefault(key, 0.0)
        examples = list(examples)
        validate_examples(examples, "SpanProposer.update")
        docs = [eg.predicted for eg in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        self.warn_of_missing_sentences(docs)
        gold = [aligned_gold(eg, self.settings["spans_key"]).gold for eg in examples]
        sampled = [self._sample(doc, doc_gold) for doc, doc_gold in zip(docs, gold, strict=True)]
        lengths = [len(doc) for doc in docs]
        spans = concatenate_spans([targets.spans for targets, _ in sampled], lengths)
        bounds = concatenate_spans([bounds for _, bounds in sampled], lengths)
        (logits, offsets), backprop = self.model.begin_update((docs, spans, bounds))
        self._hand_over(docs, gold, sampled, offsets)
        values, gradients = self.get_loss([targets for targets, _ in sampled], logits, offsets)
        backprop(gradients)
        if sgd is not None:
            self.finish_update(sgd)
        for part, value in zip(parts, values, strict=True):
            losses[part] += value
            losses[self.name] += value
        return losses

    def get_loss(  # type: ignore[override]
        self, targets: List[SeedTargets], logits: Any, offsets: Any
    ) -> Tuple[Tuple[float, float], Tuple[Any, Any]]:
        """Weighted filter and regressor losses and their gradients (Eq 11-15).

        Each loss is the mean over the examples it applies to: all seeds, and the positive ones.
        logits: (n_seeds,), offsets: (n_seeds, 2), for the docs' seeds one after the other.
        RETURNS: (filter, regressor) losses and (d_logits, d_offsets).
        """
        positive = torch.from_numpy(numpy.concatenate([t.positive for t in targets]))
        overlap = numpy.concatenate([t.iou for t in targets])
        seeds = numpy.concatenate([t.spans for t in targets])
        gold = seeds + numpy.concatenate([t.offsets for t in targets])
        weights = soft_weights(overlap, self.settings["positive_iou"], self.settings["eta"])

        def filter_loss(logits: torch.Tensor) -> torch.Tensor:
            each = focal_loss(
                logits,
                positive.to(logits.device),
                torch.from_numpy(weights).to(logits),
                self.settings["gamma"],
            )
            return self.settings["filter_weight"] * each.sum() / max(len(each), 1)

        def regressor_loss(offsets: torch.Tensor) -> torch.Tensor:
            chosen = positive.to(offsets.device)
            each = regression_loss(
                torch.from_numpy(seeds).to(offsets)[chosen],
                offsets[chosen],
                torch.from_numpy(gold).to(offsets)[chosen],
                torch.from_numpy(overlap).to(offsets)[chosen]
                if self.settings["weight_regression"]
                else None,
            )
            return self.settings["regressor_weight"] * each.sum() / max(len(each), 1)

        filter_value, (d_logits,) = loss_and_gradients(filter_loss, logits)
        regressor_value, (d_offsets,) = loss_and_gradients(regressor_loss, offsets)
        return (filter_value, regressor_value), (d_logits, d_offsets)

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
    ) -> None:
        """Start anew with a random head; warns (HW001) about gold spans that cannot be learned.

        RAISES (ValueError): HE010 where there is no gold span at all.
        """
        validate_get_examples(get_examples, "SpanProposer.initialize")
        sample = initialization_gold(get_examples, self.settings["spans_key"])
        if not sample.labels:
            raise ValueError(Errors.HE010.format(name=self.name, key=self.settings["spans_key"]))
        resize_head(self.model)
        self.rng = numpy.random.default_rng(self.seed)
        self.expect_sentences(nlp)
        self.model.initialize(X=sample.docs)

    def _sample(self, doc: Doc, gold: GoldSpans) -> Tuple[SeedTargets, SpanArray]:
        """Training seeds of a doc, and the sentence of each: sampled by sentence."""
        sampled: List[SeedTargets] = []
        bounds: List[SpanArray] = []
        n_inside = 0
        for start, end in sentence_bounds(doc):
            seeds = start + _enumerate(
                end - start, tuple(self.settings["lengths"]), self.settings["clip_at_end"]
            )
            inside = numpy.flatnonzero((gold.spans[:, 0] >= start) & (gold.spans[:, 1] <= end))
            targets = assign_seeds(
                seeds,
                gold.spans[inside],
                self.settings["positive_iou"],
                add_gold=self.settings["add_gold"],
            )
            n_inside += len(inside)
            if len(inside):
                paired = targets.pair >= 0
                targets.pair[paired] = inside[targets.pair[paired]]
            sampled.append(
                sample_seeds(
                    targets,
                    self.settings["negative_ratio"],
                    self.settings["extra_negatives"],
                    self.rng,
                )
            )
            bounds.append(numpy.tile([[start, end]], (len(sampled[-1].spans), 1)))
        self.warn_of_crossing(doc, len(gold.labels) - n_inside)
        if not sampled:
            empty = numpy.zeros((0, 2), dtype="int64")
            return assign_seeds(empty, empty, 1.0), empty
        return (
            SeedTargets(*(numpy.concatenate(column) for column in zip(*sampled, strict=True))),
            numpy.concatenate(bounds),
        )

    def _hand_over(
        self,
        docs: List[Doc],
        gold: List[GoldSpans],
        sampled: List[Tuple[SeedTargets, SpanArray]],
        offsets: Any,
    ) -> None:
        """Adjust the training seeds and leave the legal ones for the classifier.

        All sampled seeds go, whatever the filter thinks of them (spec 1.7); only indices are
        passed, so no gradient flows from the classifier to the regressor.
        """
        predicted = self.model.ops.to_numpy(offsets)
        start = 0
        for doc, doc_gold, (targets, bounds) in zip(docs, gold, sampled, strict=True):
            end = start + len(targets.spans)
            spans, legal = self._adjust(targets.spans, predicted[start:end], bounds)
            hand_over(doc, with_pairs(spans[legal], targets.pair[legal], doc_gold))
            start = end

    def _adjust(
        self, seeds: SpanArray, offsets: numpy.ndarray, bounds: SpanArray
    ) -> Tuple[SpanArray, numpy.ndarray]:
        if not self.settings["use_regressor"]:
            return seeds, numpy.ones(len(seeds), dtype=bool)
        return adjust_spans(
            seeds, offsets, bounds[:, 0], bounds[:, 1], illegal=self.settings["illegal"]
        )


def _enumerate(n: int, lengths: Tuple[int, ...], clip_at_end: bool) -> SpanArray:
    # The seeds of a long text are many, and seldom wanted twice.
    enumerate_ = _enumerate_once if n <= LONGEST_CACHED else enumerate_seeds
    return enumerate_(n, lengths, clip_at_end=clip_at_end)


@lru_cache(maxsize=LONGEST_CACHED)
def _enumerate_once(n: int, lengths: Tuple[int, ...], *, clip_at_end: bool) -> SpanArray:
    seeds = enumerate_seeds(n, lengths, clip_at_end=clip_at_end)
    seeds.flags.writeable = False  # shared by all texts of this length
    return seeds


def _seeds(doc: Doc, lengths: Sequence[int], clip_at_end: bool) -> Seeds:
    sentences = sentence_bounds(doc)
    spans = [
        start + _enumerate(end - start, tuple(lengths), clip_at_end) for start, end in sentences
    ]
    if not spans:
        empty = numpy.zeros((0, 2), dtype="int64")
        return Seeds(empty, empty)
    return Seeds(numpy.concatenate(spans), numpy.repeat(sentences, [len(s) for s in spans], axis=0))


def _logit(probability: float) -> float:
    """The logit of a threshold; -inf keeps everything at 0, +inf nothing at 1."""
    if probability <= 0:
        return -numpy.inf
    if probability >= 1:
        return numpy.inf
    return float(numpy.log(probability / (1 - probability)))
