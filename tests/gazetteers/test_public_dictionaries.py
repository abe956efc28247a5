"""Real dictionaries, as they were published."""

import pytest

from spacy_hetner.gazetteers.entries import read_entries
from spacy_hetner.gazetteers.source import Source
from spacy_hetner.losses import Losses

NAME = {"text_column": "name"}
TYPED = {"text_column": 2, "label_column": 1}
HEAD = {"line of a file's head": 3}

# Entries, that is lines that are not blank: a last line without an end counts, 281 blank lines in
# surnames_all.txt and the lines before the names of the wainshine lists do not.
DICTIONARIES = {
    "bc5cdr_autoner/dict_core.txt": (2482, TYPED),
    "bc5cdr_autoner/dict_full.txt": (6877, {}),
    "ecommerce/brand1.dic": (10150, {}),
    "ecommerce/brand2.dic": (9150, {}),
    "ecommerce/brand3.dic": (9150, {}),
    "ecommerce/brand4.dic": (8950, {}),
    "ecommerce/product1.dic": (9000, {}),
    "ecommerce/product2.dic": (8000, {}),
    "ecommerce/product3.dic": (7000, {}),
    "en_names_wainshine/English_Names_Corpus_2W.txt": (29717, {}),
    "lexiconner/dictionary/location.txt": (748, {}),
    "lexiconner/dictionary/misc.txt": (38, {}),
    "lexiconner/dictionary/organization.txt": (353, {}),
    "lexiconner/dictionary/person.txt": (1973, {}),
    "random_name/first-names.txt": (4945, {}),
    "random_name/names.txt": (21985, {}),
    "random_name/places.txt": (10196, {}),
    "smashew_names/first_names_all.txt": (19948, {}),
    "smashew_names/surnames_all.txt": (88025, {}),
    "sp500/constituents.csv": (503, {"text_column": "Security"}),
    "thuocl/THUOCL_IT.txt": (16000, {}),
    "thuocl/THUOCL_animal.txt": (17287, {}),
    "thuocl/THUOCL_caijing.txt": (3830, {}),
    "thuocl/THUOCL_car.txt": (1752, {}),
    "thuocl/THUOCL_diming.txt": (44804, {}),
    "thuocl/THUOCL_food.txt": (8974, {}),
    "thuocl/THUOCL_law.txt": (9896, {}),
    "thuocl/THUOCL_lishimingren.txt": (13658, {}),
    "thuocl/THUOCL_medical.txt": (18749, {}),
    "world_cities/world-cities.csv": (34032, NAME),
    "zh_companies/Company-Shorter-Form_28W.txt.xz": (267397, {}),
    "zh_divisions/HK-MO-TW.json": (411, {}),
    "zh_divisions/areas.csv": (2978, NAME),
    "zh_divisions/cities.csv": (342, NAME),
    "zh_divisions/pca.json": (3429, {}),
    "zh_divisions/provinces.csv": (31, NAME),
    "zh_divisions/streets.csv": (41352, NAME),
    "zh_names/Ancient_Names_Corpus_25W.txt.xz": (255352, {}),
}
OTHER_FILES = ("LICENSE", "readme.md", "SOURCE_README.md", "datapackage.json")


@pytest.mark.parametrize("name", DICTIONARIES)
def test_all_entries_are_read(data_dir, name):
    expected, layout = DICTIONARIES[name]
    losses = Losses()
    source = Source(data_dir / "gazetteers" / name, label="X", **layout)
    entries = list(read_entries(source, losses))
    assert len(entries) == expected
    assert losses.counts == (HEAD if "wainshine" in name or name.endswith("W.txt.xz") else {})
    assert all(entry.text and entry.text == entry.text.strip() for entry in entries)
    assert not any(mark in entry.text for entry in entries for mark in "\ufeff\r\n\t")


def test_no_dictionary_is_left_out(data_dir):
    folder = data_dir / "gazetteers"
    files = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in OTHER_FILES
    }
    assert files == set(DICTIONARIES)


@pytest.mark.parametrize("name", [name for name in DICTIONARIES if "THUOCL" in name])
def test_frequencies_are_read(data_dir, name):
    """Two of diming are "3?", one of food is "125472s"."""
    losses = Losses()
    source = Source(data_dir / "gazetteers" / name, label="X", frequency_column=2)
    entries = list(read_entries(source, losses))
    broken = {"THUOCL_diming.txt": 2, "THUOCL_food.txt": 1}.get(name.split("/")[1], 0)
    assert len(entries) == DICTIONARIES[name][0] - broken
    assert losses.counts["frequency that is no number"] == losses.counts.total() == broken
    assert entries[0].frequency > 1000 and min(entry.frequency for entry in entries) >= 0


def test_some_entries_are_as_published(data_dir):
    def texts(name, **layout):
        source = Source(data_dir / "gazetteers" / name, label="X", **layout)
        return [entry.text for entry in read_entries(source, Losses())]

    assert texts("thuocl/THUOCL_diming.txt")[:3] == ["中国", "北京", "美国"]
    assert texts("zh_names/Ancient_Names_Corpus_25W.txt.xz")[0] == "阿八哈"
    assert texts("zh_divisions/pca.json")[:3] == ["北京市", "市辖区", "东城区"]
    assert texts("world_cities/world-cities.csv", **NAME)[2] == "Warīsān"
    assert "Apple Inc." in texts("sp500/constituents.csv", text_column="Security")
    assert texts("bc5cdr_autoner/dict_core.txt", **TYPED)[0] == "( R)-alpha - methylhistamine"
