"""The whole job: from a dump to typed, filtered and balanced sentences, and to CoFEE's."""

import bz2
from collections import Counter

import pytest

from spacy_hetner.corpora.stores import read_stores
from spacy_hetner.engine.make import make_engine
from spacy_hetner.engine.tables import digest
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.wiki.build import AnchorCorpus, TypedCorpus, build_wiki

CLASSES = "Type\tDepth\tParent\ndbo:Person\t1\towl:Thing\ndbo:Place\t1\towl:Thing\n"
TYPES = "Ada\ttype\tperson\nBern\ttype\tplace\nCern\ttype\tplace\n"


def page(number, title, text, redirect=""):
    target = f'<redirect title="{redirect}" />' if redirect else ""
    return (
        f"<page><title>{title}</title><ns>0</ns><id>{number}</id>{target}"
        f"<revision><id>{number}</id><text>{text}</text></revision></page>"
    )


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """300 articles in streams of 50, and two redirects."""
    articles = [
        page(
            number,
            f"Article {number}",
            f"[[Lady Ada|Ada]] saw [[Bern]] and [[Nowhere {number}]]. Then Bern saw her. "
            f"In [[Bern]], [[Cern]], [[Ada]] and [[Ada|she]] were {number}. [[Nowhere]] was not.",
        )
        for number in range(1, 301)
    ]
    redirects = [page(301, "Lady Ada", "", "Countess Ada"), page(302, "Countess Ada", "", "Ada")]
    path = tmp_path_factory.mktemp("dump") / "wiki.xml.bz2"
    with path.open("wb") as file:
        file.write(bz2.compress(b"<mediawiki>"))
        for start in range(0, 300, 50):
            file.write(bz2.compress("".join(articles[start : start + 50]).encode()))
        file.write(bz2.compress(("".join(redirects) + "</mediawiki>").encode()))
    return path


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("knowledge")
    (folder / "classes.tsv").write_text(CLASSES, encoding="utf8")
    (folder / "types.txt").write_text(TYPES, encoding="utf8")
    Gazetteer({"Bern": ["LOC"], "Ada": ["PER"], "she": ["PRON"]}).to_disk(folder / "gazetteer")
    return folder


def run(dump, knowledge, out, *, engine=None, **settings):
    """Build all that can be built, or what the settings say."""
    typed = TypedCorpus(
        [str(knowledge / "types.txt")], str(knowledge / "classes.tsv"), maps=["4types"]
    )
    anchored = AnchorCorpus(str(knowledge / "gazetteer"), match="surface")
    settings = {"lang": "en", "typed": typed, "anchored": anchored, **settings}
    return build_wiki([dump], out, engine or make_engine(), **settings)


@pytest.fixture(scope="module")
def built(dump, knowledge, tmp_path_factory):
    out = tmp_path_factory.mktemp("job") / "out"
    return out, run(dump, knowledge, out)


def labelled(record):
    return [
        ("".join(f"{t} " for t in record.tokens[s:e]).strip(), label)
        for s, e, label in record.spans
    ]


def test_links_are_typed_through_redirects_and_nothing_else_is(built):
    out, counts = built
    records = {record.id: record for record in read_stores([out / "typed"])}
    assert len(records) == counts["typed"]["rows"]["total"] == 900
    assert labelled(records["7-0"]) == [
        ("Ada", "person"),
        ("Bern", "place"),
        ("Nowhere 7", "ENTITY"),
    ]
    assert counts["typed"]["labels"] == {"person": 900, "place": 900, "ENTITY": 600}
    assert counts["redirects"]["redirects"]["total"] == 2


def test_sentences_that_type_nothing_go_and_the_rest_is_split(built):
    out, _ = built
    kept, train, dev = (
        {record.id for record in read_stores([out / name])} for name in ("kept", "train", "dev")
    )
    assert len(kept) == 600 and not any(name.endswith("-3") for name in kept)
    assert train | dev == kept and not train & dev and 30 < len(dev) < 90
    balanced = Counter(record.id.partition("#")[0] for record in read_stores([out / "balanced"]))
    assert set(balanced) <= train and max(balanced.values()) > 1
    assert 400 < sum(balanced.values()) < 700


