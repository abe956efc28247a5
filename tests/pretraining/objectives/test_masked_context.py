"""Masked mentions in their context: what is masked and guessed, the mean over masks, stages."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy
import pytest
import torch
from pretraining.conftest import read_log
from pretraining.objectives.conftest import characters
from safetensors.torch import load_file
from spacy.util import load_config
from torch import nn

from spacy_hetner.corpora.distant import NON_ENTITIES, annotate
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED, LABELS
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.encoders.hugging_face import load_encoder, load_tokenizer
from spacy_hetner.engine.local import LocalEngine
from spacy_hetner.engine.task import new_counts
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.pretraining.objectives.masked_context import (
    LEFT_OUT,
    LONG_CONTEXT,
    NOT_GUESSED,
    SPECIAL,
    make_masked_context,
    mean_of_each,
)
from spacy_hetner.pretraining.objectives.masked_language_modelling import MaskedLanguageModel
from spacy_hetner.pretraining.objectives.regions import (
    CUT,
    LONG_REGION,
    NOT_LEARNT,
    TOTALS,
    WITHOUT_PIECES,
)
from spacy_hetner.pretraining.settings import read_config, resolve_settings
from spacy_hetner.pretraining.stage import lineage_of, read_stage
from spacy_hetner.types import LabelledSpan

RNG = numpy.random.default_rng(0)
FACTS = {"labels": ["GPE", "ORG"]}
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of
UNKNOWN_CHARACTER = "\u16a0"  # one that the tiny encoder has no piece for


@pytest.fixture
def shown(character_encoder):
    """Pieces by their names."""
    tokenizer = load_tokenizer(character_encoder)
    return lambda ids: tokenizer.convert_ids_to_tokens(numpy.asarray(ids).tolist())


@pytest.fixture
def learner(character_encoder):
    torch.manual_seed(0)
    objective = make_masked_context(dropout=0.0)
    return objective.learner(load_encoder(character_encoder).transformer, FACTS).eval()


def collate(rows, **settings):
    return make_masked_context(**settings).collate(rows, RNG)


def mean_at_masks(learner, row):
    """What the encoder says of the region of an instance."""
    tensors = collate([row]).tensors
    vectors = learner.encode(tensors).flatten(0, 1)[tensors["rows"]]
    return mean_of_each(vectors, tensors["regions"], 1)


# What is masked


@pytest.mark.parametrize("by_token", [False, True])
def test_all_pieces_of_a_mention_are_masked(golden, cut_regions, shown, by_token):
    for case in golden("decoupled")["masking"]:
        record = characters("".join(case["chars"]), (*case["span"], "ORG"))
        (row,) = cut_regions(make_masked_context(by_token=True), [record])
        assert shown(row["pieces"]) == ["[CLS]", *case["context_pretrain"], "[SEP]"]
        assert shown(row["targets"]) == case["mlm_targets"]
        start, end = case["span"]
        assert row["masks"].tolist() == list(range(start + 1, end + 1))
        assert row["masks"][0] == case["mask_index_with_cls"] and row["label"].tolist() == [2]
        if not by_token:  # in running text digits are continued, and a mention is cut on its own
            (row,) = cut_regions(make_masked_context(), [record])
            pieces = shown(row["targets"])
            assert "".join(piece.removeprefix("##") for piece in pieces) == "".join(case["mention"])
            assert shown(row["pieces"][row["masks"]]) == ["[MASK]"] * len(pieces)


def test_a_sentence_with_k_mentions_gives_k_examples(tmp_path, cut_regions, shown):
    """Distant labels, leftmost-longest: of entries that overlap one is a mention."""
    Gazetteer({"北京": ["GPE"], "北京大学": ["ORG"], "大学": ["ORG"], "上海": ["GPE"]}).to_disk(
        tmp_path / "names"
    )
    (tmp_path / "texts.txt").write_text("我在北京大学看上海的人\n我看东西\n", encoding="utf8")
    annotate(
        [tmp_path / "texts.txt"],
        tmp_path / "labelled",
        tmp_path / "names",
        LocalEngine(progress=False),
        lang="zh",
        non_entities=1.0,
        max_region=2,
    )
    (record,) = read_stores([tmp_path / "labelled"])
    assert [tuple(span) for span in record.spans] == [(2, 6, "ORG"), (7, 9, "GPE")]
    others = record.meta[NON_ENTITIES]
    assert len(others) == 2
    counts = new_counts()
    rows = cut_regions(make_masked_context(), [record], counts=counts)
    assert [row["label"].tolist() for row in rows] == [[2], [1], [0], [0]]
    assert counts[LABELS] == {"ORG": 1, "GPE": 1, "O": 2}
    text = "我在北京大学看上海的人"
    for row, (start, end) in zip(rows, [(2, 6), (7, 9), *others], strict=True):
        # Only its own region is masked: the other mention is context.
        expected = [*text[:start], *["[MASK]"] * (end - start), *text[end:]]
        assert shown(row["pieces"]) == ["[CLS]", *expected, "[SEP]"]
        assert "".join(shown(row["targets"])) == text[start:end]


def test_nested_spans_are_all_examples(cut_regions):
    record = characters("我在北京大学", (2, 6, "ORG"), (2, 4, "GPE"), (2, 4, "ORG"))
    rows = cut_regions(make_masked_context(), [record])
    assert [(row["label"].item(), len(row["masks"])) for row in rows] == [(2, 4), (1, 2), (2, 2)]


def test_the_name_of_the_mask_piece_in_a_text_is_text(cut_regions, shown):
    record = Record(["x", "[MASK]", "x", "y"], [LabelledSpan(2, 3, "ORG")])
    for by_token in (False, True):
        (row,) = cut_regions(make_masked_context(by_token=by_token), [record])
        pieces = shown(row["pieces"])
        assert pieces.count("[MASK]") == 1 and pieces.index("[MASK]") == row["masks"].item()
        assert shown(row["targets"]) == ["x"] and pieces[row["masks"].item() + 1] == "y"


def test_a_long_sentence_is_a_window_around_the_region(cut_regions, shown):
    text = "篮协成立于年月我在北京大学习看天安门的人"
    counts = new_counts()
    spans = [(0, 2, "ORG"), (9, 13, "ORG"), (18, 20, "GPE")]
    objective = make_masked_context(max_pieces=8)
    rows = cut_regions(objective, [characters(text, *spans)], counts=counts)
    hidden = ["[MASK]"] * 2
    assert [shown(row["pieces"])[1:-1] for row in rows] == [
        [*hidden, *text[2:8]],
        [*text[7:9], *hidden * 2, *text[13:15]],
        [*text[12:18], *hidden],
    ]
    for row, (start, end, _) in zip(rows, spans, strict=True):
        assert shown(row["pieces"][row["masks"]]) == ["[MASK]"] * (end - start)
        assert "".join(shown(row["targets"])) == text[start:end]
    assert counts[CUT] == {LONG_CONTEXT: 3} and not counts[DROPPED]
    # Nor is a region lost that is longer than all that is read: its ends are.
    (row,) = cut_regions(objective, [characters(text, (1, 19, "ORG"))], counts=counts)
    assert shown(row["pieces"])[1:-1] == hidden * 4
    assert "".join(shown(row["targets"])) == text[1:5] + text[15:19]
    assert counts[CUT] == {LONG_CONTEXT: 4, LONG_REGION: 1}


def test_what_is_lost_is_counted(cut_regions, shown):
    counts = new_counts()
    spans = [LabelledSpan(0, 1, "ORG"), LabelledSpan(1, 3, "ORG"), LabelledSpan(3, 4, "river")]
    record = Record([SWALLOWED, UNKNOWN_CHARACTER, "北", "看"], spans, [False] * 4)
    rows = cut_regions(make_masked_context(), [record], counts=counts)
    assert [row["label"].item() for row in rows] == [2, -1]
    # A piece for nothing in particular is hidden, but nobody can be asked to guess it.
    assert rows[0]["targets"][0] == NOT_GUESSED and shown(rows[0]["targets"][1:]) == ["北"]
    assert shown(rows[0]["pieces"]) == ["[CLS]", "[MASK]", "[MASK]", "看", "[SEP]"]
    assert counts[DROPPED] == {WITHOUT_PIECES: 1} and counts[LEFT_OUT] == {SPECIAL: 1}
    assert counts[NOT_LEARNT] == {"river": 1} and counts[LABELS] == {"ORG": 1}
    assert counts[TOTALS] == {"records": 1, "masked pieces": 3}
    batch = collate(rows)
    assert batch.counts == {"mlm": 2, "type": 1}


# What is learnt


def test_the_type_is_told_by_the_mean_over_the_masks(golden):
    case = golden("decoupled")["context_pooling"]
    vectors = torch.tensor(case["H"])
    masks = torch.tensor(case["mask_positions"])
    found = mean_of_each(vectors[masks], torch.zeros(3, dtype=torch.long), 1)
    torch.testing.assert_close(found, torch.tensor([case["pretrain_avg"]]))
    single = mean_of_each(vectors[masks[:1]], torch.zeros(1, dtype=torch.long), 1)
    torch.testing.assert_close(single, torch.tensor([case["unified"]]))


def test_the_mean_reaches_the_classes(golden):
    """Of a whole learner, with an encoder whose vectors are those of the golden file."""
    case = golden("decoupled")["context_pooling"]

    class Given(nn.Module):
        def __init__(self):
            super().__init__()
            self.config = SimpleNamespace(hidden_size=4)
            self.table = nn.Embedding(9, 4)

        def get_input_embeddings(self):
            return self.table

        def forward(self, input_ids, attention_mask, return_dict):
            return SimpleNamespace(last_hidden_state=torch.tensor([case["H"]]))

    learner = make_masked_context().learner(Given(), {"labels": ["a", "b", "c"]}).eval()
    with torch.no_grad():
        learner.head.types.weight.copy_(torch.eye(4))
        learner.head.types.bias.zero_()
    positions = numpy.array(case["mask_positions"])
    row = {"pieces": numpy.ones(8), "masks": positions, "targets": positions, "label": [1]}
    batch = collate([row])
    expected = -torch.log_softmax(torch.tensor(case["pretrain_avg"]), 0)[1]
    torch.testing.assert_close(learner(batch.tensors)["type"], expected)
    assert batch.counts == {"mlm": 3, "type": 1}


def test_lengths_are_told_apart_in_pre_training(cut_regions, learner):
    """Mentions of lengths 1 and 8 in the same context have the same context, but not the same
    number of masks: the scorer, which gets one mask whatever the length, cannot tell them apart."""
    short = characters("我看的人", (2, 3, "ORG"))
    long = characters("我看北京大学天安门的人", (2, 10, "ORG"))
    rows = cut_regions(make_masked_context(), [short, long])
    assert [len(row["masks"]) for row in rows] == [1, 8]
    stripped = [numpy.delete(row["pieces"], row["masks"]).tolist() for row in rows]
    assert stripped[0] == stripped[1]
    first, second = (mean_at_masks(learner, row) for row in rows)
    assert (first - second).abs().max() > 1e-3


def test_the_mention_itself_leaves_no_trace(cut_regions, learner):
    """Of two of one length the inputs are the same, and so is what is said of them."""
    records = [characters(f"我在{name}看", (2, 4, "GPE")) for name in ("北京", "上海")]
    first, second = cut_regions(make_masked_context(), records)
    assert first["pieces"].tolist() == second["pieces"].tolist()
    assert first["targets"].tolist() != second["targets"].tolist()
    assert torch.equal(mean_at_masks(learner, first), mean_at_masks(learner, second))


@pytest.fixture
def rows(cut_regions):
    return cut_regions(
        make_masked_context(),
        [
            characters("我在北京大学看", (2, 6, "ORG"), others=[(0, 1), (6, 7)]),
            characters("上海的人", (0, 2, "GPE"), (2, 4, "river")),
        ],
    )


def test_losses_are_sums_over_pieces_and_over_regions(rows, learner):
    batch = collate(rows)
    tensors = batch.tensors
    assert batch.counts == {"mlm": 4 + 1 + 1 + 2 + 2, "type": 4}
    assert (batch.pieces, batch.padded) == (9 * 3 + 6 * 2, 45)
    # Guessing is that of masked language modelling, over the same head.
    mlm = MaskedLanguageModel(learner.transformer).eval()
    mlm.head.load_state_dict(learner.head.pieces.state_dict())
    as_mlm = {**tensors, "labels": tensors["targets"]}
    expected = mlm(as_mlm)["masked_language_modelling"]
    found = learner(tensors)
    torch.testing.assert_close(found["mlm"], expected)
    # One region at a time gives the same.
    alone = [learner(collate([row]).tensors) for row in rows]
    for name in ("mlm", "type"):
        torch.testing.assert_close(sum(part[name] for part in alone), found[name])
    logits = torch.cat([learner.head.types(mean_at_masks(learner, row)) for row in rows])
    labels = torch.tensor([2, 0, 0, 1])
    by_hand = -torch.log_softmax(logits[:4], 1)[torch.arange(4), labels].sum()
    torch.testing.assert_close(found["type"], by_hand)


def test_pieces_of_no_entity_are_guessed_if_wanted(rows, learner):
    batch = collate(rows, guess_non_entities=False)
    assert batch.counts == {"mlm": 4 + 2 + 2, "type": 4}
    entities = [row for row in rows if row["label"] != 0]
    expected = learner(collate(entities).tensors)["mlm"]
    torch.testing.assert_close(learner(batch.tensors)["mlm"], expected)
    # The types of such regions are learnt in any case, also in a batch with nothing to guess.
    nothing = [row for row in rows if row["label"] == 0]
    left = collate(nothing, guess_non_entities=False)
    losses = learner(left.tensors)
    assert left.counts == {"mlm": 0, "type": 2} and losses["mlm"].item() == 0
    (losses["mlm"] + losses["type"]).backward()
    assert learner.head.types.weight.grad.abs().sum() > 0


def test_scores(rows, learner):
    objective = make_masked_context()
    statistics = learner.measure(collate(rows).tensors)
    assert statistics.dtype == torch.float64 and statistics.shape == (7,)
    assert statistics[1] == 10 and statistics[3] == 5 and statistics[6] == 3
    halves = [learner.measure(collate(part).tensors) for part in (rows[:2], rows[2:])]
    assert torch.equal(sum(halves), statistics)
    scores = objective.scores(numpy.array([3, 4, 4, 6, 2, 2, 4]))
    assert scores == {
        "p": 1.0,
        "r": 0.5,
        "f": pytest.approx(2 / 3),
        "accuracy": pytest.approx(2 / 3),
        "piece_accuracy": 0.75,
    }
    assert set(objective.scores(numpy.zeros(7)).values()) == {0.0}


def test_weights():
    objective = make_masked_context(weight_mlm=0.5)
    assert objective.weights == {"mlm": 0.5, "type": 1.0} and objective.score == "f"
    assert make_masked_context(weight_type=0.0).score == "piece_accuracy"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"weight_mlm": 0, "weight_type": 0}, "HE261"),
        ({"weight_mlm": -1}, "HE002.*weight_mlm"),
        ({"weight_type": -1}, "HE002.*weight_type"),
        ({"dropout": 2.0}, "HE002.*dropout"),
        ({"max_pieces": 0}, "HE078.*max_pieces"),
    ],
)
def test_wrong_settings(wrong, code):
    with pytest.raises(ValueError, match=code):
        make_masked_context(**wrong)


def test_records_without_a_mention_teach_nothing(tmp_path):
    write_parquet([characters("的", others=[(0, 1)])], tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"HE260.*masked_context.*a\.parquet"):
        make_masked_context().inspect([tmp_path / "a.parquet"])


# Runs, and their order


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Names, and the same in sentences: what stands before them tells of which label they are."""
    folder = tmp_path_factory.mktemp("stores")
    names = {"GPE": ["北京", "上海", "南京"], "ORG": ["大学", "篮协", "天门"]}
    before = {"GPE": "我在", "ORG": "人看", None: "的月"}
    random = numpy.random.default_rng(0)
    for part, count in (("train", 120), ("dev", 40)):
        sentences, mentions = [], []
        for _ in range(count):
            label = random.choice(["GPE", "ORG"])
            name, other = random.choice(names[label]), random.choice(list("年成立东西"), 2)
            tail = random.choice(list("年成立东西"), random.integers(1, 6))
            text = "".join([before[label], name, before[None], *other, *tail])
            sentences.append(characters(text, (2, 4, label), others=[(6, 8)]))
            mentions += [
                characters(name, (0, 2, label)),
                characters("".join(other), others=[(0, 2)]),
            ]
        write_parquet(sentences, folder / "sentences" / f"{part}.parquet")
        write_parquet(mentions, folder / "mentions" / f"{part}.parquet")
    return folder


