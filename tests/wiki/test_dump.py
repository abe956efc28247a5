"""Dumps: every schema and packing, shards that lose and double nothing, and what is broken."""

import bz2
import pickle
import re
import tracemalloc
from dataclasses import asdict
from itertools import chain

import pyarrow as pa
import pytest
from dumps import PACKERS, header, many_pages, multistream, pack_streams, page_xml
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.engine.task import Shard, new_counts
from spacy_hetner.losses import Losses
from spacy_hetner.wiki.dump import PAGES, PagesTask, dump_shards, read_header, read_pages
from spacy_hetner.wiki.dump_xml import BETWEEN, NO_NAME, NOT_UTF8, NOT_WHOLE, NOT_XML
from spacy_hetner.wiki.streams import CUT_OFF, DAMAGED, cut_points


def ids(pages):
    return [page.id for page in pages]


def read(path, start=0, end=None):
    """Numbers of the pages, and what was lost by its cause."""
    losses = Losses()
    pages = ids(read_pages(path, start, end, losses=losses))
    return pages, dict(losses.counts)


def in_pieces(path, points):
    """The pages of each range between points."""
    ends = [*points[1:], path.stat().st_size]
    return [read(path, *piece)[0] for piece in zip(points, ends, strict=True)]


def joined(parts):
    return list(chain.from_iterable(parts))


@pytest.mark.parametrize("schema", ["0.9", "0.10", "0.11"])
@pytest.mark.parametrize("name", [f"dump{suffix}" for suffix in PACKERS])
def test_pages_of_every_schema_and_packing(write_dump, schema, name):
    pages = [
        page_xml(5, "a & <b>\n\n[[c]]", title='A "B" & C'),
        page_xml(6, "last", older=["first", "second"]),
        page_xml(7, "#WEITERLEITUNG [[Wolf]]", redirect="Grey wolf"),
        page_xml(8, "x", title="Datei:a.jpg", ns=6),
        page_xml(9, ""),
    ]
    found = list(read_pages(write_dump(pages, name, header(schema))))
    assert found == [
        (5, 0, 'A "B" & C', None, "a & <b>\n\n[[c]]"),
        (6, 0, "Page 6", None, "last"),
        (7, 0, "Page 7", "Grey wolf", "#WEITERLEITUNG [[Wolf]]"),
        (8, 6, "Datei:a.jpg", None, "x"),
        (9, 0, "Page 9", None, ""),
    ]


@pytest.mark.parametrize(
    "text, target",
    [
        ("#REDIRECT [[grey_wolf]]", "Grey wolf"),
        ("\n#redirect: [[Wolf#Diet|x]] {{R}}", "Wolf"),
        ("#WEITERLEITUNG[[Wolf]]", "Wolf"),
        ("#Weiterleitung [[Wolf]]", "Wolf"),
        ("#重定向 [[柏林]]", "柏林"),
        ("#перенаправление [[Волк]]", "Волк"),
        ("# [[Wolf]]", None),
        ("#first [[Wolf]]", None),
        ("See #REDIRECT [[Wolf]]", None),
    ],
)
def test_redirects_are_known_by_their_text(write_dump, text, target):
    assert [page.redirect for page in read_pages(write_dump([page_xml(1, text)]))] == [target]


def test_header(write_dump):
    found = read_header(write_dump([page_xml(1)]))
    assert (found.name, found.lang) == ("dewiki", "de")
    assert found.namespaces.number("Kategorie:a") == 14
    assert found.namespaces.number("portal:a") == 100
    assert found.namespaces.number("Diskussion:a") == 1


def test_no_siteinfo(write_dump):
    path = write_dump([page_xml(1)], head=header(siteinfo=False))
    assert read(path) == ([1], {})
    assert read_header(path).name == "" and read_header(path).namespaces.number("File:a") == 6
    assert read_header(write_dump(b"<mediawiki xml:lang='de", "cut.xml")).lang == ""


def test_dumps_put_together(write_dump):
    one = f"{header()}{page_xml(1)}</mediawiki>\n"
    assert read(write_dump((one + one).encode())) == ([1, 1], {})
    assert read(write_dump(pack_streams([one, one]), "dump.xml.bz2")) == ([1, 1], {})


def test_shards_of_many_streams_hold_whole_pages(write_dump):
    pages = many_pages(200)
    path = write_dump(multistream(pages), "dump.xml.bz2")
    points = cut_points(path, 2000)
    assert len(points) > 5
    for point in points[1:]:
        unpacked = bz2.BZ2Decompressor().decompress(path.read_bytes()[point:])
        assert unpacked.lstrip().startswith((b"<page>", b"</mediawiki>"))
    found = in_pieces(path, points)
    assert joined(found) == list(range(1, 201)) and all(found[:-1])


