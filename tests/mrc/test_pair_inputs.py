"""What is read: query and text by the tokenizer's template, windows, types, places."""

import shutil
from pathlib import Path
from typing import Any, List

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mrc.cases import by_character, pieces_of
from transformers import AutoTokenizer

from spacy_hetner.encoders.pieces import pair_pieces
from spacy_hetner.mrc.inputs import PairReader
from spacy_hetner.mrc.module import Pair


@pytest.fixture(scope="session")
def reader(tokenizer: Any) -> PairReader:
    return PairReader(tokenizer, longest=64, window=20, overlap=6)


def test_the_input_is_the_tokenizers_own_pair(tokenizer: Any) -> None:
    reader = PairReader(tokenizer, longest=512, window=256, overlap=64)
    texts = ["张三住在北京", "hello words 1956年", "é 10 km"]
    tokens = [["张三", "住", "在", "北京"], ["hello", "words", "1956", "年"], ["é", "10", "km"]]
    offsets = [
        numpy.array([(text.index(t), text.index(t) + len(t)) for t in of])
        for text, of in zip(texts, tokens, strict=True)
    ]
    query = "学习的 hello"
    for text, ranges, pieces in zip(texts, offsets, reader.read_texts(texts, offsets), strict=True):
        expected = tokenizer(query, text, return_offsets_mapping=True)
        (pair,) = reader.pairs(reader.read_query(query), pieces)
        assert pair.ids.tolist() == expected["input_ids"]
        types = (numpy.arange(len(pair.ids)) >= pair.begin).astype(int)
        assert types.tolist() == expected["token_type_ids"]
        assert pair.tokens.tolist() == list(range(len(ranges)))
        starts = [expected["offset_mapping"][row][0] for row in pair.rows]
        assert starts == ranges[:, 0].tolist(), "the first piece of each token"


def test_templates_of_other_tokenizers(encoder: Path, tmp_path: Path) -> None:
    """Of RoBERTa's kin two special pieces stand between both parts."""
    from tokenizers.processors import TemplateProcessing

    folder = Path(shutil.copytree(encoder, tmp_path / "copy"))
    tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True)
    ids = [("[CLS]", tokenizer.cls_token_id), ("[SEP]", tokenizer.sep_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] [SEP] $B [SEP]", special_tokens=ids
    )
    cls, sep = (number for _, number in ids)
    parts = pair_pieces(tokenizer)
    assert [part.tolist() for part in parts] == [[cls], [sep, sep], [sep]]


def pairs_of(reader: PairReader, n_tokens: int, n_query: int) -> List[Pair]:
    query = numpy.full(n_query, 7)
    return reader.pairs(query, pieces_of(n_tokens))


@given(st.integers(0, 200), st.integers(1, 34))
def test_each_token_is_judged_once(reader: PairReader, n_tokens: int, n_query: int) -> None:
    """Nothing is cut off, no input is too long, each row is the piece of its token."""
    pairs = pairs_of(reader, n_tokens, n_query)
    judged = [token for pair in pairs for token in pair.tokens.tolist()]
    assert judged == list(range(n_tokens))
    for pair in pairs:
        assert len(pair.ids) <= reader.longest and pair.begin == n_query
        assert len(pair.ids) - n_query - len(reader.behind) <= reader.window
        assert (pair.ids[pair.rows] == pair.tokens + 100).all()
    if n_tokens and n_tokens <= min(reader.window, reader.longest - n_query - 1):
        assert len(pairs) == 1


def test_a_long_query_leaves_shorter_windows(tokenizer: Any) -> None:
    """The text's room is what the query leaves; other labels are not affected."""
    reader = PairReader(tokenizer, longest=40, window=30, overlap=10)
    assert [len(pairs_of(reader, 30, n)) for n in (2, 20)] == [1, 2]


def test_tokens_without_pieces(tokenizer: Any) -> None:
    reader = PairReader(tokenizer, longest=64, window=20, overlap=6)
    text, offsets = by_character(["张", "\x00", "三"])
    (pieces,) = reader.read_texts([text], [offsets])
    (pair,) = reader.pairs(reader.read_query("人"), pieces)
    assert pair.tokens.tolist() == [0, 2]
    text, offsets = by_character(["\x00"])
    (pieces,) = reader.read_texts([text], [offsets])
    assert reader.pairs(reader.read_query("人"), pieces) == []
    assert reader.read_texts([], []) == []


def test_by_token(tokenizer: Any) -> None:
    """Parts of a number are pieces of their own."""
    text, offsets = by_character(["1", "9", "5", "6"])
    rows = []
    for by_token in (True, False):
        reader = PairReader(tokenizer, longest=64, window=20, overlap=6, by_token=by_token)
        (pieces,) = reader.read_texts([text], [offsets])
        (pair,) = reader.pairs(reader.read_query("年"), pieces)
        rows.append(len(set(pair.ids[pair.rows].tolist())))
    assert rows[0] == 4


def test_a_query_that_leaves_no_room(reader: PairReader) -> None:
    assert len(reader.read_query("年" * 32)) == 34
    with pytest.raises(ValueError, match=r"\[HE270\] The query '年+' has 33 pieces, more than 32"):
        reader.read_query("年" * 33)


@pytest.mark.parametrize(
    ("window", "overlap", "message"),
    [(0, 0, r"\[HE078\] window"), (10, 10, r"\[HE032\]"), (10, -1, r"\[HE032\]")],
)
def test_bad_windows(tokenizer: Any, window: int, overlap: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PairReader(tokenizer, longest=64, window=window, overlap=overlap)
