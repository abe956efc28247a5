"""Formats with text or token lists: span lines, chunk lines, CLUENER, JSON Lines, brat."""

import json
import lzma

import pytest
import spacy

from spacy_hetner.corpora.readers import read_records
from spacy_hetner.corpora.readers.brat import ACROSS_LINES, DISCONTINUOUS
from spacy_hetner.corpora.readers.cluener import MISMATCH
from spacy_hetner.corpora.readers.texts import EMPTY_TEXT, SPLIT, make_tokenizer
from spacy_hetner.corpora.records import Ledger


def lines(*values):
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


# Span lines


def test_span_lines_with_nested_and_without_entities(read):
    text = "il-2 gene x\n0,2 G#DNA|0,1 G#Multi-tissue_structure\n\na b\n\n\nc\n0,1 PER"
    reading = read("span_lines", text)
    assert reading.tokens == [["il-2", "gene", "x"], ["a", "b"], ["c"]]
    assert reading.spans == [
        [(0, 2, "DNA"), (0, 1, "Multi-tissue_structure")],
        [],
        [(0, 1, "PER")],
    ]


@pytest.mark.parametrize(
    "text, line, problem",
    [
        ("a b", 1, "no second line"),
        ("a b\n0,1 G#X\nc d\n", 3, "third line"),
        ("a b\n0,1 G#\n\n", 2, "no list of spans"),
        ("a b\n0,1 G#X|1,", 2, "no list of spans"),
    ],
)
def test_broken_blocks_are_told_with_file_and_line(read, text, line, problem):
    with pytest.raises(ValueError, match=rf"HE072.*f0\.txt:{line}: .*{problem}"):
        read("span_lines", text)


@pytest.mark.parametrize("span", ["0,3", "1,1", "2,1"])
def test_span_lines_outside_of_the_sentence_are_refused(read, span):
    with pytest.raises(ValueError, match=r"HE073.*f0\.txt:2: "):
        read("span_lines", f"a b\n{span} G#X\n")


def test_two_blanks_would_shift_the_spans_and_are_refused(read):
    with pytest.raises(ValueError, match=r"HE068.*f0\.txt:1: "):
        read("span_lines", "a  b\n1,2 G#X\n")


# Chunk lines


def test_chunk_lines_make_every_character_a_token(read):
    reading = read("chunk_lines", "在/o 邓小平/nr 1/2/o \n\n好/o\n")
    assert reading.tokens == [list("在邓小平1/2"), ["好"]]
    assert reading.spans == [[(1, 4, "nr")], []]
    assert reading.records[0].text == "在邓小平1/2"


@pytest.mark.parametrize("chunk", ["邓小平", "/o", "邓/"])
def test_chunk_without_text_or_label_is_refused(read, chunk):
    with pytest.raises(ValueError, match=r"HE072.*f0\.txt:2: chunk"):
        read("chunk_lines", f"在/o\n{chunk}\n")


# CLUENER


def test_cluener_ends_are_inclusive(read):
    text = lines(
        {
            "text": "生生不息CSOL生化",
            "label": {"game": {"CSOL": [[4, 7]]}, "x": {"生": [[0, 0], [1, 1]]}},
        }
    )
    reading = read("cluener", text)
    assert reading.tokens == [["生", "生", "不", "息", "CSOL", "生", "化"]]
    assert reading.spans == [[(0, 1, "x"), (1, 2, "x"), (4, 5, "game")]]
    assert reading.records[0].text == "生生不息CSOL生化"


def test_cluener_test_lines_have_ids_and_no_labels(read):
    reading = read("cluener", lines({"id": 7, "text": "央视"}))
    assert reading.spans == [[]] and reading.records[0].id == "7"


def test_cluener_surface_must_match_its_offsets(read):
    text = lines({"text": "央视新址", "label": {"x": {"央视": [[0, 1]], "新": [[3, 3]]}}})
    reading = read("cluener", text)
    assert reading.spans == [[(0, 2, "x")]]
    assert reading.ledger.dropped == {MISMATCH: 1}


def test_span_inside_a_token_is_counted_and_per_character_tokens_keep_it(read):
    text = lines({"text": "玩CSOL2", "label": {"game": {"CSOL": [[1, 4]]}}})
    reading = read("cluener", text)
    assert reading.spans == [[]] and reading.ledger.dropped == {SPLIT: 1}
    assert read("cluener", text, per_character=True).spans == [[(1, 5, "game")]]
    with pytest.raises(ValueError, match=r"HE074.*f0\.txt:1: span boundary inside a token.*'CSOL'"):
        read("cluener", text, strict=True)


