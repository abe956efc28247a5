"""Cutting regions out of wikitext that hold no prose: comments, tags, templates, tables, files.

All of it takes time linear in the text, however broken: a region is found by one walk over its
marks with a stack, or by a search that is not repeated once it has failed.
"""

import re
from typing import Callable, Dict, List, Tuple

HOLE = "\x01"
"""Stands for what was cut right behind a link, whose surface does not reach over it, or was the
surface of one. XML has no control characters, and they keep a text as narrow as it is."""

# Marks that are text here, because they come from <nowiki> or an entity, and their stand-ins.
_CONTROLS = "\2\3\4\5\6\7\x08\x0e\x0f\x10\x11\x12\x13"
_STAND_INS = dict(zip("[]{}|<>'=*#:;", _CONTROLS, strict=True))
_PROTECTED = str.maketrans(_STAND_INS)

# Tags whose content is no prose, or no wikitext. References are by far the most frequent.
_DROPPED = (
    "ref|math|gallery|timeline|pre|source|syntaxhighlight|score|imagemap|hiero|graph|chem|ce|"
    "mapframe|maplink|templatedata|categorytree|inputbox|indicator|references|includeonly"
)
_TAG = re.compile(rf"<(?:!--|(/?)(nowiki|{_DROPPED})\b([^<>]*)>)", re.IGNORECASE)
_HTML_TABLE = re.compile(r"<(/?)table\b[^<>]*>", re.IGNORECASE)
_TABLE = re.compile(r"\n[ \t:]*(?:(\{\|)|\|\})")
_PREFIXED_LINK = re.compile(r"\[\[([^\[\]|\n:]*:[^\[\]|\n:]*)")
_BRACKETS = re.compile(r"\[\[|\]\]")
_LINK_START = re.compile(r"\[\[[^\[\]\n]*")
_SPACE_EATERS = frozenset(",.;:)，。；：）")

Range = Tuple[int, int]


def protect(text: str) -> str:
    """Make marks plain text until ``restore``, which keeps the length."""
    return text.translate(_PROTECTED)


def restore(text: str) -> str:
    """Undo ``protect``."""
    for mark, stand_in in _STAND_INS.items():
        if stand_in in text:
            text = text.replace(stand_in, mark)
    return text


class _Cutter:
    """A text of which ranges are cut, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.pieces: List[str] = [""]

    def cut(self, start: int, end: int, filling: str = "", *, hole: bool = True) -> None:
        """Cut a range, or put something else there."""
        if start > self.place:
            self.pieces.append(self.text[self.place : start])
        self.place = end
        before = self.pieces[-1]
        if before.endswith(("]]", "|")):
            filling = HOLE + filling if hole else filling
        elif before.endswith(" ") and self.text[end : end + 1] in _SPACE_EATERS:
            self.pieces[-1] = before[:-1]
        if filling:
            self.pieces.append(filling)

    def rest(self) -> str:
        """The text without the ranges."""
        return "".join((*self.pieces, self.text[self.place :]))


def cut_tags(text: str) -> str:
    """Cut comments, and tags whose content is no prose, together with it.

    A tag that is not closed is cut alone, a comment that is not closed to the end of the text.
    """
    cutter = _Cutter(text)
    closers: Dict[str, re.Pattern[str]] = {}
    unclosed = set()
    place = 0
    while tag := _TAG.search(text, place):
        start, place = tag.span()
        slash, name, attributes = tag.groups()
        if name is None:
            close = text.find("-->", place)
            place = close + 3 if close >= 0 else len(text)
            cutter.cut(start, place, hole=False)
            continue
        filling = ""
        name = name.lower()
        if not slash and not attributes.endswith("/") and name not in unclosed:
            if name not in closers:
                closers[name] = re.compile(rf"</{name}\s*>", re.IGNORECASE)
            closing = closers[name].search(text, place)
            if closing is None:
                unclosed.add(name)
            else:
                if name == "nowiki":
                    filling = protect(text[place : closing.start()])
                place = closing.end()
        cutter.cut(start, place, filling)
    return cutter.rest()


def cut_templates(text: str) -> str:
    """Cut ``{{...}}`` and ``{{{...}}}``; braces without a partner stay, and what is in them."""
    ranges: List[Range] = []
    opened: List[Range] = []  # each run of braces that is still open
    opening, closing = text.find("{{"), text.find("}}")
    while closing >= 0:
        if 0 <= opening < closing:
            end = _run_end(text, opening)
            opened.append((opening, end))
            opening = text.find("{{", end)
            continue
        start, end = closing, _run_end(text, closing)
        while opened and end - start >= 2:
            first, last = opened.pop()
            width = 3 if min(last - first, end - start) >= 3 else 2
            start += width
            last -= width
            _close(ranges, last, start)
            if last - first >= 2:
                opened.append((first, last))
        closing = text.find("}}", end)
    return _cut(text, ranges)


def cut_tables(text: str) -> str:
    """Cut ``{|...|}`` at the beginning of lines and ``<table>...</table>``, if they are closed."""
    text = _HTML_TABLE.sub(lambda tag: "\n|}\n" if tag[1] else "\n{|", text)
    ranges: List[Range] = []
    opened: List[int] = []
    for match in _TABLE.finditer(text):
        if match[1]:
            opened.append(match.start())
        elif opened:
            _close(ranges, opened.pop(), match.end())
    return _cut(text, ranges)


def cut_links(text: str, is_cut: Callable[[str], bool]) -> str:
    """Cut links by their targets, together with what they hold, other links included.

    Of a link that is not closed only the part before the next bracket is cut.
    """
    ranges: List[Range] = []
    place = 0
    while link := _PREFIXED_LINK.search(text, place):
        place = link.end()
        if not is_cut(link[1]):
            continue
        opened: List[Tuple[int, bool]] = []
        for match in _BRACKETS.finditer(text, link.start()):
            place = match.end()
            if match[0] == "[[":
                inner = _PREFIXED_LINK.match(text, match.start())
                opened.append((match.start(), inner is not None and is_cut(inner[1])))
                continue
            start, cut = opened.pop()
            if cut:
                _close(ranges, start, place)
            if not opened:
                break
        ranges += [(start, _link_start_end(text, start)) for start, cut in opened if cut]
    return _cut(text, sorted(ranges))


def _run_end(text: str, place: int) -> int:
    """Where a run of equal characters ends that is at least two long."""
    end = place + 2
    while text.startswith(text[place], end):
        end += 1
    return end


def _link_start_end(text: str, start: int) -> int:
    match = _LINK_START.match(text, start)
    assert match is not None  # it is where a link begins
    return match.end()


def _close(ranges: List[Range], start: int, end: int) -> None:
    """Add a range, which takes the place of those in it."""
    while ranges and ranges[-1][0] >= start:
        ranges.pop()
    ranges.append((start, end))


def _cut(text: str, ranges: List[Range]) -> str:
    cutter = _Cutter(text)
    for start, end in ranges:
        cutter.cut(start, end)
    return cutter.rest() if ranges else text