@pytest.mark.parametrize("size", [100, 7919, 20_000])
def test_streams_need_not_end_with_pages(write_dump, size):
    """As parallel packers make them: cut after so many bytes, be it within a tag."""
    xml = (header() + "".join(many_pages(150)) + "</mediawiki>").encode()
    packed = b"".join(bz2.compress(xml[i : i + size]) for i in range(0, len(xml), size))
    path = write_dump(packed, "dump.xml.bz2")
    points = cut_points(path, 6000)
    assert len(points) > 2
    assert joined(in_pieces(path, points)) == list(range(1, 151))


@given(st.data())
def test_plain_files_are_cut_anywhere(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("plain") / "dump.xml"
    path.write_bytes((header() + "".join(many_pages(8)) + "</mediawiki>").encode())
    cuts = data.draw(st.sets(st.integers(1, path.stat().st_size - 1), max_size=6))
    assert joined(in_pieces(path, [0, *sorted(cuts)])) == list(range(1, 9))


def test_mark_of_a_stream_within_a_stream_does_not_cut(write_dump):
    packed = bytearray(multistream(many_pages(90), 30))
    first, second, third, _ = (match.start() for match in re.finditer(b"BZh91AY", packed[1:]))
    packed[second + 1001 : second + 1011] = b"BZh91AY&SY"
    path = write_dump(bytes(packed), "dump.xml.bz2")
    assert first < second + 500 < third
    assert cut_points(path, second + 500) == [0, third + 1]


def test_one_stream_and_other_packings_are_one_shard(write_dump):
    for name in ("a.xml.bz2", "b.xml.gz", "c.xml.xz"):
        path = write_dump(many_pages(50), name)
        assert cut_points(path, 100) == [0]
        assert read(path) == (list(range(1, 51)), {})


def test_shards_are_named_over_all_files(write_dump, tmp_path):
    for name in ("b.xml.bz2", "a.xml"):
        write_dump(many_pages(3), name)
    shards = dump_shards(tmp_path)
    assert [shard.name for shard in shards] == ["00000", "00001"]
    assert [shard.source[-5:] for shard in shards] == ["a.xml", "l.bz2"[-5:]]
    assert shards == dump_shards([tmp_path / "a.xml", tmp_path / "b.xml.bz2"])
    with pytest.raises(ValueError, match="HE078"):
        dump_shards(tmp_path, megabytes=0)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.999])
def test_cut_off_files_keep_what_is_whole(write_dump, cut):
    whole = multistream(many_pages(100), 5)
    path = write_dump(whole[: int(cut * len(whole))], "dump.xml.bz2")
    pages, lost = read(path)
    assert pages == list(range(1, len(pages) + 1)) and len(pages) >= int(cut * 100) - 10
    assert lost == {CUT_OFF: 1}
    with pytest.raises(ValueError, match=r"HE074.*dump\.xml\.bz2, byte \d+.*packed data cut off"):
        list(read_pages(path, losses=Losses(strict=True)))