@pytest.fixture
def stage_settings(stores, character_encoder):
    """The settings of a stage over the sentences or the names."""

    def make(kind, objective, encoder=character_encoder, rate=0.005, **more):
        settings = {
            "train": str(stores / kind / "train.parquet"),
            "dev": str(stores / kind / "dev.parquet"),
            "objective": objective,
            "encoder": str(encoder),
            "accumulate": 1,
            "changes": {"optimizer.learn_rate": rate, "sampler.batch_pieces": 160},
        }
        return {**settings, **more}

    return make


@pytest.fixture
def teach(run, stage_settings):
    """Pre-train a stage, in a folder of some name."""
    return lambda name, *stage, **settings: run(name, **stage_settings(*stage, **settings))


MENTIONS = {"@misc": "spacy_hetner.MentionTyping.v1", "by_token": True}
CONTEXTS = {"@misc": "spacy_hetner.MaskedContext.v1", "by_token": True}


def test_a_run_learns_types_and_pieces(teach, tmp_path):
    outcome = teach("contexts", "sentences", CONTEXTS, max_epochs=6)
    first, *_, last = read_log(tmp_path / "contexts", "evaluation")
    assert last["scores"]["f"] > 0.95 and last["scores"]["accuracy"] > 0.95
    # Of three names one is right by chance.
    assert last["scores"]["piece_accuracy"] > first["scores"]["piece_accuracy"]
    steps = read_log(tmp_path / "contexts")
    for name in ("mlm", "type"):
        assert steps[-1]["losses"][name] < 0.7 * steps[0]["losses"][name]
    stage = read_stage(outcome.encoder)
    assert stage["objective"]["name"] == "masked_context"
    assert stage["objective"]["about"].startswith("Types and pieces of masked mentions")
    head = json.loads((outcome.encoder / "head.json").read_text(encoding="utf8"))
    assert head["classes"] == ["O", "GPE", "ORG"]
    weights = load_file(outcome.encoder / "head.safetensors")
    assert weights["types.weight"].shape == (3, 32) and "pieces.dense.weight" in weights
    assert "# contexts" in (outcome.encoder / "README.md").read_text(encoding="utf8")


