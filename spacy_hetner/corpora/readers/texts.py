"""Annotated text to records: a tokenizer cuts it, character spans become token spans."""

from typing import Any, Callable, Iterable, List, NamedTuple

import spacy
from spacy.tokens import Doc
from spacy.util import get_lang_class

from ...errors import Errors
from ...types import LabelledSpan
from ..records import Ledger, Record, in_document_order

Tokenizer = Callable[[str], Doc]
CHINESE_TOKENIZER = "spacy_hetner.ChineseTokenizer.v1"
SPLIT = "span boundary inside a token"
EMPTY_TEXT = "empty text"


class CharSpan(NamedTuple):
    """One labelled half-open span of characters, and the file and line that it comes from."""

    start: int
    end: int
    label: str
    place: str


def language_code(lang: str) -> str:
    """spaCy's code of a language: ``"ZH"`` and ``"zho"`` are ``"zh"``.

    Raises ValueError (HE085) for a language that spaCy does not have.
    """
    try:
        return str(get_lang_class(lang.lower()).lang)
    except ImportError as error:
        raise ValueError(Errors.HE085.format(lang=lang, reason=error)) from error


def make_tokenizer(lang: str, *, per_character: bool = False) -> Tokenizer:
    """The tokenizer of a language: the package's own for Chinese, spaCy's for all others.

    per_character (bool): Chinese only: every Latin letter and digit a token too.

    Raises ValueError for a language that spaCy does not have, or not without a package that is
    missing (HE085), and for ``per_character`` in another than Chinese (HE086).
    """
    code = language_code(lang)
    if per_character and code != "zh":
        raise ValueError(Errors.HE086.format(lang=lang))
    try:
        nlp = spacy.blank(code)
    except ImportError as error:
        raise ValueError(Errors.HE085.format(lang=lang, reason=error)) from error
    if code == "zh":
        create = spacy.registry.tokenizers.get(CHINESE_TOKENIZER)
        return create(per_character=per_character)(nlp)
    return nlp.tokenizer


def tokenise(
    text: str,
    spans: Iterable[CharSpan],
    tokenizer: Tokenizer,
    ledger: Ledger,
    place: str,
    **names: Any,
) -> List[Record]:
    """Make a record of a text, or none of an empty one, which is counted.

    Spans that begin or end inside a token are dropped and counted.

    place (str): File and line of the text.
    names: Id, doc_id and meta of the record.
    """
    doc = tokenizer(text)
    if not doc:
        ledger.add_dropped(EMPTY_TEXT, place, "no tokens")
        return []
    starts = {token.idx: token.i for token in doc}
    ends = {token.idx + len(token): token.i + 1 for token in doc}
    kept = []
    for start, end, label, source in spans:
        if start in starts and end in ends:
            kept.append(LabelledSpan(starts[start], ends[end], label))
        else:
            ledger.add_dropped(SPLIT, source, f"{label} {text[start:end]!r} at [{start}, {end})")
    record = Record(
        tokens=[token.text for token in doc],
        spans=in_document_order(kept),
        spaces=[bool(token.whitespace_) for token in doc],
        **names,
    )
    return [record]
