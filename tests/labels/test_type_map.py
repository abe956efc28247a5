"""Type maps: the shipped one covers DBpedia; users' own are checked line by line."""

import pytest

from spacy_hetner.labels.type_map import category_name, load_type_map, map_labels

TYPES = {"person", "location", "organization", "ENTITY"}


@pytest.mark.parametrize(
    "name", ["SoccerPlayer", "soccer_player", "soccer player", "soccerplayer", "Soccer_Player"]
)
def test_spellings_of_a_class_are_one_category(name):
    assert category_name(name) == "soccerplayer"


def test_untyped_is_no_class():
    assert category_name("ENTITY") == "ENTITY"


@pytest.mark.parametrize(
    "category, expected",
    [
        ("bodyofwater", "location"),
        ("award", "ENTITY"),
        ("politician", "person"),
        ("soccerclub", "organization"),
        ("ENTITY", "ENTITY"),
        ("lake", "location"),
        ("museum", "location"),
        ("fictionalcharacter", "person"),
        ("band", "organization"),
        ("agent", "ENTITY"),
        ("racehorse", "ENTITY"),
        ("termofoffice", "ENTITY"),
    ],
)
def test_four_types(category, expected):
    assert load_type_map("4types")[category] == expected


def test_four_types_are_four():
    assert set(load_type_map("4types").values()) == TYPES


def test_four_types_are_all_that_the_paper_names_of_its_list(golden):
    named = golden("ner_bert")["filter"]["top20_inferred"]
    assert set(named) <= load_type_map("4types").keys()


def test_own_map(tmp_path):
    path = tmp_path / "map.tsv"
    path.write_text(
        "# mine\n\nSoccerTournament\tsportstournament\r\ngolf_tournament\tsportstournament\n"
    )
    assert load_type_map(path) == {
        "soccertournament": "sportstournament",
        "golftournament": "sportstournament",
    }


@pytest.mark.parametrize(
    "text, code",
    [
        ("person\tPER\nsocerplayer\tPER\n", r"HE158.*map\.tsv:2.*'socerplayer'.*'soccerplayer' is"),
        ("person\tPER\nPerson\tX\n", r"HE159.*map\.tsv:2.*'person'.*'PER'"),
        ("person PER\n", r"HE160.*map\.tsv:1"),
        ("person\t\n", r"HE160"),
        ("person\tPER\tx\n", r"HE160"),
    ],
)
def test_wrong_lines_are_named(tmp_path, text, code):
    (tmp_path / "map.tsv").write_text(text)
    with pytest.raises(ValueError, match=code):
        load_type_map(tmp_path / "map.tsv")


def test_own_categories(tmp_path):
    (tmp_path / "map.tsv").write_text("Cave Painting\tart\n")
    assert load_type_map(tmp_path / "map.tsv", ["cave_painting"]) == {"cavepainting": "art"}
    with pytest.raises(ValueError, match="HE158"):
        load_type_map(tmp_path / "map.tsv")
    with pytest.raises(ValueError, match="HE158"):
        load_type_map(tmp_path / "map.tsv", ["person"])


def test_missing_labels():
    assert map_labels(["a", "b", "a"], {"a": "x"}, "keep") == ["x", "b", "x"]
    with pytest.raises(ValueError, match=r"HE161.*b, c\. "):
        map_labels(["a", "c", "b"], {"a": "x"}, "error")


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match="HE075"):
        load_type_map(tmp_path / "none.tsv")
