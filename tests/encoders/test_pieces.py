"""From docs to pieces: every character a tokenizer keeps reaches the token it belongs to."""

from pathlib import Path
from typing import Any, Callable, List, Tuple

import numpy
import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from transformers import AutoTokenizer

from spacy_hetner.encoders.alignment import PieceBatch, align_offsets
from spacy_hetner.encoders.chinese import create_chinese_tokenizer
from spacy_hetner.encoders.pieces import (
    PieceTokenizer,
    read_pieces,
    special_pieces,
    token_offsets,
)

Offsets = List[Tuple[int, int]]


def shared_characters(tokens: Offsets, pieces: Offsets) -> List[Tuple[int, int]]:
    """The links by their definition: token and piece share a character."""
    return [
        (t, p)
        for t, token in enumerate(tokens)
        for p, piece in enumerate(pieces)
        if set(range(*token)) & set(range(*piece))
    ]


@st.composite
def ranges(draw: st.DrawFn) -> Offsets:
    """Ranges in text order with gaps; some repeat, like the pieces of one split character."""
    offsets: Offsets = []
    end = 0
    for gap, length, copies in draw(
        st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 2)), max_size=12)
    ):
        start = end + gap
        end = start + length
        offsets.extend([(start, end)] * copies)
    return offsets


def as_array(offsets: Offsets) -> numpy.ndarray:
    return numpy.array(offsets, dtype="int64").reshape(-1, 2)


@given(ranges().map(lambda offsets: list(dict.fromkeys(offsets))), ranges())
def test_alignment_is_sharing_a_character(tokens: Offsets, pieces: Offsets) -> None:
    owners, linked = align_offsets(as_array(tokens), as_array(pieces))
    links = list(zip(owners.tolist(), linked.tolist(), strict=True))
    assert links == shared_characters(tokens, pieces)


ZH_CHARACTERS = create_chinese_tokenizer(per_character=True)
TOKENIZERS = {
    "en": lambda: spacy.blank("en"),
    "zh": lambda: _chinese(create_chinese_tokenizer()),
    "zh_characters": lambda: _chinese(ZH_CHARACTERS),
}


def _chinese(create: Callable[[Language], Any]) -> Language:
    nlp = spacy.blank("zh")
    nlp.tokenizer = create(nlp)
    return nlp


@pytest.fixture(scope="module", params=list(TOKENIZERS))
def nlp(request: pytest.FixtureRequest) -> Language:
    return TOKENIZERS[request.param]()


@pytest.fixture(scope="module")
def fast_tokenizer(worded_encoder: Path) -> Any:
    return AutoTokenizer.from_pretrained(worded_encoder, local_files_only=True)


