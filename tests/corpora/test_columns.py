"""Column files: each quirk of the public corpora, small."""

import pytest

from spacy_hetner.corpora.readers import FORMATS, get_format
from spacy_hetner.corpora.readers.rows import EMPTY_SENTENCE, EMPTY_TOKEN
from spacy_hetner.labels.codecs import LABEL_CHANGE, ORPHAN


@pytest.mark.parametrize(
    "text",
    ["a\tB-X\nb\tI-X\n\nc\tO\n\n", "a\tB-X\nb\tI-X\n\nc\tO", "\n\na\tB-X\nb\tI-X\n\n\nc\tO\n"],
)
def test_blank_lines_part_sentences_and_the_last_may_be_missing(read, text):
    reading = read("columns", text)
    assert reading.tokens == [["a", "b"], ["c"]]
    assert reading.spans == [[(0, 2, "X")], []]


def test_crlf_and_byte_order_mark(read):
    reading = read("columns", b"\xef\xbb\xbfa\tB-X\r\n\r\nb\tO\r\n")
    assert (reading.tokens, reading.spans) == ([["a"], ["b"]], [[(0, 1, "X")], []])


def test_lines_of_blanks_and_tabs_part_sentences(read):
    assert read("columns", "a\tO\n \t\nb\tO\n").tokens == [["a"], ["b"]]


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("token", ["\u0085", "\u3000", "\u00a0", "\u2028", "\x08", "\ufffd\ufffd"])
def test_any_character_can_be_a_token(read, token, separator):
    text = f"a{separator}B-X\n{token}{separator}I-X\nb{separator}O\n"
    reading = read("columns", text, separator=separator)
    assert reading.tokens == [["a", token, "b"]]
    assert reading.spans == [[(0, 2, "X")]]


def test_the_separator_itself_can_be_a_token(read):
    assert read("columns", "a O\n  O\nb O\n", separator="space").tokens == [["a", " ", "b"]]


@pytest.mark.parametrize("separator", ["|", "tab", "space", "\\t", " ||| "])
def test_any_separator(read, separator):
    literal = {"tab": "\t", "space": " ", "\\t": "\t"}.get(separator, separator)
    reading = read("columns", f"a{literal}B-X\nb{literal}I-X\n", separator=separator)
    assert (reading.tokens, reading.spans) == ([["a", "b"]], [[(0, 2, "X")]])


@pytest.mark.parametrize("separator", ["\t", " "])
def test_separator_is_found_out(read, separator):
    assert read("columns", f"a{separator}O\nb{separator}O\n").tokens == [["a", "b"]]


def test_columns_are_chosen_by_number(read):
    text = "1 a NN B-X\n2 b VB O\n"
    chosen = read("columns", text, token_column=2, tag_column=4)
    assert (chosen.tokens, chosen.spans) == ([["a", "b"]], [[(0, 1, "X")]])
    assert read("columns", text, token_column=2, tag_column=-1).spans == [[(0, 1, "X")]]


@pytest.mark.parametrize("column", [0, 3, -3])
def test_column_that_is_not_there_is_refused(read, column):
    with pytest.raises(ValueError, match=rf"HE067.*f0\.txt:1: there is no column {column} among 2"):
        read("columns", "a\tO\n", tag_column=column)


def test_separators_at_the_end_make_no_column(read):
    assert read("columns", "a\tB-X\t\nb\tI-X\t\n").spans == [[(0, 2, "X")]]


def test_exactly_the_last_character_is_stripped(read):
    text = "科0\tB-GPE.NAM\n技1\tI-GPE.NAM\n10\tO\n\ufffd\ufffd0\tO\n"
    assert read("columns", text, strip_token_digit=True).tokens == [["科", "技", "1", "\ufffd" * 2]]


@pytest.mark.parametrize("token", ["科", "0", "科x", "科²"])
def test_token_without_a_digit_to_strip_is_refused(read, token):
    with pytest.raises(ValueError, match=r"HE069.*f0\.txt:2: token"):
        read("columns", f"科0\tO\n{token}\tO\n", strip_token_digit=True)


def test_image_headers_give_ids(read):
    text = "IMGID:101\nRT\tO\nIMGID:5\tO\n\nIMGID:102\nx\tB-PER\nIMGID:103\ny\tO\n"
    reading = read("columns", text)
    assert [record.id for record in reading.records] == ["101", "102", "103"]
    assert reading.tokens == [["RT", "IMGID:5"], ["x"], ["y"]]


@pytest.mark.parametrize("separator", [None, "space", "|"])
def test_row_whose_token_looks_like_a_header_is_kept(read, separator):
    cut = "|" if separator == "|" else " "
    text = f"IMGID:101\nIMGID:5{cut}B-X\na{cut}O\n"
    reading = read("columns", text, separator=separator)
    assert (reading.tokens, reading.spans) == ([["IMGID:5", "a"]], [[(0, 1, "X")]])
    assert reading.records[0].id == "101"


def test_document_starts_and_comments_are_left_out(read):
    text = "-DOCSTART- -X- O\n\n# one\na NN B-X\n# two\nb NN I-X\n"
    reading = read("columns", text, comments=["-DOCSTART-", "# "])
    assert (reading.tokens, reading.spans) == ([["a", "b"]], [[(0, 2, "X")]])
    assert read("columns", "#\tO\na\tO\n").tokens == [["#", "a"]]


