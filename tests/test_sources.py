"""Files as lines: line ends, byte order marks, packing, damage, encodings."""

import bz2
import gzip
import lzma
import zipfile

import pytest

from spacy_hetner.sources import find_files, read_lines, read_text, unpacked_name

TEXT = "中\tO\nb\tO\n"
LINES = [(1, "中\tO"), (2, "b\tO")]
PACKERS = {".xz": lzma.compress, ".bz2": bz2.compress, ".gz": gzip.compress}


@pytest.mark.parametrize("mark", ["\u0085", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_line_feeds_end_a_line(tmp_path, mark):
    path = tmp_path / "a.txt"
    path.write_bytes(f"a{mark}b\n{mark}c\n".encode())
    assert list(read_lines(path)) == [(1, f"a{mark}b"), (2, f"{mark}c")]


def test_crlf_and_byte_order_mark_are_dropped(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfa\tO\r\n\r\nb\tO")
    assert list(read_lines(path)) == [(1, "a\tO"), (2, ""), (3, "b\tO")]
    assert read_text(path) == "a\tO\r\n\r\nb\tO"


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_files_are_unpacked(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(PACKERS[suffix](TEXT.encode()))
    assert list(read_lines(path)) == LINES
    assert unpacked_name(path) == "a.txt"


def test_zip_of_one_file_is_unpacked(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/a.txt", TEXT)
        archive.writestr("__MACOSX/folder/._a.txt", "junk")
    assert list(read_lines(path)) == LINES


@pytest.mark.parametrize("names", [[], ["a.txt", "b.txt"]])
def test_zip_of_another_number_of_files_is_refused(tmp_path, names):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, TEXT)
    with pytest.raises(ValueError, match=f"HE065.*holds {len(names)} files"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", [*PACKERS, ".zip"])
def test_cut_archive_is_told_with_file_and_line(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    text = "".join(f"token{number * 7919 % 10007}\tO\n" for number in range(20_000)).encode()
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", text)
    else:
        path.write_bytes(PACKERS[suffix](text))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=rf"HE064.*a\.txt{suffix}:\d+: "):
        list(read_lines(path))


@pytest.mark.parametrize(
    "offset, value, reason", [(8, 1, "encrypted"), (10, 99, "compression method")]
)
def test_zip_that_cannot_be_unpacked_is_told(tmp_path, offset, value, reason):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", TEXT)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + offset] = value  # flags and method in the directory
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"HE064.*a\.zip:1: .*{reason}"):
        list(read_lines(path))


@pytest.mark.parametrize("good_lines", [0, 3, 5000])
def test_wrong_encoding_is_told_with_file_and_line(tmp_path, good_lines):
    path = tmp_path / "a.txt"
    path.write_bytes("中文\tO\n".encode() * good_lines + "中文\tO\n".encode("gb18030") * 3)
    with pytest.raises(ValueError, match=rf"HE063.*a\.txt:{good_lines + 1}: not valid utf-8"):
        list(read_lines(path))


def test_named_encoding_is_used(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("gb18030"))
    assert list(read_lines(path, "gb18030")) == LINES
    with pytest.raises(ValueError, match=r"HE063.*no such encoding"):
        list(read_lines(path, "utf-7000"))


def test_encoding_that_needs_a_byte_order_mark_is_told_if_there_is_none(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("utf-16"))
    assert list(read_lines(path, "utf-16")) == LINES
    path.write_bytes(TEXT.encode("utf-16-be"))
    with pytest.raises(ValueError, match=r"HE063.*a\.txt:1: not valid utf-16 .*BOM"):
        list(read_lines(path, "utf-16"))


@pytest.mark.parametrize("encoding", ["UTF-8", "utf8", "utf_8", "U8"])
def test_byte_order_mark_is_dropped_for_every_name_of_utf8(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode("utf-8-sig"))
    assert list(read_lines(path, encoding)) == LINES


def test_file_cut_inside_a_character_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT.encode() + "中".encode()[:2])
    with pytest.raises(ValueError, match=r"HE063.*a\.txt:3: "):
        list(read_lines(path))


def test_folder_stands_for_its_files_in_order(tmp_path):
    for name in ("b.txt", "a.txt.xz", "a.ann", ".hidden.txt"):
        (tmp_path / name).write_text("", encoding="utf8")
    (tmp_path / "folder.txt").mkdir()
    names = [path.name for path in find_files([tmp_path], [".txt"])]
    assert names == ["a.txt.xz", "b.txt"]
    assert find_files([tmp_path / "a.ann"], [".txt"]) == [tmp_path / "a.ann"]


def test_folders_in_a_folder_are_searched_if_wanted(tmp_path):
    for name in ("b/c.txt", "b/.hidden/d.txt", "a.txt", "b/.e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("", encoding="utf8")
    assert find_files([tmp_path]) == [tmp_path / "a.txt"]
    assert find_files([tmp_path], deep=True) == [tmp_path / "a.txt", tmp_path / "b" / "c.txt"]
    assert find_files([tmp_path / "b" / ".hidden"]) == [tmp_path / "b" / ".hidden" / "d.txt"]


@pytest.mark.parametrize("name", ["missing.txt", "."])
def test_input_without_files_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="HE075"):
        find_files([tmp_path / name])


def test_missing_file_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"HE075.*missing\.txt"):
        list(read_lines(tmp_path / "missing.txt"))
