"""The component ``hetner_span_classifier``: labels candidate spans, nested ones included."""

from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Config, Model, Optimizer, set_dropout_rate

from ..errors import Errors
from ..labels.gold import aligned_gold, initialization_gold
from ..spans.assign import assign_labels, pair_candidates, soft_weights
from ..spans.batch import concatenate_spans, softmax
from ..spans.groups import group_spans, write_spans
from ..spans.handover import handed_over
from ..spans.pipe import LabelledPipe
from ..spans.soft_nms import best_per_span, soft_nms
from ..torch_bridge import loss_and_gradients
from ..types import PairedSpans, ScoredSpans
from ..validation import check_range
from .loss import class_loss

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.SpanClassifier.v1"
hidden_width = null
dropout = 0.5
width = null

[model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 384
upstream = "*"
"""
)["model"]

NO_SPANS = ScoredSpans(numpy.zeros((0, 2), "int64"), [], numpy.zeros(0, "float32"))


@Language.factory(
    "hetner_span_classifier",
    assigns=["doc.spans"],
    requires=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": "candidates",
        "match_iou": 1.0,
        "add_gold": True,
        "negative_ratio": None,
        "eta": 1.0,
        "gamma": 0.0,
        "loss_weight": 1.0,
        "use_soft_nms": True,
        "nms_iou": 0.6,
        "nms_decay": 0.9,
        "min_score": 0.5,
        "same_label_only": False,
        "seed": 0,
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_span_classifier(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: str,
    match_iou: float,
    add_gold: bool,
    negative_ratio: Optional[float],
    eta: float,
    gamma: float,
    loss_weight: float,
    use_soft_nms: bool,
    nms_iou: float,
    nms_decay: float,
    min_score: float,
    same_label_only: bool,
    seed: int,
    scorer: Optional[Callable],
) -> "SpanClassifier":
    """Build the span classifier; see ``SpanClassifier`` for the settings."""
    return SpanClassifier(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        match_iou=match_iou,
        add_gold=add_gold,
        negative_ratio=negative_ratio,
        eta=eta,
        gamma=gamma,
        loss_weight=loss_weight,
        use_soft_nms=use_soft_nms,
        nms_iou=nms_iou,
        nms_decay=nms_decay,
        min_score=min_score,
        same_label_only=same_label_only,
        seed=seed,
        scorer=scorer,
    )


class SpanClassifier(LabelledPipe):
    """Locate and Label's second stage: a label for each candidate, then Soft-NMS.

    Reads ``doc.spans[candidates_key]``, whoever wrote it, and writes ``doc.spans[spans_key]``:
    labelled spans that may nest and cross, in document order, with ``attrs["scores"]``. In
    training it takes the adjusted seeds that ``hetner_span_proposer`` hands over in the same
    update; candidates of any other proposer are read from the doc, so that component must be
    among ``training.annotating_components``.

    match_iou: least IoU of a candidate and its gold span to get its label (alpha 2).
    add_gold, negative_ratio: for candidates of other proposers: train on the gold spans too, and
        on at most so many negatives for each positive, and for a doc without (None: all).
    eta: exponent of the soft weights, 0 for hard examples. gamma: > 0 for a focal loss.
    loss_weight: weight of the loss.
    use_soft_nms: off for ablation. nms_iou (k), nms_decay (u): IoU from which a better span decays
        another, and by how much. min_score (delta): least score of an entity.
    same_label_only: let only spans of the same label decay each other.
    seed: of the negative sampler.

    RAISES (ValueError): HE002, HE015 on settings that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        spans_key: str,
        candidates_key: str,
        match_iou: float,
        add_gold: bool,
        negative_ratio: Optional[float],
        eta: float,
        gamma: float,
        loss_weight: float,
        use_soft_nms: bool,
        nms_iou: float,
        nms_decay: float,
        min_score: float,
        same_label_only: bool,
        seed: int,
        scorer: Optional[Callable],
    ) -> None:
        unbounded = float("inf")
        settings = {
            "spans_key": spans_key,
            "candidates_key": candidates_key,
            "match_iou": check_range("match_iou", match_iou, 0, 1),
            "add_gold": add_gold,
            "negative_ratio": None
            if negative_ratio is None
            else check_range("negative_ratio", negative_ratio, 0, unbounded),
            "eta": check_range("eta", eta, 0, unbounded),
            "gamma": check_range("gamma", gamma, 0, unbounded),
            "loss_weight": check_range("loss_weight", loss_weight, 0, unbounded),
            "use_soft_nms": use_soft_nms,
            # An IoU above 1 is never reached: it turns the decay off.
            "nms_iou": check_range("nms_iou", nms_iou, 0, 2),
            "nms_decay": check_range("nms_decay", nms_decay, 0, 1),
            "min_score": check_range("min_score", min_score, 0, 1),
            "same_label_only": same_label_only,
        }
        super().__init__(vocab, model, name, scorer, settings)
        self.seed = seed
        self.rng = numpy.random.default_rng(seed)

    def head_settings(self) -> Dict[str, Any]:
        """The number of labels, which come after none."""
        return {"n_labels": len(self.labels)}

    def predict(self, docs: Iterable[Doc]) -> List[ScoredSpans]:
        """Labelled spans of each doc, in document order, without modifying the docs."""
        docs = list(docs)
        candidates = [group_spans(doc, self.settings["candidates_key"]) for doc in docs]
        lengths = [len(spans) for spans in candidates]
        if not sum(lengths) or not self.labels:
            return [NO_SPANS] * len(docs)
        spans = concatenate_spans(candidates, [len(doc) for doc in docs])
        logits = self.model.ops.to_numpy(self.model.predict((docs, spans, spans)))
        probabilities = softmax(logits)
        parts = numpy.split(probabilities, numpy.cumsum(lengths)[:-1])
        return [self._decode(*pair) for pair in zip(candidates, parts, strict=True)]

    def set_annotations(self, docs: Iterable[Doc], predictions: List[ScoredSpans]) -> None:
        """Write the labelled spans to ``doc.spans``."""
        write_spans(docs, predictions, self.settings["spans_key"])

    def update(
        self,
        examples: Iterable[Example],
        *,
        drop: float = 0.0,
        sgd: Optional[Optimizer] = None,
        losses: Optional[Dict[str, float]] = None,
    ) -> Dict[str, float]:
        """Train on the candidates handed over by the proposer, or found on the docs.

        RAISES (ValueError): HE009 where there are neither.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, "SpanClassifier.update")
        docs = [eg.predicted for eg in examples]
        if not any(len(doc) for doc in docs):
            return losses
        set_dropout_rate(self.model, drop)
        paired = [self._training_candidates(eg) for eg in examples]
        spans = concatenate_spans([p.spans for p in paired], [len(doc) for doc in docs])
        # Run even without a candidate: the upstream listener waits for this call's gradient.
        logits, backprop = self.model.begin_update((docs, spans, spans))
        value, d_logits = self.get_loss(paired, logits)
        backprop(d_logits)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += value
        return losses

    def get_loss(  # type: ignore[override]
        self, paired: List[PairedSpans], logits: Any
    ) -> Tuple[float, Any]:
        """Soft-weighted mean loss over the candidates and its gradient (Eq 16).

        logits: (n_candidates, n_labels + 1), for the docs' candidates one after the other.
        RAISES (ValueError): HE007 for a gold label that the component does not have.
        """
        targets = [assign_labels(p, self.settings["match_iou"]) for p in paired]
        # Of all pairs, so that an unknown label is told whether or not a candidate hits its span.
        index = {name: self._index(name) for name in {""}.union(*(p.pair_labels for p in paired))}
        labels = torch.tensor([index[name] for t in targets for name in t.labels])
        overlap = numpy.concatenate([t.iou for t in targets])
        weights = torch.from_numpy(
            soft_weights(overlap, self.settings["match_iou"], self.settings["eta"])
        )

        def loss(logits: torch.Tensor) -> torch.Tensor:
            each = class_loss(
                logits,
                labels.to(logits.device, torch.int64),
                weights.to(logits),
                self.settings["gamma"],
            )
            return self.settings["loss_weight"] * each.sum() / max(len(each), 1)

        value, (d_logits,) = loss_and_gradients(loss, logits)
        return value, d_logits

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
    ) -> None:
        """Learn the labels and build the head for them.

        labels (List[str]): By default those of the examples' gold spans. Labels added before stay.
        RAISES (ValueError): HE003 where there is no label at all.
        """
        validate_get_examples(get_examples, "SpanClassifier.initialize")
        sample = initialization_gold(get_examples, self.settings["spans_key"])
        self.start_with(sample.labels if labels is None else labels)
        self.rng = numpy.random.default_rng(self.seed)
        self.model.initialize(X=sample.docs)

    def _decode(self, spans: numpy.ndarray, probabilities: numpy.ndarray) -> ScoredSpans:
        """Best labels, without none and duplicates, then Soft-NMS (spec 1.10)."""
        best = probabilities.argmax(axis=1)
        found = numpy.flatnonzero(best)
        scores = probabilities[found, best[found]]
        found = found[best_per_span(spans[found], scores)]
        scores = probabilities[found, best[found]].astype("float64")
        if self.settings["use_soft_nms"]:
            kept, scores = soft_nms(
                spans[found],
                scores,
                overlap=self.settings["nms_iou"],
                decay=self.settings["nms_decay"],
                min_score=self.settings["min_score"],
                labels=best[found] if self.settings["same_label_only"] else None,
            )
        else:
            kept = numpy.flatnonzero(scores > self.settings["min_score"])
            scores = scores[kept]
        found = found[kept]
        order = numpy.lexsort((-spans[found, 1], spans[found, 0]))
        found, scores = found[order], scores[order]
        names = [self.labels[i - 1] for i in best[found]]
        return ScoredSpans(spans[found], names, scores.astype("float32"))

    def _training_candidates(self, example: Example) -> PairedSpans:
        """Candidates of an example; RAISES (ValueError): HE009 where nobody proposed any."""
        doc, key = example.predicted, self.settings["candidates_key"]
        handed = handed_over(doc)
        if handed is not None:
            return handed
        if len(doc) and key not in doc.spans:
            raise ValueError(Errors.HE009.format(name=self.name, text=doc.text[:40], key=key))
        gold = aligned_gold(example, self.settings["spans_key"]).gold
        candidates = group_spans(doc, key)
        if self.settings["add_gold"]:
            candidates = numpy.unique(numpy.concatenate((candidates, gold.spans)), axis=0)
        return self._sample(pair_candidates(candidates, gold))

    def _sample(self, paired: PairedSpans) -> PairedSpans:
        """Keep at most negative_ratio negatives for each positive, drawn at random."""
        if self.settings["negative_ratio"] is None:
            return paired
        targets = assign_labels(paired, self.settings["match_iou"])
        negative = numpy.array([label == "" for label in targets.labels], dtype=bool)
        wanted = int(self.settings["negative_ratio"] * max((~negative).sum(), 1))
        surplus = negative.sum() - wanted
        if surplus > 0:
            dropped = self.rng.choice(numpy.flatnonzero(negative), size=surplus, replace=False)
            kept = numpy.setdiff1d(numpy.arange(len(negative)), dropped)
            paired = PairedSpans(
                paired.spans[kept], paired.pair_spans[kept], [paired.pair_labels[i] for i in kept]
            )
        return paired

    def _index(self, label: str) -> int:
        """The model's output for a label, 0 for none; RAISES (ValueError): HE007."""
        if not label:
            return 0
        self.check_label(label)
        return self.labels.index(label) + 1
