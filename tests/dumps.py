"""Small dumps of wikis in every packing, made for the tests."""

import bz2
import gzip
import lzma
from typing import Callable, Dict, Iterable, List, Optional, Sequence
from xml.sax.saxutils import escape, quoteattr

NAMESPACES = {-2: "Medium", 0: "", 1: "Diskussion", 6: "Datei", 14: "Kategorie", 100: "Portal"}


def header(schema: str = "0.11", lang: str = "de", *, siteinfo: bool = True) -> str:
    """The begin of a dump."""
    names = "".join(
        f'<namespace key="{key}" case="first-letter">{name}</namespace>'
        for key, name in NAMESPACES.items()
    )
    site = (
        f"<siteinfo><sitename>Wikipedia</sitename><dbname>{lang}wiki</dbname>"
        f"<namespaces>{names}</namespaces></siteinfo>"
    )
    address = f"http://www.mediawiki.org/xml/export-{schema}/"
    root = f'<mediawiki xmlns="{address}" version="{schema}" xml:lang="{lang}">'
    return f"{root}\n  {site if siteinfo else ''}\n"


def page_xml(
    number: int,
    text: str = "",
    *,
    title: Optional[str] = None,
    ns: int = 0,
    redirect: Optional[str] = None,
    older: Sequence[str] = (),
) -> str:
    """A page, with earlier revisions if any are given."""
    revisions = "".join(
        f"<revision><id>{9000 + i}</id><contributor><username>x</username><id>7</id>"
        f'</contributor><comment>c</comment><text xml:space="preserve">{escape(content)}</text>'
        "</revision>"
        for i, content in enumerate([*older, text])
    )
    target = f"<redirect title={quoteattr(redirect)} />" if redirect else ""
    return (
        f"  <page>\n    <title>{escape(title or f'Page {number}')}</title>\n    <ns>{ns}</ns>\n"
        f"    <id>{number}</id>\n{target}{revisions}\n  </page>\n"
    )


def pack_streams(parts: Iterable[str]) -> bytes:
    """A bzip2 file of several streams."""
    return b"".join(bz2.compress(part.encode()) for part in parts)


def multistream(pages: Sequence[str], pages_per_stream: int = 10) -> bytes:
    """As Wikipedia packs its dumps: header, so many pages, ..., footer, each a stream."""
    groups = range(0, len(pages), pages_per_stream)
    bodies = ["".join(pages[start : start + pages_per_stream]) for start in groups]
    return pack_streams([header(), *bodies, "</mediawiki>\n"])


def many_pages(count: int) -> List[str]:
    """Pages of some size, no two alike."""
    return [
        page_xml(i, "\n".join(f"Line {i * 7919 % 1009 + j} of [[Page {j}]]." for j in range(40)))
        for i in range(1, count + 1)
    ]


PACKERS: Dict[str, Callable[[bytes], bytes]] = {
    ".xml": bytes,
    ".xml.bz2": bz2.compress,
    ".xml.gz": gzip.compress,
    ".xml.xz": lzma.compress,
}
