"""The Chinese tokenizer: its rules, exact offsets, and word pieces that fit its tokens."""

import pickle

import numpy
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.vocab import Vocab

from spacy_hetner.encoders.build import build_encoder
from spacy_hetner.encoders.chinese import ChineseTokenizer, create_chinese_tokenizer

VOCAB = Vocab()
BY_RUN = ChineseTokenizer(VOCAB)
BY_CHARACTER = ChineseTokenizer(VOCAB, per_character=True)
NAME = "spacy_hetner.ChineseTokenizer.v1"

FAMILY = "👨\u200d👩\u200d👧"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
RULES = [
    ("科技部", ["科", "技", "部"]),
    ("𠮷野家㐂〇々", ["𠮷", "野", "家", "㐂", "〇", "々"]),
    ("カラオケの한국", ["カ", "ラ", "オ", "ケ", "の", "한", "국"]),
    ("ｶﾞｷﾞ", ["ｶﾞ", "ｷﾞ"]),
    ("买iPhone15吧", ["买", "iPhone15", "吧"]),
    ("２０２４年ＡＰＰ", ["２０２４", "年", "ＡＰＰ"]),
    ("ｉPhone１5", ["ｉPhone１5"]),
    ("Müller Žižek", ["Müller", "Žižek"]),
    ("e\u0301te\u0301", ["e\u0301te\u0301"]),
    ("Мир नमस्ते", ["Мир", "नमस्ते"]),
    ("中\u0301国", ["中\u0301", "国"]),
    ("3.14", ["3", ".", "14"]),
    ("U.S.", ["U", ".", "S", "."]),
    ("GPT-4", ["GPT", "-", "4"]),
    ("C++", ["C", "+", "+"]),
    ("a_b", ["a", "_", "b"]),
    ("x@y.cn", ["x", "@", "y", ".", "cn"]),
    ("……——", ["…", "…", "—", "—"]),
    ("25℃，￥9", ["25", "℃", "，", "￥", "9"]),
    (f"{FAMILY}👍🏽", [FAMILY, "👍🏽"]),
    ("🇨🇳🇺🇸", ["🇨🇳", "🇺🇸"]),
    (f"☺\ufe0fok{ENGLAND}", ["☺\ufe0f", "ok", ENGLAND]),
    ("1\ufe0f\u20e3", ["1\ufe0f\u20e3"]),
    ("中\u200b国", ["中", "\u200b", "国"]),
    ("a b  c", ["a", "b", " ", "c"]),
    (" 中", [" ", "中"]),
    ("中\n\n国\u3000人\x85", ["中", "\n\n", "国", "\u3000", "人", "\x85"]),
    ("", []),
    ("\x00\ufffd", ["\x00", "\ufffd"]),
]
CHARACTERS = [
    ("iPhone1", ["i", "P", "h", "o", "n", "e", "1"]),
    ("e\u0301t", ["e\u0301", "t"]),
    (f"{FAMILY}🇨🇳1\ufe0f\u20e3", [FAMILY, "🇨🇳", "1\ufe0f\u20e3"]),
    ("中  \u3000\r\n", ["中", " ", "\u3000", "\r\n"]),
]

HAN = "中国科技部北京大学㐂〇々𠮷𪚥龘豈"
EMOJI = ["😂", "☺\ufe0f", "👍🏽", FAMILY, "🇨🇳", "❤\ufe0f", "®", ENGLAND]
MARKS = "，。！？、；：“”（）《》.,!?-+_@#$%&/—…·"
latin_letters = "abcdefgXYZéüñžＡｂｚ"
words = st.text(latin_letters + "0123456789０９", min_size=1, max_size=6)
singles = st.sampled_from([*HAN, *EMOJI, *MARKS])
blanks = st.text(" \t\n\u3000\xa0\u2003", min_size=1, max_size=3)
mixed = st.lists(st.one_of(words, singles, blanks)).map("".join)
anything = st.one_of(st.text(), mixed)


def texts(doc):
    return [token.text for token in doc]


@pytest.mark.parametrize(("text", "expected"), RULES)
def test_rules(text, expected):
    assert texts(BY_RUN(text)) == expected


