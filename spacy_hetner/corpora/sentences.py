"""Sentences of running text, for any language, without a model.

A sentence ends at a mark that ends sentences, or with its line. What follows the mark decides about
Latin, Greek and Cyrillic full stops: no sentence begins with a small letter, and none ends after
an initial or a common abbreviation.
"""

import re
from typing import Iterator, List, Optional, Sequence, Tuple

_CLOSING = "\"'”’»›)\\]」』）】》〉＂＇"
_BLANKLESS = "。！？；｡।॥။።།"  # marks that end a sentence whatever follows
_SPACED = ".!?…؟۔։"  # marks that may, before a blank
_END = re.compile(
    rf"[{_SPACED}{_BLANKLESS}\n](?:(?<=\n)"
    rf"|(?<=[{_BLANKLESS}])[。！？｡…{_CLOSING}]*"
    rf"|(?<=…)…+[{_CLOSING}]*"
    rf"|(?<=[{_SPACED}])[.!?…]*[{_CLOSING}“]*(?= ))"  # the German closing mark opens elsewhere
)
_LONGEST_ABBREVIATION = 12
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)*[^\W\d_]")
_OPENING = " \"'“„«»‘‚‹([{¿¡"

# Before a full stop, and seldom last in a sentence; in lower case.
_ABBREVIATION_WORDS = """
adm approx arch bros capt cf cmdr co col corp dept dist dr ed eds esp ft gen gov hon inc jr lt
ltd maj mr mrs ms mt pres prof rep rev sen sgt sr st supt trans univ viz vs
abb anm aufl bes betr bspw bzgl bzw ca chr dipl ehem eigtl einschl engl evtl frz gegr geb gebr
gest ggf griech hg hrsg inkl insbes ital jh jhd kath lat mio mrd österr russ schweiz sog std
str tel urspr verh vgl zit
av bd boul env fasc mgr mlle mm mme réf suiv
aprox avda dña fdo gral ilmo prof sra sta sto uds
dott ecc sig
dhr drs evt incl mej mevr nl resp zgn
ул г гг др им напр обл пер проф р рис св см стр т тыс
"""
# Words of their own, or last in many a sentence, and abbreviations before a number only.
_NUMBERED_WORDS = """
art bde ch chap eq fig figs no nos nr núm op p pág págs pl pp pt s sec sect sp vol vols
apr aug dec feb jan jul jun mar nov oct okt sep sept
"""
_ORDINALS_IN = "bs cs da de et fi fo hr hu is lb lv nb nn no pl sk sl sr tr"

_ABBREVIATIONS = frozenset(_ABBREVIATION_WORDS.split())
_BEFORE_NUMBERS = frozenset(_NUMBERED_WORDS.split())


def split_sentences(text: str, *, lang: str = "en") -> List[str]:
    """The sentences of a text, see ``sentence_spans``."""
    return [text[start:end] for start, end in sentence_spans(text, lang=lang)]


def sentence_spans(
    text: str, *, lang: str = "en", unbroken: Sequence[Tuple[int, int]] = ()
) -> Iterator[Tuple[int, int]]:
    """Where the sentences of a text stand, in characters, without blanks at their ends.

    lang (str): Its code. Decides whether a number before a full stop is an ordinal, as in the
        German ``3. Oktober``; all else is common to all languages.
    unbroken (Sequence[Tuple[int, int]]): Ranges of characters that no end of a sentence may cut,
        in order; the end of a line does.
    """
    ordinals = lang in _ORDINALS_IN.split()
    start, upcoming = 0, 0
    for match in _END.finditer(text):
        place, end = match.span()
        if text[place] == "\n":
            end = place
        else:
            while upcoming < len(unbroken) and unbroken[upcoming][1] <= end:
                upcoming += 1
            if upcoming < len(unbroken) and unbroken[upcoming][0] < end < unbroken[upcoming][1]:
                continue
            if text[place] in _SPACED and not _is_end(text, start, place, end, ordinals):
                continue
        if span := _stripped(text, start, end):
            yield span
        start = match.end()
    if span := _stripped(text, start, len(text)):
        yield span


def _stripped(text: str, start: int, end: int) -> Optional[Tuple[int, int]]:
    """A range without the white space at its ends, or None if there is nothing else."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None


def _is_end(text: str, start: int, place: int, end: int, ordinals: bool) -> bool:
    """Whether a mark at a place of a sentence, followed by a blank, is its end."""
    following = text[end : end + 8].lstrip(_OPENING)[:1]
    if following.islower():
        return False
    if text[place] != "." or end != place + 1:
        return True
    word = text[max(start, text.rfind(" ", start, place) + 1) : place].lstrip(_OPENING)
    if len(word) > _LONGEST_ABBREVIATION:
        return True
    if word.isdecimal():
        return not (ordinals and len(word) <= 2)
    folded = word.lower()
    if folded in _BEFORE_NUMBERS:
        return not following.isdecimal()
    return not (folded in _ABBREVIATIONS or _INITIALS.fullmatch(word))
