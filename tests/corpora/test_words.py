"""Words: token by token what spaCy's tokenizers make, at the places where they stand."""

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_hetner.corpora import words as module
from spacy_hetner.corpora.readers.texts import CHINESE_TOKENIZER, make_tokenizer
from spacy_hetner.corpora.sentences import split_sentences
from spacy_hetner.corpora.words import ChunkSplitter, DocSplitter, cut_text, make_splitter
from spacy_hetner.wiki.dump import read_pages
from spacy_hetner.wiki.wikitext import Cleaner

LANGUAGES = ["en", "de", "fr"]
TOKENIZERS = {lang: make_tokenizer(lang) for lang in LANGUAGES}
TRICKY = [
    *("don't", "can't.", "(U.S.)", "Apple-based", "3.5kg", "e.g.,", ":)", ":", "D", ")", "'s", "'"),
    *(
        "http://a.b/c?d=e",
        "a@b.de",
        "$5.00/h",
        "C++",
        "l'école",
        "aujourd'hui",
        "z.B.",
        "d.h.",
        "...",
    ),
    *(
        "O'Reilly's",
        "rock'n'roll",
        "New",
        "York",
        ".",
        "-",
        "a.m",
        "that",
        "cannot",
        "«",
        "»",
        "“x”",
    ),
    *(" ", "  ", "\n", "\t", "\xa0", "\u3000", "柏林", "😀", "u.s.", "P.", "M.", "n°", "°", "C."),
]


def as_spacy(tokenizer, text):
    doc = tokenizer(text)
    return (
        [token.text for token in doc],
        [bool(token.whitespace_) for token in doc],
        [token.idx for token in doc],
        [token.idx + len(token) for token in doc],
    )


@pytest.mark.parametrize("lang", LANGUAGES)
@given(data=st.data())
@settings(max_examples=150)
def test_tokens_are_spacys(lang, data):
    joiner = data.draw(st.sampled_from(["", " "]))
    text = joiner.join(data.draw(st.lists(st.sampled_from(TRICKY), max_size=12)))
    assert make_splitter(lang)(text) == as_spacy(TOKENIZERS[lang], text)


@pytest.mark.parametrize("lang", LANGUAGES)
@given(text=st.text(max_size=40))
def test_tokens_of_any_text_are_spacys(lang, text):
    assert make_splitter(lang)(text) == as_spacy(TOKENIZERS[lang], text)


def special_cases(pairs):
    """A tokenizer with special cases whose parts lie over each other."""
    nlp = spacy.blank("en")
    for case, parts in pairs.items():
        nlp.tokenizer.add_special_case(case, [{"ORTH": part} for part in parts])
    return nlp.tokenizer


@pytest.mark.parametrize(
    "cases, text",
    [
        ({"(x": ["(x"], "x)": ["x)"]}, "( x) (x ) (x) ( x )"),
        ({"a(": ["a("], "(b": ["(b"]}, "a (b a( b a(b"),
        ({"a b": ["a", " b"]}, "a b a  b c a b"),
        ({"a-b": ["a", "-b"], "b-c": ["b-", "c"]}, "a-b -c a- b-c a-b-c"),
    ],
)
def test_special_cases_that_reach_over_blanks(cases, text):
    tokenizer = special_cases(cases)
    assert ChunkSplitter(tokenizer)(text) == as_spacy(tokenizer, text)


@pytest.mark.parametrize("lang", ["zh", "ja"])
@pytest.mark.parametrize("per_character", [False, True])
def test_chinese_and_japanese_have_the_packages_tokenizer(lang, per_character):
    tokenizer = make_tokenizer("zh", per_character=per_character)
    split = make_splitter(lang, per_character=per_character)
    for text in (
        "",
        "柏林是德国首都。",
        "iPhone 15 的 USB-C  接口\n",
        "東京タワー",
        "ａ１ \u3000x",
    ):
        assert split(text) == as_spacy(tokenizer, text)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN", 10)
    tokenizer = make_tokenizer("en")
    split = ChunkSplitter(tokenizer)
    for number in range(100):
        text = f"word{number} isn't word{number + 1}."
        assert split(text) == as_spacy(tokenizer, text)
        assert len(split._chunks) <= 10
    assert len(split._chunks._tokenizer.vocab.strings) < len(tokenizer.vocab.strings)


def test_strings_of_docs_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN", 500)
    create = spacy.registry.tokenizers.get(CHINESE_TOKENIZER)()
    split = DocSplitter(lambda: create(spacy.blank("xx")))
    for number in range(2000):
        assert split(f"第{number}号").tokens == ["第", str(number), "号"]
    assert len(split._tokenizer.vocab.strings) <= 510


def test_unknown_languages_are_refused():
    with pytest.raises(ValueError, match="HE085"):
        make_splitter("xx-none")
    with pytest.raises(ValueError, match="HE086"):
        make_splitter("en", per_character=True)


def test_one_splitter_a_process():
    assert make_splitter("en") is make_splitter("en")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_tokens_of_real_text_are_spacys(data_dir, lang):
    path = data_dir / "wikipedia" / "dbpedia_minidumps" / lang / "wiki.xml.bz2"
    sentences = [
        sentence
        for page in read_pages(path)
        for sentence in split_sentences(Cleaner(lang=lang)(page.text).text, lang=lang)
    ]
    assert len(sentences) > 500
    split, tokenizer = make_splitter(lang), TOKENIZERS[lang]
    for sentence in sentences:
        assert split(sentence) == as_spacy(tokenizer, sentence)


def test_texts_are_cut_into_sentences_or_not():
    text = " Ada is here.  So is Bob. "
    settings = {"lang": "en", "per_character": False}
    (whole,) = cut_text(text, **settings, sentences=False)
    assert whole == make_splitter("en")(text)
    found = [words.tokens for words in cut_text(text, **settings, sentences=True)]
    assert found == [["Ada", "is", "here", "."], ["So", "is", "Bob", "."]]
    assert list(cut_text("  ", **settings, sentences=True)) == []
