"""Texts that are like others: folding, hashes, equal texts and runs in common."""

import hashlib

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora import overlaps
from spacy_hetner.corpora.overlaps import (
    EQUAL,
    SHARES,
    UNLIKE,
    TextIndex,
    fold,
    hash_runs,
    hash_texts,
)

short_texts = st.lists(st.text("ab𠮷", max_size=8), max_size=12)


def compare(index, folded):
    return index.compare(folded, hash_texts(folded)).tolist()


@pytest.mark.parametrize(
    "text,folded",
    [
        ("Ａ１２３ ％", "A123%"),
        (" a\u3000b\n\tc\u00a0", "abc"),
        ("ﾃｽﾄ", "テスト"),
        ("e\u0301", "é"),
    ],
)
def test_texts_are_folded(text, folded):
    assert fold(text) == folded


def test_hashes_of_texts_are_the_same_everywhere():
    expected = hashlib.blake2b("北京".encode(), digest_size=8).digest()
    assert hash_texts(["北京"]).tolist() == [int.from_bytes(expected, "little")]
    assert hash_texts([]).shape == (0,) and hash_texts([]).dtype == numpy.uint64


@given(st.text("ab𠮷", max_size=12), st.integers(1, 5))
def test_runs_have_equal_hashes_if_they_are_equal(text, length):
    runs = [text[start : start + length] for start in range(len(text) - length + 1)]
    hashes = hash_runs(text, length).tolist()
    assert len(hashes) == len(runs) and len(set(hashes)) == len(set(runs))
    assert [hash_runs(run, length).item() for run in runs] == hashes


@given(short_texts, short_texts, st.integers(1, 4))
def test_texts_are_compared_as_sets_of_runs_would(known, texts, length):
    def runs(text):
        return {text[start : start + length] for start in range(len(text) - length + 1)}

    taken = set().union(*map(runs, known))
    expected = [
        EQUAL if text in known else SHARES if runs(text) & taken else UNLIKE for text in texts
    ]
    assert compare(TextIndex.build(known, length), texts) == expected


def test_a_run_is_as_long_as_it_is_said():
    index = TextIndex.build(["0123456789abcdefghijklmnop"], 20)
    assert compare(index, ["x0123456789abcdefghix", "x0123456789abcdefghijx"]) == [UNLIKE, SHARES]


def test_no_run_reaches_from_one_text_into_the_next():
    assert compare(TextIndex.build(["abcd", "ab"], 4), ["ab", "cd"]) == [EQUAL, UNLIKE]
    assert compare(TextIndex.build(["ab", "cd"], 4), ["abcd"]) == [UNLIKE]


def test_many_texts_are_compared_in_blocks(monkeypatch):
    texts = ["nothing", "xabcx", "abc", ""] * 5
    index = TextIndex.build(["abc"], 3)
    whole = compare(index, texts)
    monkeypatch.setattr(overlaps, "_BLOCK", 3)
    assert compare(index, texts) == whole == [UNLIKE, SHARES, EQUAL, UNLIKE] * 5


def test_an_index_comes_back_from_its_folder(tmp_path):
    for known in (["abcdef", "x"], []):
        TextIndex.build(known, 3).to_disk(tmp_path / "index")
        index = TextIndex.from_disk(tmp_path / "index")
        assert index.overlap == 3
        assert compare(index, ["zbcdz", "x", "y"]) == (
            [SHARES, EQUAL, UNLIKE] if known else [UNLIKE] * 3
        )