@pytest.mark.parametrize(("text", "expected"), CHARACTERS)
def test_per_character(text, expected):
    assert texts(BY_CHARACTER(text)) == expected


@given(anything, st.booleans())
def test_text_and_offsets_are_exact(text, per_character):
    doc = (BY_CHARACTER if per_character else BY_RUN)(text)
    assert doc.text == text
    assert all(text[token.idx : token.idx + len(token)] == token.text for token in doc)


@given(
    st.lists(st.one_of(singles, st.sampled_from(["a", "Ｂ", "7", "é", "e\u0301", "\u3000", "\n"])))
)
def test_per_character_is_one_token_a_character(characters):
    assert texts(BY_CHARACTER("".join(characters))) == characters


@given(st.lists(st.tuples(words, singles)))
def test_runs_stay_whole(pairs):
    units = [unit for pair in pairs for unit in pair]
    assert texts(BY_RUN("".join(units))) == units


@given(anything)
def test_per_character_only_refines(text):
    starts = {token.idx for token in BY_CHARACTER(text)}
    assert {token.idx for token in BY_RUN(text)} <= starts


def test_lone_surrogate():
    with pytest.raises(ValueError, match=r"\[HE040\].*U\+D83D.*character 2"):
        BY_RUN("中国\ud83d")


@pytest.mark.parametrize("per_character", [False, True])
def test_settings_survive(tmp_path, per_character):
    tokenizer = ChineseTokenizer(VOCAB, per_character=per_character)
    tokenizer.to_disk(tmp_path / "tokenizer")
    copies = [
        ChineseTokenizer(VOCAB, per_character=not per_character).from_bytes(tokenizer.to_bytes()),
        ChineseTokenizer(VOCAB).from_disk(tmp_path / "tokenizer"),
        pickle.loads(pickle.dumps(tokenizer)),
    ]
    for copy in copies:
        assert copy.per_character is per_character
        assert texts(copy("用GPT-4")) == texts(tokenizer("用GPT-4"))
    assert [texts(doc) for doc in tokenizer.pipe(["中", "a b"])] == [["中"], ["a", "b"]]


@pytest.mark.parametrize("lang", ["zh", "en", "xx"])
def test_in_a_pipeline(tmp_path, lang):
    settings = {"@tokenizers": NAME, "per_character": True}
    nlp = spacy.blank(lang, config={"nlp": {"tokenizer": settings}})
    nlp.add_pipe("sentencizer")
    nlp.initialize()
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert isinstance(loaded.tokenizer, ChineseTokenizer)
    assert [texts(doc) for doc in loaded.pipe(["买3D机", "", " "])] == [
        ["买", "3", "D", "机"],
        [],
        [" "],
    ]


def test_registered():
    assert spacy.registry.tokenizers.get(NAME) is create_chinese_tokenizer


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """Offsets of the word pieces that the small encoder makes of a text."""
    transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "text.txt").write_text(HAN + "".join(EMOJI) + "abcd abcd 3kg 3kg", encoding="utf8")
    build_encoder("tiny", folder / "tiny", vocab_text=folder / "text.txt")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "tiny")

    def offsets(text):
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return numpy.array(encoded["offset_mapping"], dtype=int).reshape(-1, 2)

    return offsets


def owners(text, offsets):
    """The tokens that each piece shares a character with."""
    spans = [(token.idx, token.idx + len(token)) for token in BY_RUN(text)]
    return [
        [i for i, (start, end) in enumerate(spans) if start < last and first < end]
        for first, last in offsets
    ]


@given(mixed)
def test_a_piece_lies_in_one_token(pieces, text):
    offsets = pieces(text)
    owned = owners(text, offsets)
    assert all(len(tokens) == 1 for tokens in owned)
    assert (numpy.diff(offsets, axis=0) >= 0).all()
    seen = {tokens[0] for tokens in owned}
    assert seen == {i for i, token in enumerate(BY_RUN(text)) if not token.text.isspace()}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ab\u00adcd", "a word around a character that the encoder's tokenizer deletes"),
        ("3㎏", "a symbol that stands for letters, beside a word"),
    ],
)
def test_where_pieces_cannot_fit(pieces, text, why):
    assert max(len(tokens) for tokens in owners(text, pieces(text))) > 1, why
    assert BY_RUN(text).text == text
