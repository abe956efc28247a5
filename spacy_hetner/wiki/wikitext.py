"""Wikitext to prose, with the exact place of every link to an article.

A hand-written cleaner, because it decides how long a dump takes: it is many times faster than the
libraries that parse all of wikitext, and finds the same links in prose (docs/benchmarks.md).

Each step rewrites the whole text by a few regular expressions, none of which goes back far over
what it has read: the time is linear in the text, whatever its brackets. A link is rewritten to a
form of its own, made of noncharacters, and only when nothing changes any more are the places read
off.
"""

import re
from html import unescape
from html.entities import html5
from typing import List, NamedTuple, Sequence

from .markup import HOLE, cut_links, cut_tables, cut_tags, cut_templates, protect, restore
from .namespaces import COMMON, Namespaces, link_trail
from .titles import normalise_title

_HEADING = re.compile(r"\n=([^\n]*)=[ \t]*(?=\n)")
# List marks and rules; rows of a table that is not closed go as a whole.
_LINE_START = re.compile(r"\n(?:\{?\|[^\n]*|-{4,}|[*#:;]+)[ \t]*")
_QUOTES = re.compile("''(?:'(?:'')?)?")
_BLOCK_TAG = re.compile(
    r"</?(?:br|p|div|li|ul|ol|dl|dt|dd|tr|td|th|hr|h[1-6]|blockquote|center|poem)\b[^<>]*>",
    re.IGNORECASE,
)
_OTHER_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_ENTITY = re.compile(r"&(#?\w{1,32};)")
_SWITCH = re.compile(r"__[^\W\d_a-z]+(?:_[^\W\d_a-z]+)*__")
# The label begins with what cannot be in the address, or each end of it would be tried.
_EXTERNAL = re.compile(
    r"\[(?:(?:https?|ftps?|ircs?|news|git|svn|gopher):)?//[^\s\[\]<>]*"
    r"([ \t<](?:[^\[\]\n]|\[\[[^\[\]\n]*\]\])*)?\]",
    re.IGNORECASE,
)
_EMPTY_BRACKETS = re.compile(r"\([\s,;:/–-]*\)")
_BRACKET_START = re.compile(r"\([ ,;]+")
_EMPTY_WIDE_BRACKETS = re.compile(r"（[\s,;:，；、：]*）")
_VARIANTS = re.compile(r"-\{([^{}]*)\}-")
_FLAGS = re.compile(r"[A-Za-z;+ -]*")
_VARIANT_NAME = re.compile(r"[a-z]{2,3}(?:-[a-z]+)?")
_ODD_BLANKS = re.compile(
    "[\t\x0b-\x0d\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
)
_SURFACE_START = re.compile(rf"\[\[([^\[\]|\n]*)\|[ \n{HOLE}]+(\]\]{HOLE}?)?")
_BLANKS = re.compile("  +")
_LINE_FEEDS = re.compile("\n[ \n]*")
_LINK_MARKS = frozenset("[]{}|")


class Link(NamedTuple):
    """A link to an article: where its surface stands in the text, and the title it leads to."""

    start: int
    end: int
    title: str


class CleanText(NamedTuple):
    """Prose: one paragraph, list item or heading a line, and its links in order."""

    text: str
    links: List[Link]


