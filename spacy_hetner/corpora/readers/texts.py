"""Annotated text to records: a tokenizer cuts it, character spans become token spans."""

from typing import Any, Callable, Iterable, NamedTuple

import spacy
from spacy.tokens import Doc

from ...types import LabelledSpan
from ..records import Ledger, Record, in_document_order

Tokenizer = Callable[[str], Doc]
CHINESE_TOKENIZER = "spacy_hetner.ChineseTokenizer.v1"
SPLIT = "span boundary inside a token"


class CharSpan(NamedTuple):
    """One labelled half-open span of characters, and the file and line that it comes from."""

    start: int
    end: int
    label: str
    place: str


def make_tokenizer(lang: str, *, per_character: bool = False) -> Tokenizer:
    """The tokenizer of a language: the package's own for Chinese, spaCy's for all others.

    per_character (bool): Chinese only: every Latin letter and digit a token too.

    Raises ValueError (spaCy's E048) for a language that spaCy does not have.
    """
    try:
        nlp = spacy.blank(lang)
    except ImportError as error:  # spaCy's own message (E048) names the language
        raise ValueError(str(error)) from error
    if lang == "zh":
        create = spacy.registry.tokenizers.get(CHINESE_TOKENIZER)
        return create(per_character=per_character)(nlp)
    return nlp.tokenizer


def tokenise(
    text: str, spans: Iterable[CharSpan], tokenizer: Tokenizer, ledger: Ledger, **names: Any
) -> Record:
    """Make a record of a text. Spans that begin or end inside a token are dropped and counted.

    names: Id, doc_id and meta of the record.
    """
    doc = tokenizer(text)
    starts = {token.idx: token.i for token in doc}
    ends = {token.idx + len(token): token.i + 1 for token in doc}
    kept = []
    for start, end, label, place in spans:
        if start in starts and end in ends:
            kept.append(LabelledSpan(starts[start], ends[end], label))
        else:
            ledger.add_dropped(SPLIT, place, f"{label} {text[start:end]!r} at [{start}, {end})")
    return Record(
        tokens=[token.text for token in doc],
        spans=in_document_order(kept),
        spaces=[bool(token.whitespace_) for token in doc],
        **names,
    )
