"""What the token taggers have in common: gold spans as tags, the chain's loss, tags as spans."""

import warnings
from functools import lru_cache
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example, validate_examples, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import Model, Optimizer, set_dropout_rate, xp2torch
from torch import Tensor

from ..errors import Warnings
from ..labels.gold import aligned_gold, initialization_gold
from ..labels.tagset import TagSet
from ..spans.batch import concatenate_spans, sentence_bounds
from ..spans.groups import write_spans
from ..spans.pipe import LabelledPipe
from ..torch_bridge import loss_and_gradients
from ..types import GoldSpans, LabelledSpan, ScoredSpans, SpanArray
from ..validation import check_count
from .chain import Chain, Marginals, Packing, best_tags, negative_log_likelihood
from .gold import LayeredGold, layer_tags, layers_of
from .model import ChainArrays
from .split import punctuation_marks, split_long


class Sentences(NamedTuple):
    """The sentences of a batch. bounds: those of each doc, int64 (n_i, 2); pieces: what the model
    may read at once, int64 (n_pieces, 2), offsets into the batch's tokens; packing: of all."""

    bounds: List[SpanArray]
    pieces: SpanArray
    packing: Packing


class TagPipe(LabelledPipe):
    """A component that tags tokens and writes the spans that the tags say.

    spans_key: the group it learns from and writes, with scores: the probability of a span's tags
        under the model, from the forward-backward algorithm. That is the span's own probability
        where the scheme allows the tags; of others (``legal_only`` off), several sequences can say
        one span, and only that which was decoded is counted. candidates_key: a group to write the
        same spans to without labels, as candidates for a span classifier, or None.
    scheme: "BIO", "BMES" or "BIOES". legal_only: leave out tag sequences that the scheme does not
        allow, in decoding and, for a CRF, in training.
    max_length: how many tokens, not characters, the layers above the encoder read at once; a longer
        sentence is cut for them after the last of the marks ``cut_after`` that fits. Tags are
        decoded, trained and scored on whole sentences. Where a doc has sentence boundaries, spans
        stay within sentences.

    RAISES (ValueError): HE004, HE015, HE078 on settings that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        spans_key: str,
        candidates_key: Optional[str],
        scheme: str,
        legal_only: bool,
        max_length: int,
        cut_after: str,
        scorer: Optional[Callable],
    ) -> None:
        settings = {
            "spans_key": spans_key,
            "candidates_key": candidates_key,
            "scheme": TagSet([], scheme).scheme,
            "legal_only": legal_only,
            "max_length": check_count("max_length", max_length, 1),
            "cut_after": cut_after,
        }
        super().__init__(vocab, model, name, scorer, settings)

    @property
    def tag_set(self) -> TagSet:
        """The tags, in the order of the model's outputs."""
        return _make_tag_set(self.labels, self.settings["scheme"])

    @property
    def module(self) -> Any:
        """The torch module of the head."""
        return self.model.get_ref("head").shims[0]._model

    def head_settings(self) -> Dict[str, Any]:
        """The number of tags."""
        return {"n_tags": len(self.tag_set)}

    def predict(self, docs: Iterable[Doc]) -> List[ScoredSpans]:
        """Labelled spans of each doc, in document order, without modifying the docs."""
        docs = list(docs)
        sentences = self.read_sentences(docs)
        if not len(sentences.pieces) or not self.labels:
            return [_scored([]) for _ in docs]
        scores = self.model.predict((docs, sentences.pieces, sentences.pieces))
        chain = self._chain([xp2torch(part) for part in scores], sentences.packing)
        tags = best_tags(chain, sentences.packing)[:, sentences.packing.rows]
        found = [
            self._spans_of(doc, tags[:, start : start + len(doc)], bounds)
            for doc, bounds, start in zip(docs, sentences.bounds, _starts(docs), strict=True)
        ]
        probabilities = iter(self._span_scores(chain, sentences.packing, tags, docs, found))
        return [_scored([(next(probabilities), span) for _, span in spans]) for spans in found]

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
        """Train on the gold spans.

        RAISES (ValueError): HE007 for a gold label that the component does not have.
        """
        losses = {} if losses is None else losses
        losses.setdefault(self.name, 0.0)
        examples = list(examples)
        validate_examples(examples, f"{type(self).__name__}.update")
        docs = [eg.predicted for eg in examples]
        sentences = self.read_sentences(docs)
        if not len(sentences.pieces):
            return losses
        set_dropout_rate(self.model, drop)
        self.warn_of_missing_sentences(docs)
        gold = [aligned_gold(eg, self.settings["spans_key"]).gold for eg in examples]
        tags = self._gold_tags(docs, gold, sentences.bounds)
        scores, backprop = self.model.begin_update((docs, sentences.pieces, sentences.pieces))
        value, gradients = self.get_loss(tags, sentences.packing, scores)
        backprop(gradients)
        if sgd is not None:
            self.finish_update(sgd)
        losses[self.name] += value
        return losses

    def get_loss(  # type: ignore[override]
        self, tags: numpy.ndarray, packing: Packing, scores: ChainArrays
    ) -> Tuple[float, ChainArrays]:
        """Negative log-likelihood of the gold tags, a token, and its gradient.

        tags: (layers, n_tokens); scores: the model's, for the same tokens.
        """
        packed = torch.from_numpy(tags)[:, packing.order]

        def loss(*parts: Tensor) -> Tensor:
            chain = self._chain(list(parts), packing, training=True)
            return negative_log_likelihood(chain, packed, packing).sum() / tags.shape[1]

        value, gradients = loss_and_gradients(loss, *scores)
        return value, (gradients[0], gradients[1], gradients[2], gradients[3])

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
    ) -> None:
        """Learn the labels and build the head for their tags.

        Warns of gold spans that cannot be learned (HW001), and of those within a sentence that the
        layers of tags cannot say (HW004). ``update`` warns of those across sentences (HW002).

        labels (List[str]): By default those of the examples' gold spans. Labels added before stay.
        RAISES (ValueError): HE003 where there is no label at all.
        """
        self.begin(get_examples, nlp, labels)

    def begin(
        self,
        get_examples: Callable[[], Iterable[Example]],
        nlp: Optional[Language],
        labels: Optional[List[str]],
        known: Sequence[str] = (),
    ) -> None:
        """What ``initialize`` does, with ``known`` labels in front of the others."""
        validate_get_examples(get_examples, f"{type(self).__name__}.initialize")
        sample = initialization_gold(
            get_examples,
            self.settings["spans_key"],
            beyond=lambda doc, gold: self._layers_of(gold, sentence_bounds(doc)).overlapping,
        )
        self.start_with(sample.labels if labels is None else labels, known)
        if sample.beyond:
            layers = self.module.settings["layers"]
            message = Warnings.HW004.format(
                lost=sample.beyond, total=sample.total, name=self.name, layers=layers
            )
            warnings.warn(message, stacklevel=2)
        self.expect_sentences(nlp)
        self.model.initialize(X=sample.docs)

    def encoders(self, nlp: Optional[Language]) -> List[Any]:
        """The components that it listens to, or that these listen to, in the pipeline's order."""
        heard: List[Any] = [self]
        for _, component in reversed(self.before(nlp)):
            if hasattr(component, "find_listeners"):
                for listening in heard:
                    component.find_listeners(listening)
                if any(listening.name in component.listening_components for listening in heard):
                    heard.insert(0, component)
        return heard[:-1]

    def read_sentences(self, docs: List[Doc]) -> Sentences:
        """The sentences of a batch, and how the long ones are cut."""
        bounds = [sentence_bounds(doc) for doc in docs]
        pieces = [self._cut(doc, inside) for doc, inside in zip(docs, bounds, strict=True)]
        lengths = [end - start for inside in bounds for start, end in inside.tolist()]
        joined = concatenate_spans(pieces, [len(doc) for doc in docs])
        return Sentences(bounds, joined, Packing(lengths))

    def _cut(self, doc: Doc, bounds: SpanArray) -> SpanArray:
        limit, pieces = self.settings["max_length"], []
        for start, end in bounds.tolist():
            marks: List[int] = []
            if end - start > limit:
                words = [token.text for token in doc[start:end]]
                marks = punctuation_marks(words, self.settings["cut_after"])
            pieces.append(split_long(end - start, limit, marks) + start)
        return numpy.concatenate(pieces) if pieces else bounds

    def _gold_tags(
        self, docs: List[Doc], gold: List[GoldSpans], bounds: List[SpanArray]
    ) -> numpy.ndarray:
        for label in {label for part in gold for label in part.labels}:
            self.check_label(label)
        parts = []
        for doc, part, inside in zip(docs, gold, bounds, strict=True):
            layered = self._layers_of(part, inside)
            self.warn_of_crossing(doc, layered.crossing)
            parts.append(layer_tags(part, layered.layers, self.tag_set, len(doc)))
        return numpy.concatenate(parts, axis=1)

    def _layers_of(self, gold: GoldSpans, bounds: SpanArray) -> LayeredGold:
        return layers_of(gold, bounds, self.module.settings["layers"])

    def _chain(self, scores: List[Tensor], packing: Packing, training: bool = False) -> Chain:
        """The model's scores, packed, with what the scheme forbids at -inf.

        On the CPU: the loops over time are of many small steps, which a GPU is slow at.
        """
        emissions, start, transitions, end = (part.cpu() for part in scores)
        chain = Chain(emissions[:, packing.order], start, transitions, end)
        if not self.settings["legal_only"] or (training and not self.module.settings["crf"]):
            return chain
        legal = self.tag_set.legal()
        return Chain(
            chain.emissions,
            *(
                part.masked_fill(~torch.from_numpy(allowed), -torch.inf)
                for part, allowed in zip(chain[1:], legal, strict=True)
            ),
        )

    def _spans_of(
        self, doc: Doc, tags: Tensor, bounds: SpanArray
    ) -> List[Tuple[int, LabelledSpan]]:
        """Layer and span of all that a doc's tags, (layers, n_tokens), say: in document order, each
        labelled span once. White space may lie in a span, but says nothing: an encoder reads none.
        """
        found: Dict[LabelledSpan, int] = {}
        words = numpy.flatnonzero(doc.to_array("IS_SPACE") == 0)
        for start, end in numpy.searchsorted(words, bounds).tolist():
            for number, layer in enumerate(tags[:, words[start:end]].tolist()):
                for span in self.tag_set.decode(layer):
                    first, last = words[[start + span.start, start + span.end - 1]].tolist()
                    found.setdefault(LabelledSpan(first, last + 1, span.label), number)
        order = sorted(found, key=lambda span: (span.start, -span.end, span.label))
        return [(found[span], span) for span in order]

    def _span_scores(
        self,
        chain: Chain,
        packing: Packing,
        tags: Tensor,
        docs: List[Doc],
        found: List[List[Tuple[int, LabelledSpan]]],
    ) -> List[float]:
        offsets = [
            (span.start + start, span.end + start, layer)
            for start, spans in zip(_starts(docs), found, strict=True)
            for layer, span in spans
        ]
        if not offsets:
            return []
        places = torch.tensor(offsets)
        continuations = torch.from_numpy(self.tag_set.continuations())
        marginals = Marginals(chain, packing)
        scores = marginals.span_probabilities(tags, places[:, :2], places[:, 2], continuations)
        return scores.clamp(0, 1).tolist()


@lru_cache(maxsize=64)
def _make_tag_set(labels: Tuple[str, ...], scheme: str) -> TagSet:
    return TagSet(labels, scheme)


def _starts(docs: List[Doc]) -> List[int]:
    """Where each doc starts among the tokens of all."""
    return numpy.cumsum([0, *(len(doc) for doc in docs)])[:-1].tolist()


def _scored(found: List[Tuple[float, LabelledSpan]]) -> ScoredSpans:
    spans = numpy.array([(s.start, s.end) for _, s in found], dtype="int64").reshape(-1, 2)
    scores = numpy.array([score for score, _ in found], dtype="float32")
    return ScoredSpans(spans, [span.label for _, span in found], scores)
