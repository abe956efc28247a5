"""Types of entities: statements and rows, escapes, and what is wrong with real files."""

import bz2

import pytest

from spacy_hetner.losses import Losses
from spacy_hetner.wiki.instance_types import (
    OTHER_NAMESPACE,
    OTHER_PREDICATE,
    PART_OF_PAGE,
    UNKNOWN_CLASS,
    read_instance_types,
)
from spacy_hetner.wiki.ntriples import NO_STATEMENT, NO_TITLE, NOT_UTF8, TRUNCATED
from spacy_hetner.wiki.ontology import Ontology, read_ontology

ONTOLOGY = Ontology(
    {"person": [], "artist": ["person"], "musicalartist": ["artist"], "city": [], "place": []}
)
TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"


def statement(name, kind, predicate=TYPE):
    return f"<http://dbpedia.org/resource/{name}> {predicate} <{kind}> .\n"


def dbo(name, kind):
    return statement(name, f"http://dbpedia.org/ontology/{kind}")


@pytest.fixture
def read(tmp_path):
    """Write a text or bytes to a file and read the types in it: pairs of titles and classes."""

    def read_types(content, *, strict=False, name="types.ttl", ontology=ONTOLOGY, **options):
        content = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(content)
        losses = Losses(strict)
        batches = list(read_instance_types([tmp_path / name], ontology, losses, **options))
        names = ontology.by_depth
        pairs = [
            (title, names[number])
            for batch in batches
            for title, number in zip(batch.titles, batch.classes.tolist(), strict=True)
        ]
        return pairs, losses

    return read_types


def test_statements(read):
    text = "# started 2019\n\n" + dbo("Nina_Simone", "MusicalArtist") + dbo("Lyon", "City")
    pairs, losses = read(text + "# completed 2019\n")
    assert pairs == [("Nina Simone", "musicalartist"), ("Lyon", "city")]
    assert not losses.counts


@pytest.mark.parametrize(
    "line",
    [
        dbo("Lyon", "City").strip(),  # no line end
        dbo("Lyon", "City").replace("\n", "\r\n"),
        dbo("Lyon", "City").replace("> ", ">\t"),
        dbo("Lyon", "City").replace(" .", "."),
        dbo("Lyon", "City").replace(" .", " <http://en.wikipedia.org/wiki/Lyon?oldid=1> ."),
        dbo("Lyon", "city"),
        dbo("Lyon", "City").replace(
            "http://dbpedia.org/resource", "http://cs.dbpedia.org/resource"
        ),
        "Lyon\ttype\tcity\n",
        "Lyon\ttype\tCity\r\n",
    ],
)
def test_forms_of_a_line(read, line):
    pairs, losses = read(line)
    assert pairs == [("Lyon", "city")] and not losses.counts


@pytest.mark.parametrize(
    "name, title",
    [
        ("Saint-%C3%89tienne", "Saint-Étienne"),
        ("Saint-\\u00C9tienne", "Saint-Étienne"),
        ("Saint-É_tienne".replace("_", ""), "Saint-Étienne"),
        ("E\\u0301tienne", "Étienne"),
        ("\\U0001F600", "😀"),
        ("100%25_Wolf", "100% Wolf"),
        ("lyon", "Lyon"),
        ("AC/DC", "AC/DC"),
        ("'74_Jailbreak", "'74 Jailbreak"),
        ("Q\\u0022uote", 'Q"uote'),
    ],
)
def test_escapes_are_resolved(read, name, title):
    pairs, losses = read(dbo(name, "City"))
    assert pairs == [(title, "city")] and not losses.counts


@pytest.mark.parametrize(
    "content, cause, place",
    [
        (dbo("Ly%FFon", "City"), NOT_UTF8, "byte 0"),
        (b"\n" + dbo("Lyon", "City").encode().replace(b"Ly", b"\xf5"), NOT_UTF8, "byte 1"),
        (dbo("\\uD83D", "City"), NOT_UTF8, "byte 0"),
        (dbo("\\UFFFFFFFF", "City"), NOT_UTF8, "byte 0"),
        ("#1\n<a> <b> .\n", NO_STATEMENT, "byte 3"),
        ("dbr:Lyon a dbo:City .\n", NO_STATEMENT, "byte 0"),
        (dbo("Lyon", "City")[:-10], NO_STATEMENT, "byte 0"),
        ("a\tb\n", NO_STATEMENT, "byte 0"),
        (dbo("", "City"), NO_TITLE, "byte 0"),
        ("<http://example.org/Lyon> " + dbo("", "City").split(" ", 1)[1], NO_TITLE, "byte 0"),
    ],
)
def test_faults_are_counted_with_their_place_or_stop(read, content, cause, place):
    good = dbo("Lyon", "City").encode()
    content = content if isinstance(content, bytes) else content.encode()
    pairs, losses = read(content + b"\n" + good)
    assert pairs == [("Lyon", "city")]
    assert dict(losses.counts) == {cause: 1}
    assert f"types.ttl: {place}" in losses.first[cause]
    with pytest.raises(ValueError, match=rf"HE074.*types\.ttl: {place}: {cause}"):
        read(content + b"\n" + good, strict=True)


