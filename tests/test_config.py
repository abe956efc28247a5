"""A whole config: filled, initialized, trained by spaCy's own loop, saved and read again."""

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_model_from_config
from thinc.api import Config
from util import NESTED_SENTENCES, group_of, make_doc

CONFIG = """
[paths]
train = null
dev = null
encoder = null

[system]
gpu_allocator = null
seed = 0

[nlp]
lang = "en"
pipeline = ["transformer", "tok2vec", "hetner_span_proposer", "hetner_span_classifier", "resolve"]

[components]

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "spacy_hetner.Encoder.v1"
name = ${paths.encoder}
pooling = "max"

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy_hetner.TokenRepresentation.v1"
width = 24
encoder_width = 32
pos_width = 4
char_width = 3
lstm_layers = 1

[components.hetner_span_proposer]
factory = "hetner_span_proposer"
lengths = [1, 2, 4]
filter_threshold = 0.25

[components.hetner_span_proposer.model]
@architectures = "spacy_hetner.SpanProposer.v1"
hidden_width = 16
outer_boundary = "clamp"

[components.hetner_span_proposer.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = ${components.tok2vec.model.width}
upstream = "tok2vec"

[components.hetner_span_classifier]
factory = "hetner_span_classifier"
min_score = 0.45

[components.hetner_span_classifier.model]
@architectures = "spacy_hetner.SpanClassifier.v1"

[components.hetner_span_classifier.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = ${components.tok2vec.model.width}
upstream = "tok2vec"

[components.resolve]
factory = "hetner_resolver"
policy = "longest"

[corpora]

[corpora.train]
@readers = "spacy_hetner.RecordCorpus.v1"
path = ${paths.train}

[corpora.dev]
@readers = "spacy_hetner.RecordCorpus.v1"
path = ${paths.dev}

[training]
train_corpus = "corpora.train"
dev_corpus = "corpora.dev"
seed = ${system.seed}
gpu_allocator = ${system.gpu_allocator}
max_steps = 1
eval_frequency = 1

[training.score_weights]
spans_entities_f = 1.0
"""


@pytest.fixture
def config(tmp_path, tiny_encoder):
    nlp = spacy.blank("en")
    docs = [make_doc(nlp, *sentence) for sentence in NESTED_SENTENCES[:4]]
    path = tmp_path / "corpus.spacy"
    DocBin(docs=docs, store_user_data=True).to_disk(path)
    paths = {"train": str(path), "dev": str(path), "encoder": str(tiny_encoder)}
    overrides = {f"paths.{name}": value for name, value in paths.items()}
    return Config().from_str(CONFIG, interpolate=False, overrides=overrides)


def test_train_one_step_and_read_again(config, tmp_path):
    """What spacy train does; the saved pipeline's config is the filled one."""
    nlp = init_nlp(config)
    filled = nlp.config.interpolate()
    assert nlp.get_pipe("hetner_span_classifier").labels == ("GPE", "ORG", "PER")
    assert filled["components"]["hetner_span_proposer"]["positive_iou"] == 0.7, "a default"
    assert filled["components"]["hetner_span_proposer"]["lengths"] == [1, 2, 4]

    train(nlp, tmp_path)
    again = spacy.load(tmp_path / "model-last")
    assert again.config.interpolate()["components"] == filled["components"]
    meta = again.meta["performance"]
    assert {"spans_entities_f", "candidates_recall"} <= set(meta)
    losses = {"hetner_span_proposer_loss", "hetner_span_classifier_loss"}
    assert losses <= set(meta) and all(meta[loss] > 0 for loss in losses)

    again.get_pipe("hetner_span_classifier").settings["min_score"] = 0.0
    nlp.get_pipe("hetner_span_classifier").settings["min_score"] = 0.0
    words = NESTED_SENTENCES[0][0]
    one, other = (pipeline(make_doc(pipeline, words)) for pipeline in (nlp, again))
    assert group_of(one, "candidates") == group_of(other, "candidates") != []
    assert group_of(one) == group_of(other)


def test_filling_is_stable(config):
    """A filled config is left as it is when it is filled again."""
    filled = load_model_from_config(config, auto_fill=True).config.interpolate()
    reread = Config().from_str(filled.to_str())
    again = load_model_from_config(reread, auto_fill=True).config.interpolate()
    assert again == filled == reread
    for name in ("hetner_span_proposer", "hetner_span_classifier", "resolve"):
        component = filled["components"][name]
        assert set(Language.get_factory_meta(component["factory"]).default_config) <= set(component)


def test_wrong_types_are_told_by_key(config):
    config["components"]["hetner_span_proposer"]["lengths"] = "all"
    with pytest.raises(ValueError, match="lengths"):
        load_model_from_config(config, auto_fill=True)
