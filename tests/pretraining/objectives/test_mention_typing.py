"""Types of names that stand alone: what is read of a record, what counts, and what a run leaves."""

import json

import numpy
import pytest
import torch
from pretraining.conftest import read_log
from pretraining.objectives.conftest import characters
from safetensors.torch import load_file
from spacy.util import load_config

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.mentions import write_mentions
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED, LABELS
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder, load_tokenizer
from spacy_hetner.engine.task import new_counts
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.source import Source
from spacy_hetner.pretraining.objectives.mention_typing import make_mention_typing
from spacy_hetner.pretraining.objectives.regions import (
    CUT,
    LONG_REGION,
    NOT_LEARNT,
    NOT_LEARNT_CLASS,
    TOTALS,
    WITHOUT_PIECES,
    class_loss,
    class_scores,
    class_statistics,
)
from spacy_hetner.pretraining.settings import read_config, resolve_settings
from spacy_hetner.types import LabelledSpan

NAME = "mention_typing"
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of
RNG = numpy.random.default_rng(0)


def texts_of(rows, encoder):
    tokenizer = load_tokenizer(encoder)
    return ["".join(tokenizer.convert_ids_to_tokens(row["pieces"].tolist())) for row in rows]


# What is read


@pytest.mark.parametrize("by_token", [False, True])
def test_every_region_is_an_example_by_its_own_text(cut_regions, character_encoder, by_token):
    counts = new_counts()
    nested = characters("我在北京大学看", (2, 6, "ORG"), (2, 4, "GPE"), others=[(0, 1), (6, 7)])
    rows = cut_regions(make_mention_typing(by_token=by_token), [nested], counts=counts)
    assert texts_of(rows, character_encoder) == [
        f"[CLS]{text}[SEP]" for text in ("北京大学", "北京", "我", "看")
    ]
    assert [row["label"].tolist() for row in rows] == [[2], [1], [0], [0]]
    assert counts[LABELS] == {"ORG": 1, "GPE": 1, "O": 2} and counts[TOTALS] == {"records": 1}
    assert not counts[DROPPED]


def test_a_name_is_read_alike_wherever_it_stands(cut_regions):
    """Strict decoupling: its sentence leaves no trace, also where it ends inside a word."""
    alone = Record(["ada"], [LabelledSpan(0, 1, "ORG")], [False])
    inside = Record(["x", "ada", "like"], [LabelledSpan(1, 2, "ORG")], [False] * 3)
    first, second = cut_regions(make_mention_typing(), [alone, inside])
    assert first["pieces"].tolist() == second["pieces"].tolist()


def test_labels_are_those_of_the_training_records(tmp_path):
    records = [characters("北京", (0, 2, "ORG"), (0, 2, "GPE")), characters("上海", (0, 2, "ORG"))]
    write_parquet(records, tmp_path / "a.parquet")
    facts = make_mention_typing().inspect([tmp_path / "a.parquet"])
    assert facts == {"labels": ["GPE", "ORG"], "examples": {"GPE": 1, "ORG": 2}}
    assert make_mention_typing().head_record(facts)["classes"] == ["O", "GPE", "ORG"]
    write_parquet([characters("的", others=[(0, 1)])], tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"HE260.*mention_typing.*b\.parquet"):
        make_mention_typing().inspect([tmp_path / "b.parquet"])


def test_what_is_lost_is_counted(cut_regions):
    counts = new_counts()
    records = [
        Record([SWALLOWED, "x"], [LabelledSpan(0, 1, "ORG"), LabelledSpan(1, 2, "river")]),
        characters("北京大学南上海", (0, 7, "GPE")),
    ]
    rows = cut_regions(make_mention_typing(max_pieces=5), records, counts=counts)
    assert [row["label"].tolist() for row in rows] == [[NOT_LEARNT_CLASS], [1]]
    assert counts[DROPPED] == {WITHOUT_PIECES: 1} and counts[CUT] == {LONG_REGION: 1}
    assert counts[NOT_LEARNT] == {"river": 1} and counts[LABELS] == {"GPE": 1}
    assert len(rows[1]["pieces"]) == 7


def test_a_tokenizer_without_a_mask_piece(cut_regions, character_encoder, tmp_path):
    """The scorer that the encoder is for would need one."""
    encoder = load_encoder(character_encoder)
    encoder.tokenizer.mask_token = None
    encoder.tokenizer.save_pretrained(tmp_path / "maskless")
    encoder.transformer.save_pretrained(tmp_path / "maskless")
    with pytest.raises(ValueError, match="HE250"):
        cut_regions(
            make_mention_typing(),
            [characters("北京", (0, 2, "GPE"))],
            encoder=tmp_path / "maskless",
        )


@pytest.mark.parametrize(
    ("wrong", "code"), [({"dropout": 2.0}, "HE002"), ({"max_pieces": 0}, "HE078")]
)
def test_wrong_settings(wrong, code):
    with pytest.raises(ValueError, match=code):
        make_mention_typing(**wrong)


# What counts