@pytest.mark.parametrize("offsets", [[0, 2], [-1, 0], [1, 0]])
def test_cluener_offsets_outside_of_the_text_are_refused(read, offsets):
    with pytest.raises(ValueError, match=r"HE073.*f0\.txt:1: .*characters \[0, 2\)"):
        read("cluener", lines({"text": "央视", "label": {"x": {"央视": [offsets]}}}))


# JSON Lines


def test_json_tokens_ends_are_exclusive(read):
    mentions = [
        {"start": 0, "end": 3, "entity_type": "DNA", "text": "a b c"},
        {"start": 1, "end": 2, "entity_type": "protein"},
    ]
    text = lines(
        {"tokens": ["a", "b", "c"], "doc_id": "D", "sent_id": "D-0", "entity_mentions": mentions}
    )
    reading = read("json_tokens", text)
    assert reading.spans == [[(0, 3, "DNA"), (1, 2, "protein")]]
    assert (reading.records[0].id, reading.records[0].doc_id) == ("D-0", "D")
    with pytest.raises(ValueError, match=r"HE073.*f0\.txt:1: span \[0, 3\).*tokens \[0, 2\)"):
        read("json_tokens", text.replace(', "c"]', "]"))


def test_json_text_has_half_open_character_offsets(read):
    value = {
        "text": "北京大学 in Beijing.",
        "spans": [[0, 4, "ORG"], [0, 2, "GPE"], [8, 15, "GPE"]],
        "id": "1",
        "meta": {"source": "own"},
    }
    reading = read("json_text", lines(value), lang="zh")
    assert reading.tokens[0] == ["北", "京", "大", "学", "in", "Beijing", "."]
    assert reading.spans == [[(0, 4, "ORG"), (0, 2, "GPE"), (5, 6, "GPE")]]
    assert reading.records[0].text == value["text"]
    assert (reading.records[0].id, reading.records[0].meta) == ("1", {"source": "own"})


def test_emoji_and_combining_marks_keep_offsets(read):
    text = "👩‍👩‍👧 née Zoé 🇩🇪"
    start = text.index("Zoé")
    reading = read("json_text", lines({"text": text, "spans": [[start, start + 3, "P"]]}))
    record = reading.records[0]
    (span,) = record.spans
    assert (record.tokens[span.start : span.end], record.text) == (["Zoé"], text)


@pytest.mark.parametrize(
    "format, line, problem",
    [
        ("json_text", '{"text": "ab", "sp', "laid out otherwise"),
        ("json_text", "[1]", "the line is a list"),
        ("json_text", '{"text": "ab"}', "the key 'spans' is missing"),
        ("json_text", '{"text": "ab", "spans": [[0, 1]]}', "laid out otherwise"),
        ("json_text", '{"text": "ab", "spans": [[0, 1.5, "X"]]}', "laid out otherwise"),
        ("cluener", '{"text": "ab", "label": {"x": [[0, 1]]}}', "laid out otherwise"),
        ("json_text", '{"text": null, "spans": []}', "None is no text"),
        ("json_text", '{"text": ["a"], "spans": []}', "is no text"),
        ("json_text", '{"text": "ab", "spans": {}}', "is no list"),
        ("json_text", '{"text": "ab", "spans": [[0, 1, null]]}', "None is no text"),
        ("json_text", '{"text": "ab", "spans": [[0, 1, ""]]}', "empty"),
        ("json_text", '{"text": "ab", "spans": [], "doc_id": ["a"]}', "is no text"),
        ("json_text", '{"text": "ab", "spans": [], "meta": [["a", 1]]}', "mapping"),
        ("json_text", '{"text": "a\\ud83d", "spans": []}', "surrogates"),
        ("json_text", '{"text": "a", "spans": [], "meta": {"\\uDE00": 1}}', "surrogates"),
        ("cluener", '{"text": null}', "None is no text"),
        ("cluener", '{"text": "a", "id": true}', "True is no text"),
        ("cluener", '{"text": "ab", "label": {"": {"a": [[0, 0]]}}}', "empty"),
        ("cluener", '{"text": "a\\ud83d"}', "surrogates"),
        ("json_tokens", '{"tokens": "abc", "entity_mentions": []}', "'abc' is no list"),
        ("json_tokens", '{"tokens": ["a", null], "entity_mentions": []}', "None is no text"),
        ("json_tokens", '{"tokens": ["a", ""], "entity_mentions": []}', "empty"),
        (
            "json_tokens",
            '{"tokens": ["a"], "entity_mentions": [{"start": 0, "end": 1, "entity_type": null}]}',
            "None is no text",
        ),
        ("json_tokens", '{"tokens": ["a"], "entity_mentions": [{"start": 0}]}', "key 'end'"),
    ],
)
def test_json_laid_out_otherwise_is_told_with_file_and_line(read, format, line, problem):
    good = {
        "json_text": {"text": "a", "spans": []},
        "cluener": {"text": "a"},
        "json_tokens": {"tokens": ["a"], "entity_mentions": []},
    }[format]
    with pytest.raises(ValueError, match=rf"HE072.*f0\.txt:3: .*{problem}"):
        read(format, f"{lines(good)}\n{line}")