def test_the_order_of_stages(teach, character_encoder):
    """The encoder after the names is the start of the contexts: weights differ only by training."""
    first = teach("names", "mentions", MENTIONS, max_epochs=1)
    still = teach("still", "sentences", CONTEXTS, first.encoder, rate=0.0, max_epochs=1)
    second = teach("both", "sentences", CONTEXTS, first.encoder, max_epochs=1)
    begun, taught, unchanged, changed = (
        load_encoder(folder).transformer.state_dict()
        for folder in (character_encoder, first.encoder, still.encoder, second.encoder)
    )
    assert taught.keys() == unchanged.keys() == changed.keys()
    assert all(torch.equal(taught[name], unchanged[name]) for name in taught)
    words = "embeddings.word_embeddings.weight"
    assert not torch.equal(begun[words], taught[words])
    assert not torch.equal(changed[words], taught[words])
    # Each head is new and stays with its stage; the lineage names all of them.
    record = read_stage(second.encoder)
    assert [stage.get("objective", {}).get("name") for stage in lineage_of(record)] == [
        None,
        "mention_typing",
        "masked_context",
    ]
    assert record["parent"]["weights"] == read_stage(first.encoder)["weights"]
    heads = [load_file(outcome.encoder / "head.safetensors") for outcome in (first, second)]
    assert heads[0].keys() == {"weight", "bias"} and not heads[0].keys() & heads[1].keys()


