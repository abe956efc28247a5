"""The component ``hetner_class_attention_tagger``: a tagger that attends to what classes mean."""

import warnings
from typing import Any, Callable, Dict, Iterable, List, Optional

import numpy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Config, Model, xp2torch

from ..encoders.standardize import fit_standardization
from ..errors import Errors, Warnings
from ..labels.gold import aligned_gold
from ..sequences.pipe import TagPipe
from ..sequences.split import PUNCTUATION
from ..validation import check_choice, check_range
from .embeddings import SCOPES, ClassEmbeddings, mention_vectors

DEFAULT_MODEL = Config().from_str(
    """
[model]
@architectures = "spacy_hetner.ClassAttentionTagger.v1"
heads = 12
merge = "concat"
axis = "position"
rescale = false
trained_classes = false
dropout = 0.1
crf = true
layers = 1
transition_rate = 50.0
width = null

[model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 384
upstream = "*"
"""
)["model"]

BATCH = 32


@Language.factory(
    "hetner_class_attention_tagger",
    assigns=["doc.spans"],
    default_config={
        "model": DEFAULT_MODEL,
        "spans_key": "entities",
        "candidates_key": None,
        "scheme": "BMES",
        "legal_only": True,
        "max_length": 256,
        "cut_after": PUNCTUATION,
        "alpha": 0.5,
        "scope": "class",
        "unique": False,
        "scorer": {"@scorers": "spacy_hetner.entity_spans_scorer.v1"},
    },
    default_score_weights={
        "spans_entities_f": 1.0,
        "spans_entities_p": 0.0,
        "spans_entities_r": 0.0,
    },
)
def make_class_attention_tagger(
    nlp: Language,
    name: str,
    model: Model,
    spans_key: str,
    candidates_key: Optional[str],
    scheme: str,
    legal_only: bool,
    max_length: int,
    cut_after: str,
    alpha: float,
    scope: str,
    unique: bool,
    scorer: Optional[Callable],
) -> "ClassAttentionTagger":
    """Build the tagger; see ``ClassAttentionTagger`` for the settings."""
    return ClassAttentionTagger(
        nlp.vocab,
        model,
        name,
        spans_key=spans_key,
        candidates_key=candidates_key,
        scheme=scheme,
        legal_only=legal_only,
        max_length=max_length,
        cut_after=cut_after,
        alpha=alpha,
        scope=scope,
        unique=unique,
        scorer=scorer,
    )