@pytest.mark.parametrize("pair", ["\\ud83d\\ude00", "\\\\ud83d"])
def test_whole_characters_may_be_escaped(read, pair):
    reading = read("json_text", f'{{"text": "{pair}", "spans": []}}')
    assert reading.records[0].text == json.loads(f'"{pair}"')


def test_missing_ids_may_be_null(read):
    value = {"text": "a", "spans": [], "id": None, "doc_id": 3}
    (record,) = read("json_text", lines(value)).records
    assert (record.id, record.doc_id) == ("", "3")


@pytest.mark.parametrize(
    "format, empty",
    [
        ("json_text", {"text": "", "spans": []}),
        ("cluener", {"text": ""}),
        ("json_tokens", {"tokens": [], "entity_mentions": []}),
    ],
)
def test_empty_texts_are_counted(read, format, empty):
    reading = read(format, lines(empty))
    assert reading.records == [] and reading.ledger.dropped == {EMPTY_TEXT: 1}
    with pytest.raises(ValueError, match=r"HE074.*f0\.txt:1: empty text"):
        read(format, lines(empty), strict=True)


def test_unknown_language_is_refused():
    with pytest.raises(ValueError, match=r"^\[HE085\].*'qqq'.*E048"):
        make_tokenizer("qqq")


def test_language_whose_tokenizer_is_not_installed_is_told(monkeypatch):
    def blank(lang):
        raise ImportError("Japanese support requires SudachiPy")

    monkeypatch.setattr(spacy, "blank", blank)
    with pytest.raises(ValueError, match=r"HE085.*'ja'.*SudachiPy"):
        make_tokenizer("ja")


def test_per_character_is_for_chinese_only():
    text = "ab"
    assert len(make_tokenizer("ZH", per_character=True)(text)) == 2
    with pytest.raises(ValueError, match=r"HE086.*'en'"):
        make_tokenizer("en", per_character=True)


# Brat

TEXT = "Mrs. Lee of Paris\nsaw New York and\n\nLos Angeles.\n"
ANNOTATIONS = (
    "T1\tPER 0 17\tMrs. Lee of Paris\nT2\tGPE 12 17\tParis\nR1\tIn Arg1:T1 Arg2:T2\n"
    "#1\tAnnotatorNotes T1\tnote\nT3\tGPE 22 30\tNew York\n"
)


@pytest.fixture
def brat(tmp_path):
    def read_brat(text, annotations, *, strict=False, **options):
        (tmp_path / "d.txt").write_bytes(text.encode())
        (tmp_path / "d.ann").write_bytes(annotations.encode())
        ledger = Ledger(strict)
        records = list(read_records([tmp_path], ledger, format="brat", **options))
        found = [
            [(" ".join(record.tokens[s.start : s.end]), s.label) for s in record.spans]
            for record in records
        ]
        return records, found, ledger

    return read_brat


def test_brat_document_keeps_its_lines_and_offsets(brat):
    records, found, ledger = brat(TEXT, ANNOTATIONS)
    assert [record.text for record in records] == [TEXT]
    assert records[0].doc_id == "d"
    assert found == [[("Mrs. Lee of Paris", "PER"), ("Paris", "GPE"), ("New York", "GPE")]]
    assert not ledger.dropped


def test_brat_lines_are_records_of_their_own(brat):
    records, found, _ = brat(TEXT, ANNOTATIONS, unit="line")
    assert [record.text for record in records] == [line for line in TEXT.split("\n") if line]
    assert [record.id for record in records] == ["1", "2", "4"]
    assert found == [
        [("Mrs. Lee of Paris", "PER"), ("Paris", "GPE")],
        [("New York", "GPE")],
        [],
    ]