def test_hyphens_and_underscores_inside_labels(read):
    text = "a\tB-Multi-tissue_structure\nb\tI-Multi-tissue_structure\n"
    assert read("columns", text).spans == [[(0, 2, "Multi-tissue_structure")]]


@pytest.mark.parametrize(
    "scheme, tags, spans",
    [
        ("BIO", "B-X I-X B-X", [(0, 2, "X"), (2, 3, "X")]),
        ("IOB1", "I-X I-X B-X", [(0, 2, "X"), (2, 3, "X")]),
        ("BMES", "B-X M-X E-X", [(0, 3, "X")]),
        ("BIEOS", "B-X I-X E-X", [(0, 3, "X")]),
        ("BIOES", "S-X B-X E-X", [(0, 1, "X"), (1, 3, "X")]),
    ],
)
def test_schemes(read, scheme, tags, spans):
    text = "".join(f"t{i}\t{tag}\n" for i, tag in enumerate(tags.split()))
    assert read("columns", text, scheme=scheme).spans == [spans]


ORPHANS = "a\tO\nb\tI-X\nc\tI-X\nd\tB-Y\ne\tI-X\n"


def test_orphan_tags_are_kept_and_counted(read):
    reading = read("columns", ORPHANS)
    assert reading.spans == [[(1, 3, "X"), (3, 4, "Y"), (4, 5, "X")]]
    assert reading.ledger.inconsistent == {ORPHAN: 1, LABEL_CHANGE: 1}
    assert not reading.ledger.dropped


def test_orphan_tags_are_dropped_and_counted_in_strict_decoding(read):
    reading = read("columns", ORPHANS, decoding="strict")
    assert reading.spans == [[(3, 4, "Y")]]
    assert reading.ledger.inconsistent == {ORPHAN: 1, LABEL_CHANGE: 1}
    assert reading.ledger.dropped == {"inconsistent tags": 2}


@pytest.mark.parametrize("decoding", ["conlleval", "strict"])
def test_orphan_tags_are_errors_with_file_and_line_if_strict(read, decoding):
    with pytest.raises(ValueError, match=r"HE074.*f0\.txt:4: inside tag after no span \(tag 'I-X'"):
        read("columns", "z\tO\n\n" + ORPHANS, strict=True, decoding=decoding)


def test_line_numbers_count_comments(read):
    with pytest.raises(ValueError, match=r"HE074.*f0\.txt:3: "):
        read("columns", "a\tO\n-DOCSTART-\nb\tI-X\n", strict=True)


def test_unknown_tag_is_told_with_file_and_line(read):
    with pytest.raises(ValueError, match=r"^\[HE060\] .*f0\.txt:3: tag 'UNK'.*scheme BIO"):
        read("columns", "a\tO\n\nb\tUNK\n")


@pytest.mark.parametrize(
    "text, line",
    [
        ("a\tO\nb\tB-X\nc", 3),  # cut off in the middle of a line
        ("a\tO\nb\tNN\tO\n", 2),  # too wide
        ("a NN O\nb O\n", 2),  # too narrow
        ("New O\nNew York O\n", 2),  # a blank in a token
        ("a\nb\n", 1),  # no tags at all
        ("a\tO\t\nb\tO\n", 2),  # separators at the end of some rows only
    ],
)
def test_inconsistent_columns_are_told_with_file_and_line(read, text, line):
    with pytest.raises(ValueError, match=rf"HE066.*f0\.txt:{line}: \d columns where"):
        read("columns", text)


def test_empty_tokens_are_dropped_and_counted(read):
    reading = read("columns", "a\tB-X\n\tI-X\nb\tI-X\n\n\tO\n\nc\tO\n")
    assert (reading.tokens, reading.spans) == ([["a", "b"], ["c"]], [[(0, 2, "X")], []])
    assert reading.ledger.dropped == {EMPTY_TOKEN: 2, EMPTY_SENTENCE: 1}
    with pytest.raises(ValueError, match=r"HE074.*f0\.txt:2: empty token"):
        read("columns", "a\tO\n\tO\n", strict=True)


def test_several_files_follow_each_other(read):
    assert read("columns", "a\tO\n", "b O\n").tokens == [["a"], ["b"]]


def test_formats_are_found_by_name():
    assert get_format("span-lines") is FORMATS["span_lines"]
    with pytest.raises(ValueError, match=r"HE004.*'conll'.*columns, layered"):
        get_format("conll")


def test_option_of_another_format_is_refused(read):
    with pytest.raises(
        ValueError, match=r"HE076.*'layered' takes no option 'tag_column'.*decoding"
    ):
        read("layered", "a\tO\n", tag_column=1)


@pytest.mark.parametrize("option", [{"scheme": "BILUO"}, {"decoding": "loose"}])
def test_unknown_modes_are_refused(read, option):
    with pytest.raises(ValueError, match="HE004"):
        read("columns", "a\tO\n", **option)


def test_unknown_tokens_are_kept_apart_from_those_outside(read):
    text = "a\tUNK\nb\tUNK\nc\tB-X\nd\tO\ne\tUNK\n\nf\tO\n"
    reading = read("columns", text, unknown="UNK")
    assert reading.spans == [[(2, 3, "X")], []]
    assert [record.meta for record in reading.records] == [{"unknown": [[0, 2], [4, 5]]}, {}]


def test_a_tag_that_nobody_named_is_no_tag(read):
    with pytest.raises(ValueError, match=r"HE060.*UNK"):
        read("columns", "a\tUNK\n")
