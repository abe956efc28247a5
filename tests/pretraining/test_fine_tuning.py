"""What an encoder folder of a run is good for: a new head learns from few sentences (NER-BERT)."""

import numpy
import pytest
import spacy
import torch
from safetensors.torch import load_file
from thinc.api import Config, fix_random_seed
from util import make_example

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.spacy_adapter import torch_encoder
from spacy_hetner.evaluation.scorers import make_entity_spans_scorer
from spacy_hetner.pretraining.train import pretrain
from spacy_hetner.types import LabelledSpan

# Made-up names, all of the same letters: what type a name is of can be learned, not seen.
TYPES = ["singer", "painter", "river", "lake"]
COARSE = {"singer": "person", "painter": "person", "river": "location", "lake": "location"}
NAMES = [f"{a}{b}{c}" for a in "bdfgk" for b in "aeiou" for c in "lmnr"][:80]
TYPE_OF = {name: TYPES[i % 4] for i, name in enumerate(NAMES)}
REPRESENTATION = {"@architectures": "spacy_hetner.TokenRepresentation.v1", "width": 32}
OTHERS = ["the", "of", "in", "was", "with", "and", "near", "from"]


def sentences(count, seed):
    """Words, and the place and type of one or two of them that are names."""
    random = numpy.random.default_rng(seed)
    for _ in range(count):
        words = random.choice(OTHERS, 6).tolist()
        spans = []
        for place in sorted(random.choice(6, random.integers(1, 3), replace=False).tolist()):
            words[place] = str(random.choice(NAMES))
            spans.append((place, place + 1, TYPE_OF[words[place]]))
        yield words, spans


def write_typed(path, count, seed, types):
    write_parquet(
        (
            Record(words, [LabelledSpan(a, b, types[t]) for a, b, t in spans], id=f"{seed}-{i}")
            for i, (words, spans) in enumerate(sentences(count, seed))
        ),
        path,
    )
    return str(path)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A random encoder that has a piece for each name."""
    folder = tmp_path_factory.mktemp("plain")
    text = folder / "text.txt"
    text.write_text(" ".join([*NAMES, *OTHERS] * 2), encoding="utf8")
    return build_encoder("tiny", folder / "plain", vocab_text=text)


@pytest.fixture(scope="module")
def taught(plain, tmp_path_factory):
    """Encoders that were taught all types, and the coarse ones only."""

    def teach(name, types):
        folder = tmp_path_factory.mktemp(name)
        section = {
            "encoder": str(plain),
            "train": write_typed(folder / "train.parquet", 600, 0, types),
            "dev": write_typed(folder / "dev.parquet", 60, 1, types),
            "objective": {"@misc": "spacy_hetner.TypedTagging.v1"},
            "optimizer": {"@misc": "spacy_hetner.AdamW.v1", "learn_rate": 0.005},
            "max_epochs": 25,
            "sampler": {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 512},
        }
        outcome = pretrain(Config({"pretraining": section}), folder / "run", cpu=True)
        assert outcome.scores["f"] > 0.9
        return outcome.encoder

    return {
        "all": teach("all", {name: name for name in TYPES}),
        "coarse": teach("coarse", COARSE),
    }


def make_pipeline(encoder):
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(encoder), "pooling": "first"}
    nlp.add_pipe("transformer", config={"model": model})
    nlp.add_pipe("tok2vec", config={"model": REPRESENTATION})
    nlp.add_pipe("hetner_tagger", config={"model": {"tok2vec": {"width": 32}, "dropout": 0.0}})
    return nlp


def fine_tuned_f(encoder, updates=80):
    """Strict F on many names, of a new head that has seen 20 sentences."""
    nlp = make_pipeline(encoder)
    fix_random_seed(0)
    examples = [make_example(nlp, *sentence) for sentence in sentences(20, 2)]
    optimizer = nlp.initialize(lambda: examples)
    for update in range(updates):
        optimizer.learn_rate = 0.005 * (1 - update / updates)
        nlp.update(examples, sgd=optimizer)
    held_out = [make_example(nlp, *sentence) for sentence in sentences(150, 3)]
    for example in held_out:
        example.predicted = nlp(example.predicted)
    return make_entity_spans_scorer("entities")(held_out)["spans_entities_f"]


def test_few_examples_are_enough_for_an_encoder_that_knows_the_types(plain, taught):
    """Check 8.3, 13: better than the plain encoder by 5 points, and all types than a few."""
    by_encoder = {name: fine_tuned_f(path) for name, path in {"plain": plain, **taught}.items()}
    assert by_encoder["all"] > by_encoder["plain"] + 0.05
    assert by_encoder["all"] > by_encoder["coarse"]


def test_fine_tuning_starts_from_the_encoder_and_a_new_head(taught):
    """Check 8.3, 6: the tensors of the encoder are those of the folder, labels are the target's."""
    nlp = make_pipeline(taught["all"])
    nlp.initialize(lambda: [make_example(nlp, ["balnam", "was"], [(0, 1, "mountain")])])
    loaded = torch_encoder(nlp.get_pipe("transformer").model).transformer.state_dict()
    saved = load_file(taught["all"] / "model.safetensors")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
    tagger = nlp.get_pipe("hetner_tagger")
    assert tagger.labels == ("mountain",)
    head = load_file(taught["all"] / "head.safetensors")
    assert head["weight"].shape[0] == 2 * len(TYPES) + 1
    assert len(tagger.tag_set) == 1 + 4  # BMES