def test_brat_offsets_count_carriage_returns(brat):
    text = TEXT.replace("\n", "\r\n")
    start = text.index("New York")
    annotations = f"T1\tGPE {start} {start + 8}\tNew York\n"
    assert brat(text, annotations)[1] == [[("New York", "GPE")]]
    records, found, _ = brat(text, annotations, unit="line")
    assert found == [[], [("New York", "GPE")], []]
    assert not any("\r" in record.text for record in records)


def test_brat_span_across_lines(brat):
    annotations = "T1\tX 12 21\tParis saw\n"
    records, _, ledger = brat(TEXT, annotations)
    assert len(records[0].spans) == 1 and not ledger.dropped
    _, found, ledger = brat(TEXT, annotations, unit="line")
    assert found == [[], [], []] and ledger.dropped == {ACROSS_LINES: 1}


@pytest.mark.parametrize("bounds", [(16, 18), (17, 18), (17, 21)])
def test_brat_span_that_touches_a_line_break_is_counted(brat, bounds):
    start, end = bounds
    surface = TEXT[start:end].replace("\n", " ")
    _, found, ledger = brat(TEXT, f"T1\tX {start} {end}\t{surface}\n", unit="line")
    assert found == [[], [], []] and sum(ledger.dropped.values()) == 1


def test_brat_discontinuous_span_is_dropped_or_made_whole(brat):
    annotations = "T1\tX 22 25;31 34\tNew and\n"
    _, found, ledger = brat(TEXT, annotations)
    assert found == [[]] and ledger.dropped == {DISCONTINUOUS: 1}
    _, found, ledger = brat(TEXT, annotations, discontinuous="hull")
    assert found == [[("New York and", "X")]] and not ledger.dropped
    with pytest.raises(ValueError, match=r"HE074.*d\.ann:1: discontinuous span.*'New and'"):
        brat(TEXT, annotations, strict=True)


def test_brat_surface_must_match_its_offsets(brat):
    _, found, ledger = brat(TEXT, "T1\tX 22 25\tYork\n")
    assert found == [[]] and ledger.dropped == {MISMATCH: 1}


@pytest.mark.parametrize("line", ["T4\tGPE 22 3", "T4\tGPE 22\tx", "T4 GPE 22 30 New York"])
def test_brat_annotation_cut_off_is_told_with_file_and_line(brat, line):
    with pytest.raises(ValueError, match=r"HE072.*d\.ann:6: "):
        brat(TEXT, ANNOTATIONS + line)


def test_brat_offsets_outside_of_the_text_are_refused(brat):
    with pytest.raises(ValueError, match=r"HE073.*d\.ann:1: .*characters"):
        brat("ab", "T1\tX 0 3\tabc\n")


def test_brat_split_spans_name_the_annotation(brat):
    with pytest.raises(ValueError, match=r"HE074.*d\.ann:2: span boundary inside a token"):
        brat(TEXT, "T1\tX 22 25\tNew\nT2\tX 22 24\tNe\n", strict=True)


def test_brat_annotations_need_their_text_and_stand_for_it(tmp_path):
    (tmp_path / "b.ann").write_text("T1\tGPE 0 8\tNew York\n", encoding="utf8")
    for given in (tmp_path, tmp_path / "b.ann"):
        with pytest.raises(ValueError, match=r"HE080.*b\.txt beside .*b\.ann"):
            list(read_records([given], Ledger(), format="brat"))
    (tmp_path / "b.txt").write_text("New York", encoding="utf8")
    for given in (tmp_path, tmp_path / "b.ann", tmp_path / "b.txt"):
        (record,) = read_records([given], Ledger(), format="brat")
        assert (record.doc_id, record.spans) == ("b", [(0, 2, "GPE")])


def test_brat_empty_document_is_counted(brat):
    records, _, ledger = brat("", "")
    assert records == [] and ledger.dropped == {EMPTY_TEXT: 1}


def test_brat_needs_its_annotations_and_takes_them_packed(tmp_path):
    (tmp_path / "d.txt.xz").write_bytes(lzma.compress(b"New York"))
    with pytest.raises(ValueError, match=r"HE080.*d\.ann beside .*d\.txt\.xz"):
        list(read_records([tmp_path], Ledger(), format="brat"))
    (tmp_path / "d.ann.xz").write_bytes(lzma.compress(b"T1\tGPE 0 8\tNew York\n"))
    (record,) = read_records([tmp_path], Ledger(), format="brat")
    assert record.spans == [(0, 2, "GPE")]


@pytest.mark.parametrize("option", [{"unit": "page"}, {"discontinuous": "keep"}])
def test_brat_unknown_modes_are_refused(brat, option):
    with pytest.raises(ValueError, match="HE004"):
        brat(TEXT, ANNOTATIONS, **option)
