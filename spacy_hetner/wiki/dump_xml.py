"""The XML of MediaWiki's exports: pages and the header. The schema's version does not matter.

Parsed by the standard library's expat: lxml is a fifth faster on real pages, which is nothing
beside bz2 that takes eight times as long, and expat says of every page at which byte it begins.
"""

import re
from contextlib import suppress
from typing import Dict, List, NamedTuple, Optional
from xml.parsers import expat

from .titles import normalise_title

NOT_WHOLE = "page cut off"
NOT_XML = "page that is not valid XML"
NOT_UTF8 = "page that is not valid UTF-8"
NO_NAME = "page without a number or a title"
BETWEEN = "XML that is not valid between pages"

_ROOT = b"<mediawiki>"
_BUFFER = 2**20
_FIELDS = ("title", "ns", "id")
_REDIRECT = re.compile(r"\s*#\s*([^\W\d_]+)\s*:?\s*\[\[([^\[\]|\n]+)")
# Some write the word small, where a list that begins with a word and a link would do so too.
_REDIRECT_WORDS = """
redirect redirection weiterleitung rinvia redirección redirecionamento doorverwijzing
omdirigering omdirigere omdiriger ohjaus uudelleenohjaus patrz przekieruj tam přesměruj
átirányítás redirecționare redireccion redirecció перенаправление перенапр перенаправлення
преусмери виж преусмјери yönlendirme yönlendi̇rme alih đổi ανακατευθυνση birzuzendu
"""


class Page(NamedTuple):
    """One page, as its last revision has it.

    id (int), ns (int), title (str): Its number, namespace (0 for articles) and title.
    redirect (Optional[str]): The title that it leads to, if it is a redirect.
    text (str): Its wikitext.
    """

    id: int
    ns: int
    title: str
    redirect: Optional[str]
    text: str


class Broken(NamedTuple):
    """Why the parsing of pages stopped, and the byte at which to look for the next page.

    cause (Optional[str]): None where nothing is lost.
    """

    cause: Optional[str]
    reason: object
    place: int


class PageParser:
    """Parses pages, from bytes that begin with the tag of one.

    place (int): Of the first byte, counted from wherever the caller does.
    """

    def __init__(self, place: int) -> None:
        self.begun = 0
        """Pages that began so far."""
        self.ended = False
        """Whether a page began at the limit or behind it."""
        self._place = place  # of the bytes that come next
        self._limit: Optional[int] = None
        self._done: List[Dict[str, str]] = []
        self._page: Optional[Dict[str, str]] = None
        self._depth = self._page_depth = 0
        self._characters: List[str] = []
        self._last = b""
        self._parser = _make_parser()
        self._parser.Parse(_ROOT)
        self._origin = place - len(_ROOT)
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    @property
    def in_page(self) -> bool:
        """Whether a page has begun and not ended."""
        return self._page is not None

    @property
    def is_between_pages(self) -> bool:
        """Whether no page has begun of which more bytes are to come, nor a tag."""
        return not self.in_page and self._last.rstrip().endswith(b">")

    def feed(self, data: bytes, limit: Optional[int] = None) -> Optional[Broken]:
        """Parse more bytes, up to a page that begins at the limit.

        RETURNS (Optional[Broken]): Why the parser is of no more use, unless it is.
        """
        start, self._place = self._place, self._place + len(data)
        self._limit = limit
        self._last = data[-16:]
        try:
            self._parser.Parse(data)
        except _Halt as halt:
            cause = NOT_WHOLE if self.in_page else None
            return Broken(cause, "another page begins in it", halt.place)
        except expat.ExpatError as error:
            place = self._origin + self._parser.ErrorByteIndex
            return Broken(self._cause(data[max(0, place - start) :], error), error, place)
        return None

    def take(self) -> List[Dict[str, str]]:
        """The pages that have ended since the last call, see ``make_page``."""
        done, self._done = self._done, []
        return done

    def _cause(self, data: bytes, error: expat.ExpatError) -> Optional[str]:
        if not self.in_page:
            # Dumps that were put together to one begin anew behind the end of the first.
            again = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
            return None if error.code == again else BETWEEN
        try:
            data[:4].decode("utf8")
        except UnicodeDecodeError as wrong:
            return NOT_UTF8 if wrong.start == 0 else NOT_XML
        return NOT_XML

    def _start(self, name: str, attributes: Dict[str, str]) -> None:
        self._depth += 1
        level = self._depth - self._page_depth
        if name == "page":
            place = self._origin + self._parser.CurrentByteIndex
            if self._page is not None:
                raise _Halt(place)
            if self._limit is not None and place >= self._limit:
                self.ended = True
                raise _Halt(place)
            self.begun += 1
            self._page, self._page_depth = {}, self._depth
        elif self._page is None:
            return
        elif (level == 1 and name in _FIELDS) or (level == 2 and name == "text"):
            self._parser.CharacterDataHandler = self._characters.append
        elif level == 1 and name == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        elif level == 1 and name == "revision":
            self._page["text"] = ""

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._page is None:
            return
        if self._parser.CharacterDataHandler is not None:
            self._parser.CharacterDataHandler = None
            self._page[name] = "".join(self._characters)
            self._characters.clear()
        elif name == "page":
            self._done.append(self._page)
            self._page = None


class _Halt(Exception):
    """Ends the parsing from within, at a byte."""

    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


class HeaderParser:
    """Parses what stands before the first page.

    name (str), lang (str): Of the wiki, such as ``dewiki`` and ``de``; or nothing.
    namespaces (Dict[int, str]): Their names by number.
    """

    def __init__(self) -> None:
        self.name = self.lang = ""
        self.namespaces: Dict[int, str] = {}
        self._key = ""
        self._characters: List[str] = []
        self._parser = _make_parser()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters.append

    def feed(self, data: bytes) -> None:
        """Parse bytes. What is not XML ends the header."""
        with suppress(expat.ExpatError):
            self._parser.Parse(data)

    def _start(self, name: str, attributes: Dict[str, str]) -> None:
        self._characters.clear()
        self._key = attributes.get("key", "")
        if name == "mediawiki":
            self.lang = attributes.get("xml:lang", "")

    def _end(self, name: str) -> None:
        text = "".join(self._characters).strip()
        if name == "dbname":
            self.name = text
        elif name == "namespace" and self._key.lstrip("-").isdecimal():
            self.namespaces[int(self._key)] = text
        self._characters.clear()


def make_page(fields: Dict[str, str]) -> Optional[Page]:
    """A page of the texts of its elements; None if it has no number or no title."""
    title = normalise_title(fields.get("title", ""))
    number, namespace = fields.get("id", ""), fields.get("ns", "0")
    if not (title and number.isdecimal() and namespace.lstrip("-").isdecimal()):
        return None
    text = fields.get("text", "")
    if "redirect" in fields:
        redirect: Optional[str] = normalise_title(fields["redirect"]) or None
    else:
        redirect = _redirect_of(text)
    return Page(int(number), int(namespace), title, redirect, text)


def _redirect_of(text: str) -> Optional[str]:
    """Where a page leads to that begins with ``#REDIRECT [[...]]`` in whatever language."""
    match = _REDIRECT.match(text)
    if match is None:
        return None
    word = match[1]
    is_redirect = word.upper() == word or word.lower() in _REDIRECT_WORDS.split()
    return (normalise_title(match[2]) or None) if is_redirect else None


def _make_parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = _BUFFER
    return parser
