"""The matcher against brute force, on characters and on tokens."""

import unicodedata

import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spacy_hetner.gazetteers import matcher as matcher_module
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.matcher import leftmost_longest
from spacy_hetner.gazetteers.tokens import bmes_sets, match_tokens

# Few characters, so that entries overlap and are parts of one another; 😀 is astral, \ud83d half
# of one, \x00 and \n what a program may take for an end.
CHARS = "ab南😀\x00"
NAMES = st.sets(st.text(CHARS, min_size=1, max_size=5), max_size=12)
TEXTS = st.lists(st.text(CHARS + "x\n\ud83d", max_size=30), max_size=6)


def all_matches(names, text):
    """Every (start, end) where an entry lies, in order."""
    return [
        (start, end)
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if text[start:end] in names
    ]


def longest_matches(spans):
    """Left to right: of those that begin first the longest, then on after its end."""
    chosen = []
    for start in sorted({start for start, _ in spans}):
        if not chosen or start >= chosen[-1][1]:
            chosen.append(max(span for span in spans if span[0] == start))
    return chosen


def gazetteer_of(names):
    return Gazetteer(dict.fromkeys(names, ("X",)))


def rows(gazetteer, matches):
    """Matches as (text, start, end, surface)."""
    columns = (column.tolist() for column in matches)
    return [(n, s, e, gazetteer.surfaces[entry]) for n, s, e, entry in zip(*columns, strict=True)]


@given(NAMES, TEXTS)
@example({"aa", "a", "aaa"}, ["aaaaaa", "", "aa"])
@example({"\x00"}, ["\x00a\x00", "\x00"])
@example(set(), ["a"])
@example({"ab"}, ["a", "b"])
def test_matches_on_characters_are_those_of_brute_force(names, texts):
    gazetteer = gazetteer_of(names)
    for find, choose in (("find_all", lambda spans: spans), ("find_longest", longest_matches)):
        expected = [
            (number, start, end, text[start:end])
            for number, text in enumerate(texts)
            for start, end in choose(all_matches(names, text))
        ]
        found = getattr(gazetteer.matcher, find)(texts)
        assert rows(gazetteer, found) == expected
        assert all(column.dtype == "int64" for column in found)


TOKENS = st.lists(
    st.lists(st.tuples(st.text("ab南😀", max_size=3), st.booleans()), max_size=8), max_size=4
)


@given(st.sets(st.text("ab南😀 ", min_size=1, max_size=5), max_size=12), TOKENS)
@example({"a b", "b"}, [[("a", True), ("b", False), ("b", False)], [("ab", False)]])
@example({"ab", "b a"}, [[("a", False), ("b", True), ("a", False)]])
def test_matches_on_tokens_are_those_of_brute_force(names, texts):
    gazetteer = gazetteer_of(names)
    given_texts = [([t for t, _ in text], [s for _, s in text]) for text in texts]
    for overlapping in (True, False):
        found = match_tokens(gazetteer, given_texts, overlapping=overlapping)
        for text, matches in zip(texts, found, strict=True):
            expected = {}
            for start in range(len(text)):
                for end in range(start + 1, len(text) + 1):
                    inside = text[start:end]
                    written = "".join(t + " " * s for t, s in inside[:-1]) + inside[-1][0]
                    # A token without characters is at no place: none begins or ends with it.
                    if written in names and inside[0][0] and inside[-1][0]:
                        expected[start, end] = written
            spans = sorted(expected) if overlapping else longest_matches(sorted(expected))
            assert matches.spans.shape == (len(spans), 2) and matches.spans.dtype == "int64"
            assert list(map(tuple, matches.spans.tolist())) == spans
            surfaces = [gazetteer.surfaces[entry] for entry in matches.entries]
            assert surfaces == [expected[span] for span in spans]


def test_batches_and_windows_do_not_show(monkeypatch):
    """Texts longer than a batch, and many texts a batch, give what one batch would."""
    rng = numpy.random.default_rng(0)
    texts = ["".join(rng.choice(list("ab c"), size)) for size in (0, 3, 200, 1, 50, 7, 500)]
    gazetteer = gazetteer_of({"a", "ab", "ba", "bab", "c a", "b" * 4})
    whole = [gazetteer.matcher.find_all(texts), gazetteer.matcher.find_longest(texts)]
    for size in (1, 7, 64):
        monkeypatch.setattr(matcher_module, "_BATCH", size)
        monkeypatch.setattr(matcher_module, "_WINDOW", 2 * size)
        parts = [gazetteer.matcher.find_all(texts), gazetteer.matcher.find_longest(texts)]
        for expected, found in zip(whole, parts, strict=True):
            assert all(map(numpy.array_equal, expected, found))
    streamed = list(gazetteer.matcher.stream(iter(texts), overlapping=True))
    assert len(streamed) > 1
    assert sum(len(found.starts) for found in streamed) == len(whole[0].starts)


def test_texts_are_ordered_and_offsets_are_those_of_the_given_text():
    gazetteer = Gazetteer({"abc": ["X"]}, normalize=["width", "case"])
    texts = ["😀ＡＢｃ", "aBC ABC"]
    found = gazetteer.matcher.find_all(texts)
    assert rows(gazetteer, found) == [(0, 1, 4, "abc"), (1, 0, 3, "abc"), (1, 4, 7, "abc")]
    for number, start, end, surface in rows(gazetteer, found):
        assert unicodedata.normalize("NFKC", texts[number][start:end]).lower() == surface


def test_a_chain_of_overlaps_is_chosen_from_left_to_right():
    starts = numpy.arange(1000)
    chosen = leftmost_longest(starts, starts + 3)
    assert chosen.tolist() == list(range(0, 1000, 3))


def test_an_entry_of_ten_thousand_characters():
    name = "ab" * 5000
    gazetteer = gazetteer_of({name, "b"})
    found = gazetteer.matcher.find_longest([f"a{name}"])
    assert rows(gazetteer, found) == [(0, 1, 10001, name)]


@pytest.mark.parametrize("name", ["zh_bridge", "greedy_blocks", "words", "none"])
def test_golden(golden, name):
    (case,) = (case for case in golden("gazetteer")["cases"] if case["name"] == name)
    space = not name.startswith("zh")
    names = {(" " if space else "").join(tokens): labels for tokens, labels in case["entries"]}
    gazetteer = Gazetteer(names)
    text = (case["tokens"], [space] * len(case["tokens"]))
    for overlapping, key in ((True, "all"), (False, "leftmost_longest")):
        (found,) = match_tokens(gazetteer, [text], overlapping=overlapping)
        labels = [sorted(gazetteer.labels_of(entry)) for entry in found.entries]
        pairs = zip(found.spans.tolist(), labels, strict=True)
        assert [[*span, its_labels] for span, its_labels in pairs] == case[key]
    if "bmes_sets" in case:
        spans = numpy.array([entry[:2] for entry in case["all"]])
        sets = [
            {letter: list(map(list, words)) for letter, words in token.items()}
            for token in bmes_sets(spans, len(case["tokens"]))
        ]
        assert sets == case["bmes_sets"]


def test_golden_is_complete(golden):
    assert len(golden("gazetteer")["cases"]) == 4


def test_bmes_sets_of_a_single_token():
    assert bmes_sets(numpy.array([[1, 2]]), 2)[1] == {"B": [], "M": [], "E": [], "S": [(1, 2)]}