def test_labels_may_differ_between_stages(teach, tmp_path, stores):
    first = teach("names", "mentions", MENTIONS, max_epochs=1)
    one_label = [
        Record(r.tokens, [s._replace(label="NAME") for s in r.spans], r.spaces, meta=r.meta)
        for r in read_stores([stores / "sentences" / "train.parquet"])
    ]
    write_parquet(one_label, tmp_path / "one.parquet")
    second = teach(
        *("both", "sentences", CONTEXTS, first.encoder),
        train=str(tmp_path / "one.parquet"),
        max_steps=2,
    )
    assert load_file(second.encoder / "head.safetensors")["types.bias"].shape == (2,)
    # Labels of dev that training lacks are missed, and nothing else.
    stage = read_stage(second.encoder)
    assert stage["data"]["dev"]["counts"][NOT_LEARNT].keys() == {"GPE", "ORG"}
    assert second.scores["r"] == 0


@pytest.mark.slow
def test_two_processes_compute_what_one_does(teach, stage_settings, make_config, tmp_path):
    """Each loss is a mean over its own terms, in all processes."""
    objective = {**CONTEXTS, "guess_non_entities": False, "weight_mlm": 0.5}
    settings = {"max_epochs": 2, "accumulate": 2}
    teach("one", "sentences", objective, **settings)
    config = make_config(**stage_settings("sentences", objective, **settings))
    config.to_disk(tmp_path / "config.cfg")
    command = [sys.executable, "-m", "spacy", "hetner", "pretrain", str(tmp_path / "config.cfg")]
    options = ["--output", str(tmp_path / "two"), "--cpu", "--launcher", "torchrun"]
    result = subprocess.run(
        [*command, *options, "--processes", "2"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = ([line["losses"] for line in read_log(tmp_path / name)] for name in ("one", "two"))
    assert len(one) == len(two) > 10
    for line, other in zip(one, two, strict=True):
        assert line == pytest.approx(other, abs=1e-6)
    first, second = (read_log(tmp_path / name, "evaluation") for name in ("one", "two"))
    for line, other in zip(first, second, strict=True):
        assert line["scores"] == pytest.approx(other["scores"], rel=1e-5)


def test_the_config_reads_as_the_scorer_does(repo_root, character_encoder, stores):
    store = str(stores / "sentences" / "train.parquet")
    paths = {"paths.encoder": str(character_encoder), "paths.train": store, "paths.dev": store}
    settings = resolve_settings(read_config(repo_root / "configs" / "pretrain_context.cfg", paths))
    scorer = load_config(repo_root / "configs" / "decoupled.cfg")["components"]["scorer"]
    assert settings.objective == make_masked_context(by_token=scorer["model"]["by_token"])