@pytest.mark.parametrize(
    "line, cause",
    [
        (statement("Lyon", "http://schema.org/City"), OTHER_NAMESPACE),
        (statement("Lyon", "http://www.w3.org/2002/07/owl#Thing"), OTHER_NAMESPACE),
        (dbo("Lyon", "Town"), UNKNOWN_CLASS),
        ("Lyon\ttype\trace_horse\n", UNKNOWN_CLASS),
        (
            statement("Lyon", "http://dbpedia.org/ontology/City", "<http://a/label>"),
            OTHER_PREDICATE,
        ),
        (dbo("Nina_Simone__1", "City"), PART_OF_PAGE),
    ],
)
def test_what_is_not_asked_for_is_counted_and_never_stops(read, line, cause):
    pairs, losses = read(line, strict=True)
    assert not pairs and dict(losses.counts) == {cause: 1}


def test_literals_and_prefixes_are_passed_over(read):
    text = '@prefix a: <http://a/> .\n<http://a/x> <http://a/label> "L\\"yon"@en .\n'
    pairs, losses = read(text, strict=True)
    assert not pairs and not losses.counts


def test_namespace(read):
    line = statement("Lyon", "http://schema.org/City")
    assert read(line, namespace="http://schema.org/")[0] == [("Lyon", "city")]


def test_a_file_cut_off_gives_what_it_has(read):
    lines = [dbo(f"Town_{number}_{number * 7919 % 1000}", "City") for number in range(100_000)]
    packed = bz2.compress("".join(lines).encode())
    pairs, losses = read(packed[: len(packed) // 2], name="types.ttl.bz2")
    assert 0 < len(pairs) < 100_000 and pairs[0][1] == "city"
    assert dict(losses.counts) == {TRUNCATED: 1}
    with pytest.raises(ValueError, match=rf"HE074.*types\.ttl\.bz2: byte [1-9].*{TRUNCATED}"):
        read(packed[: len(packed) // 2], name="types.ttl.bz2", strict=True)


def test_batches_are_bounded(tmp_path):
    (tmp_path / "a.ttl").write_text("".join(dbo(f"A{n}", "City") for n in range(70_000)))
    sizes = [len(b.titles) for b in read_instance_types([tmp_path], ONTOLOGY, Losses())]
    assert sizes == [65536, 70_000 - 65536]


def test_missing_files(tmp_path):
    with pytest.raises(ValueError, match="HE075"):
        list(read_instance_types([tmp_path / "none.ttl"], ONTOLOGY, Losses()))


@pytest.fixture(scope="module")
def ontology(data_dir):
    pytest.importorskip("rdflib")
    return read_ontology(data_dir / "dbpedia" / "ontology" / "ontology.owl")


def read_real(path, ontology):
    losses = Losses()
    pairs = {}
    for batch in read_instance_types([path], ontology, losses):
        pairs.update(zip(batch.titles, batch.classes.tolist(), strict=True))
    return {title: ontology.by_depth[number] for title, number in pairs.items()}, losses


def test_real_release_file_with_invalid_utf8(data_dir, ontology):
    path = data_dir / "dbpedia/databus_instance_types/instance-types_lang_cs.ttl.bz2"
    types, losses = read_real(path, ontology)
    assert types["AC/DC"] == "musicalartist"
    assert types["'74 Jailbreak"] == "album"
    assert dict(losses.counts) == {NOT_UTF8: 255, NO_TITLE: 1, PART_OF_PAGE: 157}
    # The line that holds the bad byte 76,760.
    assert "byte 76,725:" in losses.first[NOT_UTF8]
    with pytest.raises(ValueError, match=r"HE074.*byte 52,577"):
        list(read_instance_types([path], ontology, Losses(strict=True)))


def test_real_release_file_with_comments(data_dir, ontology):
    path = data_dir / "dbpedia/databus_instance_types/instance-types_lang_ga_marvin_2019.ttl.bz2"
    types, losses = read_real(path, ontology)
    assert (
        types["George W. Bush"] == "president" and types["Stáit Aontaithe Mheiriceá"] == "country"
    )
    assert dict(losses.counts) == {PART_OF_PAGE: 21}


def test_real_rows(data_dir, ontology):
    path = data_dir / "dbpedia/joie_db111k/db_InsType_mini.txt.xz"
    types, losses = read_real(path, ontology)
    assert types["Abraham Lincoln"] == "officeholder"
    assert sum(losses.counts.values()) + len(types) <= 99_748
    assert losses.counts[UNKNOWN_CLASS] == 642  # race_horse


def test_real_transitive_types(data_dir, ontology):
    folder = data_dir / "dbpedia/nordlys_2015-10_sample/core-i18n/en"
    path = folder / "instance_types_transitive_en.ttl.bz2"
    losses = Losses()
    asserted = {}
    for batch in read_instance_types([path], ontology, losses):
        for title, number in zip(batch.titles, batch.classes.tolist(), strict=True):
            asserted.setdefault(title, []).append(ontology.by_depth[number])
    assert asserted["British Airways"] == ["company", "organisation", "agent"]
    assert ontology.most_specific(asserted["British Airways"]) == "company"
    assert losses.counts[OTHER_NAMESPACE] == 322