AWKWARD = [
    "北京",
    "我在",
    "hello",
    "iPhone15",
    "unheard",
    "２０２４",
    "Ａｐｐ",
    "ﬁ",
    "㍿",
    "é",
    "e\u0301",
    "\u0301",
    "ｶﾞ",
    "\u1112\u1161\u11ab",
    "한",
    "😀",
    "👩\u200d👩\u200d👧",
    "👍🏽",
    "☺\ufe0f",
    "🇨🇳",
    "don't",
    "U.S.",
    "3.14",
    "……",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u3000",
    "\u00a0",
    "\u0085",
    "\u200b",
    "\u200f",
    "\u00ad",
    "\u0007",
    "\ufffd",
    "\U00020000",
    "مرحبا",
    "naïve",
    "ß" * 120,
]
texts = st.lists(
    st.sampled_from(AWKWARD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    max_size=12,
).map("".join)


def links_of(batch: PieceBatch) -> List[Tuple[int, int, int]]:
    """(token, window, row) of every link."""
    columns = (batch.link_token, batch.link_window, batch.link_row)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(text=texts)
@example(text="e\u0301\u0301 ｶﾞ☺\ufe0f")
@settings(max_examples=150, deadline=None)
def test_every_kept_character_reaches_its_token(
    nlp: Language, fast_tokenizer: Any, text: str
) -> None:
    doc = nlp.make_doc(text)
    batch = PieceTokenizer(fast_tokenizer, capacity=10_000, overlap=0)([doc])
    encoded = fast_tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    first = 1  # Behind [CLS].
    assert links_of(batch) == [
        (t, 0, first + p)
        for t, p in shared_characters(
            [(token.idx, token.idx + len(token)) for token in doc], encoded["offset_mapping"]
        )
    ]
    linked = set(batch.link_token.tolist())
    for token in doc:
        kept = fast_tokenizer(token.text, add_special_tokens=False)["input_ids"]
        assert token.i in linked or not kept, token.text


@given(text=texts)
@settings(max_examples=100, deadline=None)
def test_by_token_no_piece_has_two_owners(nlp: Language, fast_tokenizer: Any, text: str) -> None:
    doc = nlp.make_doc(text)
    batch = PieceTokenizer(fast_tokenizer, capacity=10_000, overlap=0, by_token=True)([doc])
    places = [(window, row) for _, window, row in links_of(batch)]
    assert len(set(places)) == len(places)
    for token in doc:
        own = [
            int(batch.window_ids[window][row])
            for owner, window, row in links_of(batch)
            if owner == token.i
        ]
        assert own == fast_tokenizer(token.text, add_special_tokens=False)["input_ids"]


def test_by_token_keeps_the_letters_of_a_word_apart(fast_tokenizer: Any) -> None:
    doc = _chinese(ZH_CHARACTERS).make_doc("用iPhone")
    assert [t.text for t in doc] == [*"用iPhone"]
    joint = PieceTokenizer(fast_tokenizer, capacity=50, overlap=0)([doc])
    apart = PieceTokenizer(fast_tokenizer, capacity=50, overlap=0, by_token=True)([doc])
    assert [row for _, _, row in links_of(joint)] == [1, 2, 2, 2, 2, 2, 2]
    assert [row for _, _, row in links_of(apart)] == [1, 2, 3, 4, 5, 6, 7]


def test_tokens_that_share_a_piece_share_its_place(fast_tokenizer: Any) -> None:
    doc = Doc(Vocab(), words=["hel", "lo", "x"], spaces=[False, True, False])
    batch = PieceTokenizer(fast_tokenizer, capacity=50, overlap=0)([doc])
    assert links_of(batch) == [(0, 0, 1), (1, 0, 1), (2, 0, 2)]


# What is no doc, such as a record that is pre-trained on


@given(text=texts, by_token=st.booleans())
@settings(max_examples=150, deadline=None)
def test_tokens_and_spaces_are_cut_as_their_doc_is(
    nlp: Language, fast_tokenizer: Any, text: str, by_token: bool
) -> None:
    doc = nlp.make_doc(text)
    offsets = token_offsets([t.text for t in doc], [bool(t.whitespace_) for t in doc])
    assert [doc.text[start:end] for start, end in offsets] == [t.text for t in doc]
    ((ids, link_token, link_piece),) = read_pieces(
        fast_tokenizer, [doc.text], [offsets], by_token=by_token
    )
    batch = PieceTokenizer(fast_tokenizer, capacity=10_000, overlap=0, by_token=by_token)([doc])
    prefix, suffix = special_pieces(fast_tokenizer)
    assert len(batch.window_ids) == (1 if len(ids) else 0)
    for window in batch.window_ids:
        assert window.tolist() == [*prefix, *ids, *suffix]
    assert batch.link_token.tolist() == link_token.tolist()
    assert batch.link_row.tolist() == (link_piece + len(prefix)).tolist()


@given(st.lists(st.text(min_size=1, max_size=5), max_size=6), st.data())
def test_offsets_are_those_of_a_doc(tokens: List[str], data: st.DataObject) -> None:
    n = len(tokens)
    spaces = data.draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    doc = Doc(Vocab(), words=tokens, spaces=spaces)
    offsets = token_offsets(tokens, spaces)
    assert offsets.dtype == numpy.int64 and offsets.shape == (n, 2)
    assert offsets.tolist() == [[t.idx, t.idx + len(t)] for t in doc]


@given(st.lists(texts, max_size=4), st.booleans())
@settings(max_examples=50, deadline=None)
def test_texts_do_not_touch_each_other(
    fast_tokenizer: Any, batch: List[str], by_token: bool
) -> None:
    tokens = [text.split() for text in batch]
    joined = [" ".join(words) for words in tokens]
    offsets = [token_offsets(words) for words in tokens]
    together = read_pieces(fast_tokenizer, joined, offsets, by_token=by_token)
    assert len(together) == len(batch)
    for text, ranges, pieces in zip(joined, offsets, together, strict=True):
        (alone,) = read_pieces(fast_tokenizer, [text], [ranges], by_token=by_token)
        for found, expected in zip(pieces, alone, strict=True):
            assert found.tolist() == expected.tolist()


def test_special_pieces_stand_around_a_text(fast_tokenizer: Any) -> None:
    prefix, suffix = special_pieces(fast_tokenizer)
    assert fast_tokenizer.convert_ids_to_tokens(prefix) == ["[CLS]"]
    assert fast_tokenizer.convert_ids_to_tokens(suffix) == ["[SEP]"]


@st.composite
def docs_with_sentences(draw: st.DrawFn) -> List[List[List[str]]]:
    """Docs as lists of sentences of words."""
    words = st.sampled_from(["hello", "Oslo", "我", "a", ",", "\n", "\u200f"])
    sentence = st.lists(words, min_size=1, max_size=8)
    return draw(st.lists(st.lists(sentence, max_size=5), min_size=1, max_size=4))


def as_docs(vocab: Any, docs: List[List[List[str]]]) -> List[Doc]:
    return [
        Doc(
            vocab,
            words=[word for sentence in doc for word in sentence],
            sent_starts=[i == 0 for sentence in doc for i in range(len(sentence))],
        )
        for doc in docs
    ]


@given(docs_with_sentences(), st.integers(1, 12), st.integers(-1, 2), st.booleans())
@settings(max_examples=150, deadline=None)
def test_windows_change_the_context_but_not_the_pieces_of_a_token(
    fast_tokenizer: Any, words: List[List[List[str]]], capacity: int, k: int, by_token: bool
) -> None:
    docs = as_docs(Vocab(), words)
    whole = PieceTokenizer(fast_tokenizer, capacity=1000, overlap=0, by_token=by_token)(docs)
    cut = PieceTokenizer(
        fast_tokenizer,
        capacity=capacity,
        overlap=capacity // 2,
        context_sentences=k,
        by_token=by_token,
    )(docs)
    assert cut.doc_lengths == whole.doc_lengths == [len(doc) for doc in docs]
    assert cut.n_tokens == whole.n_tokens == sum(len(doc) for doc in docs)
    assert all(3 <= len(ids) <= capacity + 2 for ids in cut.window_ids)
    assert all(ids[0] == 2 and ids[-1] == 3 for ids in cut.window_ids)
    assert [(token, cut.window_ids[window][row]) for token, window, row in links_of(cut)] == [
        (token, whole.window_ids[window][row]) for token, window, row in links_of(whole)
    ]


def window_texts(tokenizer: Any, batch: PieceBatch) -> List[str]:
    return [tokenizer.decode(ids, skip_special_tokens=True) for ids in batch.window_ids]


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        (0, ["hello x", "北 京", "a b c"]),
        (1, ["hello x 北 京", "hello x 北 京 a b c", "北 京 a b c"]),
        (2, ["hello x 北 京 a b c"] * 3),
    ],
)
def test_context_sentences(fast_tokenizer: Any, k: int, expected: List[str]) -> None:
    (doc,) = as_docs(Vocab(), [[["hello", "x"], ["北", "京"], ["a", "b", "c"]]])
    batch = PieceTokenizer(fast_tokenizer, capacity=20, overlap=5, context_sentences=k)([doc])
    assert window_texts(fast_tokenizer, batch) == expected
    assert batch.link_window.tolist() == [0, 0, 1, 1, 2, 2, 2]


