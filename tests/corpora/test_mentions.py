"""Mentions: names and words that are none, as records of one mention each."""

import re
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.mentions import (
    IS_NAME,
    NO_ENTITY,
    NOT_DRAWN,
    REPEATED,
    SEVERAL,
    write_mentions,
)
from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.source import Source

NAMES = {"南京": ["GPE"], "上海": ["GPE"], "长江大桥": ["LOC"], "江": ["PER", "LOC"]}
WORDS = ["桌子", "江", "走路", "桌子", "今天", "南京"]


@pytest.fixture
def write(tmp_path):
    """Write names and words as mentions, and return all records and what was counted."""

    def make(names=NAMES, words=WORDS, normalize=(), lang="zh", out="out", **options):
        Gazetteer(names, normalize=normalize).to_disk(tmp_path / "names")
        (tmp_path / "words.txt").write_text("".join(f"{w}\n" for w in words), encoding="utf8")
        common = [Source(tmp_path / "words.txt")]
        counts = write_mentions(
            tmp_path / "names", tmp_path / out, common, lang=lang, **{"dev": 0.0, **options}
        )
        return list(read_stores([tmp_path / out])), counts

    return make


def labels_of(records):
    """Of each text its labels, none for a word that is no name; everything else is checked."""
    found = {}
    for record in records:
        text, whole = record.text, [0, len(record.tokens)]
        assert record.id == text and record.spaces and text not in found
        assert all([span.start, span.end] == whole for span in record.spans)
        assert record.meta == ({} if record.spans else {NON_ENTITIES: [whole]})
        found[text] = [span.label for span in record.spans]
    return found


def test_names_and_as_many_words_as_a_label_has_names(write):
    records, counts = write()
    found = labels_of(records)
    words = {text for text, labels in found.items() if not labels}
    assert {text: labels for text, labels in found.items() if labels} == {
        "南京": ["GPE"],
        "上海": ["GPE"],
        "长江大桥": ["LOC"],
    }
    assert len(words) == 2 and words < {"桌子", "走路", "今天"}  # 3 names of 2 labels: 1.5 each
    assert counts["totals"] == {"names read": 4, "common words read": 6, "records of train": 5}
    assert counts["labels"] == {"GPE": 2, "LOC": 1, NO_ENTITY: 2}
    assert counts["dropped"] == {SEVERAL: 1, IS_NAME: 2, REPEATED: 1, NOT_DRAWN: 1}


def test_ambiguous_names_can_be_examples_of_all_their_labels(write):
    records, counts = write(ambiguous="all", o_ratio=0)
    assert labels_of(records)["江"] == ["LOC", "PER"]
    assert counts["labels"] == {"GPE": 2, "LOC": 2, "PER": 1} and "dropped" not in counts


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    names=st.lists(st.text("aAbBＡ北", min_size=1, max_size=2), max_size=8),
    words=st.lists(st.text("aAbBＡ北", min_size=1, max_size=2), max_size=30),
    normalize=st.sampled_from([(), ("case",), ("width", "case")]),
    ambiguous=st.sampled_from(["all", "drop"]),
)
def test_no_word_is_a_name(write, names, words, normalize, ambiguous):
    """Not even where names of several labels are left out, or in another form of the word."""
    labels = {name: ["A", "B"] if number % 3 else ["A"] for number, name in enumerate(names)}
    gazetteer = Gazetteer({**labels, "q": ["A"]}, normalize=normalize)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are not so many
        records, _ = write(
            {**labels, "q": ["A"]}, [*words, "z"], normalize, ambiguous=ambiguous, o_ratio=1000
        )
    drawn = {text for text, labels in labels_of(records).items() if not labels}
    normal = {gazetteer.normalizer(word) for word in [*words, "z"]}
    assert drawn == {word for word in normal if word not in gazetteer}


def test_what_is_drawn_depends_on_seed_and_words_only(write):
    names = {f"n{number}": ["A" if number % 3 else "B"] for number in range(300)}
    words = [f"w{number}" for number in range(500)]
    first, counts = write(names, words, lang="en", dev=0.2)
    again, _ = write(names, words[::-1], lang="en", dev=0.2)
    other, _ = write(names, words, lang="en", dev=0.2, seed=1)
    assert counts["labels"] == {"A": 200, "B": 100, NO_ENTITY: 150}
    assert again == first and {r.id for r in other} != {r.id for r in first}
    # In random order, so that no part of the store has words or names only.
    texts = [record.id for record in first]
    assert texts[:100] != sorted(texts[:100])
    assert 20 < sum(text.startswith("w") for text in texts[:150]) < 80