def test_scores_are_of_entities_and_of_all():
    """gold 0 1 1 2 -, predicted 0 1 2 0 1: one of three entities found is right, of four gold."""
    labels = torch.tensor([0, 1, 1, 2, NOT_LEARNT_CLASS])
    logits = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])]
    statistics = class_statistics(logits, labels)
    assert statistics.tolist() == [2, 5, 1, 3, 4] and statistics.dtype == torch.float64
    scores = class_scores(statistics.numpy())
    assert scores["accuracy"] == pytest.approx(2 / 5)
    assert scores["p"] == pytest.approx(1 / 3) and scores["r"] == pytest.approx(1 / 4)
    assert scores["f"] == pytest.approx(2 / 7)
    assert set(class_scores(numpy.zeros(5)).values()) == {0.0}


def test_the_loss_is_a_sum_over_what_is_learnt(cut_regions, character_encoder):
    torch.manual_seed(0)
    objective = make_mention_typing(dropout=0.0)
    facts = {"labels": ["GPE", "ORG"]}
    learner = objective.learner(load_encoder(character_encoder).transformer, facts).eval()
    assert learner.head.weight.shape == (3, 32)
    records = [
        characters("北京", (0, 2, "GPE")),
        characters("我在北京大学", (2, 6, "river"), others=[(0, 1)]),
    ]
    rows = cut_regions(objective, records)
    batch = objective.collate(rows, RNG)
    assert batch.counts == {NAME: 2.0}
    assert (batch.pieces, batch.padded) == (4 + 6 + 3, 18)
    tensors = batch.tensors
    vectors = learner.transformer(tensors["input_ids"], tensors["attention_mask"])[0][:, 0]
    expected = class_loss(learner.head(vectors), tensors["labels"])
    by_hand = -torch.log_softmax(learner.head(vectors), 1)[[0, 2], [1, 0]].sum()
    torch.testing.assert_close(expected, by_hand)
    torch.testing.assert_close(learner(tensors)[NAME], by_hand)
    # One after the other they are the same: no padding gets in.
    alone = [learner(objective.collate([row], RNG).tensors)[NAME] for row in rows]
    torch.testing.assert_close(sum(alone), by_hand)


# A run


@pytest.fixture
def dictionary(tmp_path):
    """Names of two kinds and common words, each kind in characters of its own."""
    kinds = {"GPE": "北南东西", "ORG": "大学协篮", None: "看我在的"}
    texts = {kind: [a + b for a in chars for b in chars] for kind, chars in kinds.items()}
    names = {text: [kind] for kind in ("GPE", "ORG") for text in texts[kind]}
    Gazetteer(names).to_disk(tmp_path / "names")
    words = "".join(f"{word}\n" for word in [*texts[None], "北南"])
    (tmp_path / "words.txt").write_text(words, encoding="utf8")
    common = [Source(tmp_path / "words.txt")]
    write_mentions(tmp_path / "names", tmp_path / "store", common, lang="zh", dev=0.25)
    return tmp_path / "store"


def test_a_dictionary_teaches_what_names_look_like(run, dictionary, character_encoder, tmp_path):
    outcome = run(
        "mentions",
        encoder=str(character_encoder),
        train=str(dictionary / "train.parquet"),
        dev=str(dictionary / "dev.parquet"),
        objective={"@misc": "spacy_hetner.MentionTyping.v1", "by_token": True},
        max_epochs=12,
        accumulate=1,
        changes={"optimizer.learn_rate": 0.01, "sampler.batch_pieces": 64},
    )
    first, *_, last = read_log(tmp_path / "mentions", "evaluation")
    assert last["scores"]["f"] > 0.9 > first["scores"]["f"] and last["scores"]["accuracy"] > 0.9
    stage = json.loads((outcome.encoder / "stage.json").read_text(encoding="utf8"))
    assert stage["objective"]["name"] == NAME
    assert stage["objective"]["about"].startswith("Types of names that stand alone")
    assert stage["data"]["train"]["counts"]["labels"].keys() == {"GPE", "ORG", "O"}
    head = json.loads((outcome.encoder / "head.json").read_text(encoding="utf8"))
    assert head["classes"] == ["O", "GPE", "ORG"]
    assert load_file(outcome.encoder / "head.safetensors")["weight"].shape == (3, 32)


def test_the_config_reads_as_the_scorer_does(repo_root, character_encoder, dictionary):
    store = str(dictionary / "train.parquet")
    paths = {"paths.encoder": str(character_encoder), "paths.train": store, "paths.dev": store}
    settings = resolve_settings(read_config(repo_root / "configs" / "pretrain_mention.cfg", paths))
    scorer = load_config(repo_root / "configs" / "decoupled.cfg")["components"]["scorer"]
    assert settings.objective == make_mention_typing(by_token=scorer["model"]["by_token"])


def test_meta_is_what_says_that_a_word_is_no_name(dictionary, cut_regions):
    records = [Record(["的"], [], meta={"page": 1}), Record(["的"], [], meta={NON_ENTITIES: []})]
    assert cut_regions(make_mention_typing(), records) == []