class Cleaner:
    """Turns the wikitext of pages into prose.

    namespaces (Namespaces): Of the wiki. Links to files, categories and other languages are
        dropped with all that is in them; those to other kinds of pages and to other wikis become
        plain text.
    lang (str): The language: which letters after a link belong to it, as in ``[[wolf]]s``.
    headings (bool): Keep headings as lines of their own.
    variants (Sequence[str]): Which text to take of ``-{zh-hans:…; zh-hant:…}-``, the most wanted
        first; the first one given where none of these is.
    """

    def __init__(
        self,
        namespaces: Namespaces = COMMON,
        *,
        lang: str = "en",
        headings: bool = False,
        variants: Sequence[str] = ("zh-hans", "zh-cn", "zh"),
    ) -> None:
        self.namespaces = namespaces
        self.headings = headings
        self.variants = variants
        trail = link_trail(lang)
        end = f"(?:{HOLE}|([{trail}]*))" if trail else f"{HOLE}?()"
        # Brackets that belong to no link, and holes, match without a target.
        self._links = re.compile(
            r"\[\[(?!\[)([^\[\]|\n]*)(?:\|([^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*))?\]\]"
            rf"{end}|\[\[(?!\[)|\]\]|{HOLE}"
        )

    def __call__(self, text: str) -> CleanText:
        """Clean the text of a page. Templates are not expanded but cut."""
        text = f"\n{text.replace(HOLE, '')}\n"
        return self._read_links(_squeeze(self._cut_markup(text)))

    def _cut_markup(self, text: str) -> str:
        if "<" in text:
            text = cut_tags(text).replace("]]<", f"]]{HOLE}<")
        if "{{" in text:
            text = cut_templates(text)
        text = cut_links(cut_tables(text), self._is_hidden)
        text = _HEADING.sub(self._heading, text)
        text = _LINE_START.sub("\n", text)
        if "''" in text:
            text = _QUOTES.sub("", text.replace("]]'", f"]]{HOLE}'"))
        if "<" in text:
            text = _OTHER_TAG.sub("", _BLOCK_TAG.sub("\n", text))
        if "&" in text:
            text = _ENTITY.sub(_character, text)
        if "-{" in text:
            text = _VARIANTS.sub(self._variant, text)
        if "//" in text:
            text = _EXTERNAL.sub(r"\1", text)
        if "__" in text:
            text = _SWITCH.sub("", text)
        text = _BRACKET_START.sub("(", _EMPTY_BRACKETS.sub("", text))
        return _EMPTY_WIDE_BRACKETS.sub("", text)

    def _is_hidden(self, target: str) -> bool:
        return self.namespaces.kind(target) == "hidden"

    def _heading(self, match: "re.Match[str]") -> str:
        title = match[1].strip("= \t")
        return f"\n{title}" if self.headings else "\n"

    def _variant(self, match: "re.Match[str]") -> str:
        """The text that a reader of the wanted variant sees."""
        rules = match[1]
        flags, bar, rest = rules.partition("|")
        if bar and _FLAGS.fullmatch(flags):
            rules = rest
            if {"H", "T", "-"} & set(flags.split(";")):  # rules for elsewhere, no text
                return ""
        texts = {}
        for rule in rules.split(";"):
            name, colon, text = rule.partition(":")
            if colon and _VARIANT_NAME.fullmatch(name.strip()):
                texts[name.strip()] = text.strip()
        if not texts:
            return rules
        wanted = [texts[name] for name in self.variants if name in texts]
        return wanted[0] if wanted else next(iter(texts.values()))

    def _read_links(self, text: str) -> CleanText:
        """Replace each link by what it shows, and note where that stands."""
        pieces: List[str] = []
        links: List[Link] = []
        size = place = 0  # of the prose, in the wikitext
        for match in self._links.finditer(text):
            start, end = match.span()
            before = text[place:start]
            place = end
            target, surface, trail = match.groups()
            if target is None:
                shown = ""
            else:
                shown = target.lstrip(": ") if surface is None else surface or _pipe_trick(target)
                if trail:
                    shown += trail
                if not shown.isprintable():
                    shown = shown.replace(HOLE, "").replace("\n", " ").strip()
            if before:
                pieces.append(before)
                size += len(before)
            if not shown:
                # White space on both sides of nothing is one, and none at the ends of the text.
                last, after = pieces[-1][-1:] if pieces else "\n", text[end : end + 1]
                if (last == " " and after in "\n") or (last == "\n" and pieces and not after):
                    pieces[-1] = pieces[-1][:-1]
                    size -= 1
                elif last.isspace() and after.isspace():
                    place += 1
                continue
            title = normalise_title(target) if ":" not in target else self._title(target)
            end = size + len(shown)
            if title:
                links.append(Link(size, end, title))
            pieces.append(shown)
            size = end
        pieces.append(text[place:])
        return CleanText(restore("".join(pieces)), links)

    def _title(self, target: str) -> str:
        """The article that a link with a prefix leads to, or nothing."""
        return normalise_title(target) if self.namespaces.kind(target) == "article" else ""


def clean(text: str, namespaces: Namespaces = COMMON, *, lang: str = "en") -> CleanText:
    """Clean one text, see Cleaner."""
    return Cleaner(namespaces, lang=lang)(text)


def _character(match: "re.Match[str]") -> str:
    """The character that an entity stands for, which is text even if it looks like a mark."""
    name = match[1]
    character = unescape(match[0]) if name[0] == "#" else html5.get(name, match[0])
    return protect(character) if character in _LINK_MARKS else character


def _pipe_trick(target: str) -> str:
    """What ``[[Help:Wolf (animal)|]]`` shows: no prefix, nothing in brackets or after commas."""
    name = target.lstrip(": ").partition(":")[2] or target.lstrip(": ")
    return re.sub(r"\s*\([^()]*\)\s*$|,.*$|，.*$", "", name).strip()


def _squeeze(text: str) -> str:
    """One blank between words, one line feed between paragraphs, none at the ends nor in links."""
    text = _SURFACE_START.sub(_link_start, _ODD_BLANKS.sub(" ", text))
    text = _BLANKS.sub(" ", text).replace(" \n", "\n")
    text = _LINE_FEEDS.sub("\n", text).strip()
    if " ]]" in text or "\n]]" in text:
        text = text.replace("\n]]", " ]]").replace(" ]]", "]] ").replace("]]  ", "]] ")
        text = text.replace("]] \n", "]]\n").rstrip()
    return text


def _link_start(match: "re.Match[str]") -> str:
    """The start of a link whose blanks have been moved out, or nothing if it shows nothing."""
    blank = " " if match[0][-1].isspace() else ""
    return "" if match[2] else f"{blank}[[{match[1]}|"
