"""Titles in one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.wiki.titles import normalise_title, title_of_uri


@pytest.mark.parametrize(
    "title, expected",
    [
        ("wolf", "Wolf"),
        ("New_York__City ", "New York City"),
        ("  grey   wolf#Diet", "Grey wolf"),
        ("#Diet", ""),
        (":wolf", "Wolf"),
        ("Stra%C3%9Fe", "Straße"),
        ("100% wolf", "100% wolf"),
        ("Caf%E9", "Caf%E9"),
        ("e\u0301cole", "École"),
        ("ßig", "ßig"),
        ("éa", "Éa"),
        ("\u200eWolf\u200f", "Wolf"),
        ("Wolf\xa0(animal)\u3000", "Wolf (animal)"),
        ("柏林", "柏林"),
        ("", ""),
        ("_", ""),
    ],
)
def test_titles(title, expected):
    assert normalise_title(title) == expected


@given(st.text(st.characters(exclude_characters="%"), max_size=30))
def test_normal_titles_stay(title):
    once = normalise_title(title)
    assert normalise_title(once) == once


@pytest.mark.parametrize(
    "name, expected",
    [
        ("Berlin_%28Band%29", "Berlin (Band)"),
        ("M%C3%BCller", "Müller"),
        ("Müller", "Müller"),
        ("100%25_Wolf", "100% Wolf"),
        ("A%2525", "A%25"),
    ],
)
def test_names_of_resources(name, expected):
    assert title_of_uri(name) == expected


def test_name_in_another_encoding_is_told():
    with pytest.raises(UnicodeDecodeError):
        title_of_uri("Caf%E9")