def test_dev_is_a_share_of_its_own(write, tmp_path):
    names = {f"n{number}": ["A" if number % 2 else "B"] for number in range(400)}
    words = [f"w{number}" for number in range(200)]
    _, counts = write(names, words, lang="en", dev=0.1)
    train, dev = (
        {record.id for record in read_stores([tmp_path / "out" / f"{part}.parquet"])}
        for part in ("train", "dev")
    )
    assert not train & dev and len(train | dev) == 600 and 35 < len(dev) < 85
    assert counts["totals"]["records of dev"] == len(dev)
    # Without one, that of an earlier run does not stay.
    write(names, words, lang="en", dev=0)
    assert not (tmp_path / "out" / "dev.parquet").exists()


def test_tokens_are_those_of_the_language(write):
    records, _ = write({"New York": ["LOC"], "AK47": ["X"]}, ["over there"], lang="en", o_ratio=1)
    assert {tuple(record.tokens) for record in records} == {
        ("New", "York"),
        ("AK47",),
        ("over", "there"),
    }
    assert [record.spaces for record in records if record.id == "New York"] == [[True, False]]
    records, _ = write({"AK47枪": ["X"]}, ["a"], per_character=True)
    assert [record.tokens for record in records if record.spans] == [["A", "K", "4", "7", "枪"]]


def test_too_few_words_are_all_taken_and_told(write):
    with pytest.warns(UserWarning, match=r"HW265.*Only 3.*4 were"):
        records, counts = write(o_ratio=2.5)
    assert counts["labels"][NO_ENTITY] == 3 and len(records) == 6


def test_no_dev_part_is_told(write):
    with pytest.warns(UserWarning, match=r"HW266.*None of the 5.*1e-09"):
        write(dev=1e-9)


def of_length(length, count):
    """So many different names."""
    return [f"{number:0{length}d}" for number in range(count)]


@pytest.mark.parametrize(
    ("short_names", "many", "short_words", "is_told"),
    [(0, 1000, 21, True), (0, 1000, 20, False), (11, 989, 21, False), (0, 99, 21, False)],
)
def test_names_that_are_longer_than_words_are_told(write, short_names, many, short_words, is_told):
    """Short names that hardly occur count as none, and labels of few names do not count."""
    names = {name: ["PER"] for name in (*of_length(4, short_names), *of_length(5, many))}
    names |= {"甲": ["GPE"], "乙": ["GPE"]}
    words = ["一" * 4 + word for word in of_length(5, 100 - short_words)]
    words += ["一" * 2 + word for word in of_length(2, short_words)]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        write(names=names, words=words, o_ratio=200 / len(names))
    found = [str(warning.message) for warning in told]
    assert found == [
        message for message in found if re.search("HW267.*21% .*shorter than 5.*of PER", message)
    ]
    assert len(found) == is_told


def test_lines_that_are_no_words_are_counted_or_errors(write, tmp_path):
    _, counts = write(words=["桌子", "\t3", "走路"])
    assert counts["dropped"]["empty name"] == 1
    (place,) = counts["places"]
    assert place.startswith("first empty name") and "words.txt:2" in place
    with pytest.raises(ValueError, match=r"HE074.*words\.txt:2"):
        write(words=["桌子", "\t3", "走路"], strict=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"words": []}, "HE265.*0 were read"),
        ({"words": ["南京", "江"]}, "HE265.*2 were read.*has 2"),
        ({"names": {"江": ["A", "B"]}}, "HE266.*1 names"),
        ({"dev": 1.0}, "HE266.*dev = 1"),
        ({"dev": 1.5}, "HE002.*dev"),
        ({"o_ratio": -1}, "HE002.*o_ratio"),
        ({"ambiguous": "some"}, "HE004.*ambiguous"),
        ({"lang": "xyz"}, "HE085"),
    ],
)
def test_wrong_settings(write, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(**options)
    assert not (tmp_path / "out").exists()