def test_map_writes_the_parts_with_four_types(built):
    _, counts = built
    assert set(counts["train-4types"]["labels"]) == {"person", "location", "ENTITY"}
    assert counts["train-4types"]["rows"] == counts["train"]["rows"]


def test_sentences_of_four_links_become_entities_and_entries(built):
    out, _ = built
    entities = {record.id: record for record in read_stores([out / "entities"])}
    assert set(entities) == {f"{number}-2" for number in range(1, 301)}
    assert {label for _, label in labelled(entities["5-2"])} == {"Entity"}
    assert len(entities["5-2"].spans) == 4
    entries = {record.id: labelled(record) for record in read_stores([out / "gazetteer"])}
    assert entries["5-2"] == [("Bern", "LOC"), ("Ada", "PER"), ("she", "PRON")]


def test_result_does_not_depend_on_processes(built, dump, knowledge, tmp_path):
    settings = {"engine": make_engine(workers=2), "typed": None, "anchored": AnchorCorpus()}
    run(dump, knowledge, tmp_path / "two", **settings)
    for name in ("pages", "anchors", "entities"):
        assert digest(tmp_path / "two" / name) == digest(built[0] / name), name


def test_finished_job_is_not_done_again(built, dump, knowledge, monkeypatch):
    out, counts = built
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert run(dump, knowledge, out) == counts
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == files


def test_another_job_in_the_folder_is_refused(built, dump, knowledge):
    with pytest.raises(ValueError, match="HE125"):
        run(dump, knowledge, built[0], seed=1)


def test_changed_types_make_another_job(dump, knowledge, tmp_path):
    run(dump, knowledge, tmp_path / "out", anchored=None)
    swapped = tmp_path / "types.txt"
    swapped.write_text(TYPES.replace("person", "x").replace("place", "person"), encoding="utf8")
    typed = TypedCorpus([str(swapped)], str(knowledge / "classes.tsv"))
    with pytest.raises(ValueError, match="HE125"):
        run(dump, knowledge, tmp_path / "out", typed=typed, anchored=None)


def test_nothing_typed_gives_empty_corpora(dump, knowledge, tmp_path):
    (tmp_path / "types.txt").write_text("Zug\ttype\tplace\n", encoding="utf8")
    typed = TypedCorpus([str(tmp_path / "types.txt")], str(knowledge / "classes.tsv"))
    counts = run(dump, knowledge, tmp_path / "out", typed=typed, anchored=None)
    assert counts["train"]["rows"]["total"] == 0 and "balanced" not in counts


def test_other_files_beside_the_dump_do_not_matter(dump, knowledge, tmp_path, built):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps" / dump.name).write_bytes(dump.read_bytes())
    (tmp_path / "dumps" / "an-index.txt.bz2").write_bytes(bz2.compress(b"600:10:A\n"))
    run(tmp_path / "dumps", knowledge, tmp_path / "out", typed=None, anchored=None)
    assert digest(tmp_path / "out" / "anchors") == digest(built[0] / "anchors")


def test_lost_part_is_made_again(dump, knowledge, built, tmp_path):
    out = tmp_path / "out"
    run(dump, knowledge, out)
    for name in ("anchors", "train"):
        next((out / name).glob("*.parquet")).unlink()
    run(dump, knowledge, out)
    assert digest(out / "train") == digest(built[0] / "train")


@pytest.mark.parametrize(
    "settings, code",
    [
        ({"rare": "gone"}, "HE004"),
        ({"alpha": 2.0}, "HE002"),
        ({"min_count": -1}, "HE078"),
        ({"ontology": ""}, "HE168"),
        ({"types": []}, "HE168"),
        ({"maps": ["a/m.tsv", "b/m.tsv"]}, "HE169"),
    ],
)
def test_wrong_settings_of_the_typed_corpus(settings, code):
    with pytest.raises(ValueError, match=code):
        TypedCorpus(**{"types": ["types"], "ontology": "classes", **settings})


@pytest.mark.parametrize(
    "settings, code",
    [({"match": "x"}, "HE004"), ({"conflict": "x"}, "HE004"), ({"max_tokens": -1}, "HE078")],
)
def test_wrong_settings_of_the_anchor_corpus(settings, code):
    with pytest.raises(ValueError, match=code):
        AnchorCorpus(**settings)
