"""Sentences: hard cases by hand, and what holds for every text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.corpora.sentences import sentence_spans, split_sentences

# Sentences of running text, joined by blanks (Chinese: by nothing), must come apart again.
HARD_CASES = {
    "en": [
        ["Dr. Smith met Mr. J. R. R. Tolkien at St. Mary's.", "They spoke."],
        ["The U.S. Senate met at 5 p.m. and left.", "It was late."],
        ["He paid $3.50 for No. 5, vol. 2, pp. 3–4.", "Then he left."],
        ["He said no.", "She said yes."],
        ['"Stop!" he cried.', '"Why?"', "Nobody knew."],
        ["Yahoo! is a company.", "So is Google."],
        ["It was over...", "Or was it?"],
        ["It was… over.", "Gone."],
        ["Apple Inc. makes phones, e.g. the iPhone.", "Others do too."],
        ["(He came late.)", "(She did not.)"],
        ["World War II ended in 1945.", "In Jan. 1946 it was cold."],
        ["Version 2.0 of the .NET framework.", "See www.example.com for more."],
        ["What?!", "No way!!", "Yes."],
        ["He lives in Washington, D.C. with his wife.", "She does not."],
    ],
    "de": [
        ["Am 3. Oktober 1990, d. h. im 20. Jahrhundert, war es so.", "Der 4. folgte."],
        ["Prof. Dr. Müller, z.B. in Berlin, bzw. Bonn, usw. kam.", "Er ging um 1990.", "Nie."],
        ["Er sagte: „Halt!“", "„Warum?“, fragte sie."],
    ],
    "fr": [
        ["M. Dupont et Mme. Durand, av. J.-C., sont là.", "« Vraiment ? » dit-il.", "Oui."],
    ],
    "ru": [["В 1990 г. Москва росла, т. е. А. С. Пушкин писал.", "Это всё."]],
    "ar": [["هل هذا صحيح؟", "نعم."]],
    "hi": [["यह एक वाक्य है।", "यह दूसरा है।"]],
    "zh": [
        [
            "柏林是德国首都。",
            "人口约340万！",
            "真的吗？！",
            "他说：“是的。”",
            "然后走了……",
            "完；",
            "终",
        ],
        ["约3.5万人（2010年。）", "U.S.公司。"],
    ],
}


@pytest.mark.parametrize(
    "lang, sentences", [(lang, case) for lang, cases in HARD_CASES.items() for case in cases]
)
def test_hard_cases(lang, sentences):
    text = ("" if lang == "zh" else " ").join(sentences)
    assert split_sentences(text, lang=lang) == sentences


def test_ordinals_are_those_of_the_language():
    assert len(split_sentences("It was May 3. October came.", lang="en")) == 2
    assert len(split_sentences("Es war der 3. Oktober.", lang="de")) == 1


def test_lines_end_sentences():
    assert split_sentences("\n one\n\ntwo three\n four. \n") == ["one", "two three", "four."]
    assert split_sentences("") == split_sentences(" \n ") == []


def test_nothing_ends_in_what_is_unbroken():
    text = "He read What? Why? Now. He slept in St. Ives. She left! Then. Yes."
    title = text.index("What"), text.index(" He slept")
    name = text.index("St."), text.index(". She")
    spans = sentence_spans(text, unbroken=[title, name])
    assert [text[start:end] for start, end in spans] == [
        "He read What? Why? Now.",
        "He slept in St. Ives.",
        "She left!",
        "Then.",
        "Yes.",
    ]


def test_marks_over_two_unbroken_ranges_end_nothing():
    text = "Who?!? Me"
    assert list(sentence_spans(text, unbroken=[(0, 5), (5, 7)])) == [(0, len(text))]


PIECES = st.sampled_from(["a", "B", "3", ".", "!", "。", "…", " ", "\n", '"', "”", "Dr", "；", "é"])
TEXTS = st.lists(PIECES, max_size=30).map("".join)


@given(TEXTS, st.sampled_from(["en", "de", "zh"]))
def test_sentences_are_the_text_without_white_space_between(text, lang):
    spans = list(sentence_spans(text, lang=lang))
    place = 0
    for start, end in [*spans, (len(text), len(text))]:
        assert not text[place:start].strip()
        assert text[start:end] == text[start:end].strip() and "\n" not in text[start:end]
        place = end
    assert [text[start:end] for start, end in spans] == split_sentences(text, lang=lang)


@given(TEXTS, st.data())
def test_no_sentence_ends_in_what_is_unbroken(text, data):
    text = text.replace("\n", " ")
    places = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    unbroken = [pair for pair in zip(places[::2], places[1::2], strict=False)]
    for _, end in list(sentence_spans(text, unbroken=unbroken))[:-1]:
        assert not any(first < end < last for first, last in unbroken)