@pytest.mark.parametrize("name", ["dump.xml.gz", "dump.xml.xz"])
def test_other_packings_cut_off(write_dump, name):
    path = write_dump(many_pages(2000), name)
    packed = path.read_bytes()
    path.write_bytes(packed[: len(packed) // 2])
    pages, lost = read(path)
    assert len(pages) > 100
    assert lost in ({CUT_OFF: 1}, {CUT_OFF: 1, NOT_WHOLE: 1})


def test_damaged_stream_costs_its_own_pages(write_dump):
    packed = bytearray(multistream(many_pages(50)))
    marks = [i for i in range(len(packed)) if packed[i : i + 10] == b"BZh91AY&SY"]
    packed[marks[2] + 200] ^= 255
    path = write_dump(bytes(packed), "dump.xml.bz2")
    assert read(path) == ([*range(1, 11), *range(21, 51)], {DAMAGED: 1})
    assert joined(in_pieces(path, [0, marks[1], marks[3]])) == [*range(1, 11), *range(21, 51)]


def test_plain_file_that_ends_in_a_page(write_dump):
    xml = (header() + "".join(many_pages(3))).encode()
    path = write_dump(xml[:-100])
    assert read(path) == ([1, 2], {NOT_WHOLE: 1})
    with pytest.raises(ValueError, match=r"HE074.*dump\.xml, page 3, byte \d+ unpacked.*cut off"):
        list(read_pages(path, losses=Losses(strict=True)))


def test_page_cut_in_the_middle_of_a_file(write_dump):
    pages = many_pages(4)
    pages[1] = pages[1][:300]
    assert read(write_dump(pages)) == ([1, 3, 4], {NOT_WHOLE: 1})


@pytest.mark.parametrize(
    "broken, cause",
    [
        (b"\xff\xfe", NOT_UTF8),
        (b"\xe9t\xe9", NOT_UTF8),
        (b"a & b", NOT_XML),
        (b"<i>", NOT_XML),
        (b"\x02", NOT_XML),
        (b"&undefined;", NOT_XML),
    ],
)
def test_broken_page_costs_itself(write_dump, broken, cause):
    pages = [page.encode() for page in many_pages(4)]
    pages[2] = pages[2].replace(b"Line", broken, 1)
    path = write_dump(header().encode() + b"".join(pages) + b"</mediawiki>")
    assert read(path) == ([1, 2, 4], {cause: 1})
    with pytest.raises(ValueError, match=r"HE074.*, page 3, byte \d+ unpacked"):
        list(read_pages(path, losses=Losses(strict=True)))


def test_what_is_no_xml_between_pages_costs_none(write_dump):
    one, two = many_pages(2)
    assert read(write_dump([one, "& </b>", two])) == ([1, 2], {BETWEEN: 1})


def test_page_without_a_name_is_counted(write_dump):
    pages = [page_xml(1).replace("<id>1</id>", ""), page_xml(2).replace("Page 2", ""), page_xml(3)]
    assert read(write_dump(pages)) == ([3], {NO_NAME: 2})


@pytest.mark.parametrize("content", [b"", b"no XML at all", b"<mediawiki></mediawiki>"])
def test_file_without_pages_is_refused(write_dump, content):
    with pytest.raises(ValueError, match=r"HE141.*dump\.xml"):
        list(read_pages(write_dump(content)))


def test_missing_file_and_unknown_packing_are_refused(tmp_path):
    for work in (lambda path: list(read_pages(path)), read_header, dump_shards):
        with pytest.raises(ValueError, match="HE075"):
            work(tmp_path / "missing.xml")
        (tmp_path / "dump.xml.7z").write_bytes(b"7z")
        with pytest.raises(ValueError, match=r"HE140.*\.7z"):
            work(tmp_path / "dump.xml.7z")


def test_memory_does_not_grow_with_the_dump(write_dump):
    peaks = []
    for count in (300, 3000):
        path = write_dump(multistream(many_pages(count), 100), f"{count}.xml.bz2")
        tracemalloc.start()
        assert sum(1 for _ in read_pages(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def run(task, shard):
    counts = new_counts()
    return pa.Table.from_batches(task(shard, counts), PAGES).to_pylist(), counts


def test_task_writes_rows_and_counts(write_dump):
    pages = [page_xml(1, "a"), page_xml(2, "b", redirect="Page 1"), page_xml(3, "c", ns=6)]
    path = write_dump([*pages, page_xml(4)[:50]])
    task = pickle.loads(pickle.dumps(PagesTask()))
    rows, counts = run(task, dump_shards(path)[0])
    assert rows == [
        {"id": 1, "ns": 0, "title": "Page 1", "redirect": None, "text": "a"},
        {"id": 2, "ns": 0, "title": "Page 2", "redirect": "Page 1", "text": ""},
    ]
    assert counts["pages"] == {"articles": 1, "redirects": 1, "of other namespaces": 1}
    assert counts["dropped"] == {NOT_XML: 1} or counts["dropped"] == {NOT_WHOLE: 1}
    assert len(counts["places"]) == 1
    assert asdict(task) == {"namespaces": (0,), "strict": False}
    rows, _ = run(PagesTask(namespaces=(6,)), dump_shards(path)[0])
    assert [row["id"] for row in rows] == [3]
    with pytest.raises(ValueError, match="HE074"):
        run(PagesTask(strict=True), dump_shards(path)[0])


def test_rows_do_not_depend_on_the_shards(write_dump):
    path = write_dump(multistream(many_pages(120)), "dump.xml.bz2")
    whole, _ = run(PagesTask(), Shard("0", str(path), 0, path.stat().st_size))
    points = cut_points(path, 3000)
    ends = [*points[1:], path.stat().st_size]
    parts = [
        run(PagesTask(), Shard(str(start), str(path), start, end))[0]
        for start, end in zip(points, ends, strict=True)
    ]
    assert len(parts) > 3 and joined(parts) == whole


def test_real_dumps(data_dir):
    """The counts of the mirror's own description, page by page."""
    folder = data_dir / "wikipedia"
    found = {path: list(read_pages(path)) for path in sorted(folder.rglob("*.bz2"))}
    sizes = {f"{path.parent.name}/{path.name[:12]}": len(pages) for path, pages in found.items()}
    assert sizes == {
        "de/wiki.xml.bz2": 2,
        "en/wiki.xml.bz2": 27,
        "fr/wiki.xml.bz2": 3,
        "ja/wiki.xml.bz2": 1,
        "simple/wiki.xml.bz2": 1,
        "zh/wiki.xml.bz2": 1,
        "gensim/enwiki-lates": 206,
        "gensim/enwiki-table": 5,
        "wikipedia2vec/enwiki-pages": 3,
    }
    (gensim,) = (pages for path, pages in found.items() if "shortened" in path.name)
    assert sum(page.redirect is not None for page in gensim) == 100
    assert sum(page.ns == 0 for page in gensim) == 205
