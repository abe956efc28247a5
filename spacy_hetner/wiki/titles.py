"""Titles of pages, in the one form in which links, redirects and ontologies are compared."""

import unicodedata
from functools import lru_cache
from urllib.parse import unquote

# Marks of writing direction, which get into links by copying and are in no title.
_INVISIBLE = dict.fromkeys([0x200E, 0x200F, *range(0x202A, 0x202F)])


@lru_cache(maxsize=2**16)
def normalise_title(title: str) -> str:
    """The title of the page that a link leads to, as MediaWiki reads it.

    Percent codes are decoded, what follows a ``#`` is cut off, underscores and white space in any
    number become one blank, the first letter becomes upper case, and characters are composed
    (NFC). RETURNS (str): The title; empty for a link within a page.
    """
    if "%" in title:
        title = _decode(title)
    if not title.isascii():
        title = unicodedata.normalize("NFC", title).translate(_INVISIBLE)
    words = title.partition("#")[0].replace("_", " ").split()
    return _first_upper(" ".join(words).lstrip(":").lstrip())


def title_of_uri(name: str) -> str:
    """The title that the last part of an IRI names, such as ``Berlin_(Band)`` of DBpedia's.

    Raises ValueError (UnicodeDecodeError) for percent codes that are not UTF-8.
    """
    return normalise_title(unquote(name, errors="strict").replace("%", "%25"))


def _decode(title: str) -> str:
    try:
        return unquote(title, errors="strict")
    except UnicodeDecodeError:  # a link in an old encoding, which leads nowhere
        return title


def _first_upper(title: str) -> str:
    upper = title[:1].upper()
    # The upper case of a few letters is two, by which no wiki names a page.
    return upper + title[1:] if len(upper) == 1 else title