def test_a_doc_without_sentences_is_one_running_text(fast_tokenizer: Any) -> None:
    doc = spacy.blank("en")("hello x a b c")
    tokenizer = PieceTokenizer(fast_tokenizer, capacity=20, overlap=5, context_sentences=1)
    with pytest.warns(UserWarning, match=r"\[HW034\]"):
        batch = tokenizer([doc])
    assert window_texts(fast_tokenizer, batch) == ["hello x a b c"]


def test_docs_without_sentences_are_counted_and_told_once(fast_tokenizer: Any) -> None:
    nlp = spacy.blank("en")
    docs = [nlp("hello x"), *as_docs(nlp.vocab, [[["a", "b"], ["c"]]]), nlp("a b c")]
    tokenizer = PieceTokenizer(fast_tokenizer, capacity=20, overlap=5, context_sentences=0)
    with pytest.warns(UserWarning) as told:
        batch = tokenizer(docs)
    (warning,) = told
    assert "2 of 3 docs have no sentence boundaries" in str(warning.message)
    assert window_texts(fast_tokenizer, batch) == ["hello x", "a b", "c", "a b c"]


def test_no_docs_and_empty_docs(fast_tokenizer: Any) -> None:
    vocab = Vocab()
    tokenizer = PieceTokenizer(fast_tokenizer, capacity=20, overlap=5, context_sentences=0)
    for docs in ([], [Doc(vocab)], [Doc(vocab), Doc(vocab, words=["\n"])]):
        batch = tokenizer(docs)
        assert batch.window_ids == [] and len(batch.link_token) == 0
        assert batch.doc_lengths == [len(doc) for doc in docs]


def test_a_tokenizer_that_was_told_to_cut_and_fill_does_neither(
    encoder_copy: Path, tiny_encoder: Path
) -> None:
    doc = spacy.blank("en")("Oslo and Lima " * 20)
    plain = AutoTokenizer.from_pretrained(tiny_encoder, local_files_only=True)
    expected = PieceTokenizer(plain, capacity=5000, overlap=0)([doc])
    plain.backend_tokenizer.enable_truncation(8)
    plain.backend_tokenizer.enable_padding(length=8)
    plain.backend_tokenizer.save(str(encoder_copy / "tokenizer.json"))
    cutting = AutoTokenizer.from_pretrained(encoder_copy, local_files_only=True)
    batch = PieceTokenizer(cutting, capacity=5000, overlap=0)([doc])
    assert links_of(batch) == links_of(expected)
    assert [ids.tolist() for ids in batch.window_ids] == [
        ids.tolist() for ids in expected.window_ids
    ]