class ClassAttentionTagger(TagPipe):
    """Classification Attention for Chinese NER: a tagger over attention to class embeddings.

    ``initialize`` reads the class embeddings off the untrained encoder, from the mentions in the
    training part. They are saved with the model, and trained only where its config says so.

    alpha: how much of the first singular direction is taken off the mentions. scope: "class" for a
        direction of each class (the paper's words), "shared" for that of all mentions. unique:
        count each mention text of a class once. The others: see ``TagPipe``.

    RAISES (ValueError): HE002, HE004, HE015, HE078 on settings that make no sense.
    """

    def __init__(
        self,
        vocab: Vocab,
        model: Model,
        name: str,
        *,
        alpha: float,
        scope: str,
        unique: bool,
        **settings: Any,
    ) -> None:
        super().__init__(vocab, model, name, **settings)
        self.settings["alpha"] = check_range("alpha", alpha, 0, 1)
        self.settings["scope"] = check_choice("scope", scope, SCOPES)
        self.settings["unique"] = unique

    def head_settings(self) -> Dict[str, Any]:
        """The number of tags, and one class a label."""
        return {**super().head_settings(), "n_classes": len(self.labels)}

    def add_label(self, label: str) -> int:
        """Add a label, whose class embedding is zero (HW005); the head keeps its weights.

        Where classes are concatenated, the new one adds nothing until it is trained. All other
        merges give it the share of a class, which changes what is read of the others.

        RETURNS: 1, or 0 if the label was there.
        """
        known = self.module.classes.numel()
        if not super().add_label(label):
            return 0
        if self.module.block.project is not None:
            self.module.block.project.weight.data[:, known:] = 0
        self._warn_of_missing([label])
        return 1

    def initialize(
        self,
        get_examples: Callable[[], Iterable[Example]],
        *,
        nlp: Optional[Language] = None,
        labels: Optional[List[str]] = None,
    ) -> None:
        """Learn the labels, build the head, and read the class embeddings off the encoder.

        Warns of labels without a training mention (HW005), and as ``TagPipe.initialize``.

        nlp (Optional[Language]): The pipeline, whose components are run before this one's model,
            as far as it listens to them, directly or not, frozen and disabled ones included.
        labels (List[str]): By default those of the examples' gold spans. Labels added before stay.
        RAISES (ValueError): HE003 where there is no label at all, HE013 where the encoder is not
            reached.
        """
        super().initialize(get_examples, nlp=nlp, labels=labels)
        found = self._read_classes(get_examples, self.encoders(nlp))
        if found.counts.any() and not found.embeddings(0.0).any():
            raise ValueError(Errors.HE013.format(name=self.name))
        self._warn_of_missing(
            [label for label, n in zip(self.labels, found.counts, strict=True) if not n]
        )
        self.module.classes.data.copy_(torch.from_numpy(found.embeddings(self.settings["alpha"])))

    def class_embeddings(self) -> numpy.ndarray:
        """The class embeddings, float32 (n_labels, width), in the order of ``labels``."""
        return self.module.classes.detach().cpu().numpy().copy()

    def attention(self, doc: Doc) -> numpy.ndarray:
        """Attention weights, averaged over heads: float32 (n_labels, n_tokens).

        Of each label they sum to one over a sentence, or over each piece of a long one; where the
        model is rescaled, to its length. With axis = "class" they sum to one over the labels.

        doc: One that the pipeline has read up to this component.
        RAISES (ValueError): HE012 for a doc without token vectors, HE014 without labels.
        """
        if not self.labels:
            raise ValueError(Errors.HE014.format(name=self.name))
        sentences = self.read_sentences([doc])
        (vectors,) = self.model.get_ref("tok2vec").predict([doc])
        if len(doc) and not vectors.any():
            raise ValueError(Errors.HE012.format(name=self.name, text=doc.text[:40]))
        if not len(doc):
            return numpy.zeros((len(self.labels), 0), dtype="float32")
        module = self.module.eval()
        with torch.inference_mode():
            tokens = xp2torch(vectors)
            pieces = torch.from_numpy(sentences.pieces).to(tokens.device)
            weights = module.block.attend(tokens, module.classes, pieces).mean(2)
        return weights.T.cpu().numpy()

    def _warn_of_missing(self, labels: List[str]) -> None:
        if labels:
            shown = ", ".join(labels)
            warnings.warn(Warnings.HW005.format(labels=shown, name=self.name), stacklevel=3)

    def _read_classes(
        self, get_examples: Callable[[], Iterable[Example]], encoders: List[Any]
    ) -> ClassEmbeddings:
        """Go through the training part once, with the encoder as it is."""
        module, tok2vec = self.module, self.model.get_ref("tok2vec")
        found = ClassEmbeddings(
            self.labels,
            module.settings["width"],
            self.settings["scope"],
            self.settings["unique"],
        )
        for batch in minibatch(get_examples(), BATCH):
            # Copies: the encoder's output stays on them, and the examples may be kept.
            docs = [example.predicted.copy() for example in batch]
            for encoder in encoders:
                fit_standardization(encoder.model, docs)
                docs = list(encoder.pipe(docs, batch_size=BATCH))
            fit_standardization(tok2vec, docs)
            for example, doc, vectors in zip(batch, docs, tok2vec.predict(docs), strict=True):
                gold = aligned_gold(example, self.settings["spans_key"]).gold
                means = mention_vectors(self.model.ops.to_numpy(vectors), gold.spans)
                texts = [doc[start:end].text for start, end in gold.spans.tolist()]
                for label in set(gold.labels).intersection(self.labels):
                    rows = [i for i, name in enumerate(gold.labels) if name == label]
                    found.add(label, means[rows], [texts[i] for i in rows])
        return found
