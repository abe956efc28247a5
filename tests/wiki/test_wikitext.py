"""Wikitext to prose: what is cut, what stays, and that every link stands where it is said to."""

import html
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.wiki.dump import read_pages
from spacy_hetner.wiki.namespaces import COMMON, Namespaces
from spacy_hetner.wiki.titles import normalise_title
from spacy_hetner.wiki.wikitext import Cleaner, clean


def links_of(text, **settings):
    """Titles and surfaces, the latter read off the prose."""
    prose, links = Cleaner(**settings)(text)
    return [(link.title, prose[link.start : link.end]) for link in links]


@pytest.mark.parametrize(
    "text, prose",
    [
        ("a<!-- [[b]] {{c}} --> d", "a d"),
        ("a<!-- never closed [[b]]", "a"),
        ("a<ref>b [[c]]</ref>.", "a."),
        ("a<ref name=x/>b<REF>c</Ref > d", "ab d"),
        ("a <ref>never closed. [[b|c]]", "a never closed. c"),
        ("a <math>\\frac{1}{2}</math> b<gallery>\nX.jpg|[[c]]\n</gallery>", "a b"),
        ("<nowiki>[[a]] ''b'' {{c}} <i></nowiki>", "[[a]] ''b'' {{c}} <i>"),
        ("a<nowiki/>b", "ab"),
        ("a {{b|{{c|[[d]]}}|{{{e|}}}}} f", "a f"),
        ("a {{b|c, d", "a {{b|c, d"),
        ("a }} b", "a }} b"),
        ("wolf {{lang|la|lupus}}, dog", "wolf, dog"),
        ("Wolf ({{IPA|x}}; {{lang|la|lupus}}) is", "Wolf is"),
        ("Wolf ({{IPA|x}}; born 1950) is", "Wolf (born 1950) is"),
        ("a\n{| class=x\n|-\n| [[b]]\n{|\n| c\n|}\n|}\nd", "a\nd"),
        ("a\n{| class=x\n| [[b]]\nc", "a\nc"),
        ("a<TABLE><tr><td>b<table>c</table></td></tr></table>d", "a\nd"),
        ("'''a''' ''b'' '''''c''''' d'e ''''f'''", "a b c d'e 'f"),
        ("== A ==\nb\n=== ''C'' ===  \n====D====\n", "b"),
        ("* a\n** b\n# c\n:; d\n----\ne", "a\nb\nc\nd\ne"),
        ("a <b>b</b> <span style='x'>c</span> H<sub>2</sub>O", "a b c H2O"),
        ("a<br>b<br />c<p>d</p>e", "a\nb\nc\nd\ne"),
        ("a < b and b > c", "a < b and b > c"),
        (
            "a&nbsp;b &ndash; c&amp;d &#x42; &lt;i&gt; &nothing; &amp;lt;",
            "a b – c&d B <i> &nothing; &lt;",
        ),
        ("&#91;&#91;a&#93;&#93;", "[[a]]"),
        ("__TOC__a __KEIN_INHALTSVERZEICHNIS__b __目次__ __init__", "a b __init__"),
        ("see [http://a.b/c d e] and [https://a.b] or [//a.b f]", "see d e and or f"),
        ("[http://a.b", "[http://a.b"),
        ("a\t b\xa0\xa0c\u3000d \n\n \n e", "a b c d\ne"),
        ("-{zh-hans:联邦; zh-hant:邦}-州-{}-", "联邦州"),
        ("-{H|zh-cn:a;zh-tw:b}-c-{A|zh-tw:d;zh-cn:e}-", "ce"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_markup_is_cut(text, prose):
    assert clean(text).text == prose


@pytest.mark.parametrize(
    "text, prose, links",
    [
        ("a [[wolf]] b", "a wolf b", [("Wolf", "wolf")]),
        ("[[grey_wolf|wolves]]", "wolves", [("Grey wolf", "wolves")]),
        ("[[wolf]]s [[wolf]]'s", "wolfs wolf's", [("Wolf", "wolfs"), ("Wolf", "wolf")]),
        ("[[wolf]]''s'' [[a]]<b>b</b>", "wolfs ab", [("Wolf", "wolf"), ("A", "a")]),
        ("[[c]]<nowiki/>d", "cd", [("C", "c")]),
        ("[[a]]<!-- -->s [[b]]{{c}}s", "as bs", [("A", "as"), ("B", "b")]),
        ("[[Wolf (animal)|]] [[Help:Wolf|]]", "Wolf Wolf", [("Wolf (animal)", "Wolf")]),
        ("[[Rome, Italy|]]", "Rome", [("Rome, Italy", "Rome")]),
        ("[[Wolf#Diet|diet]] [[#Diet|here]]", "diet here", [("Wolf", "diet")]),
        ("''[[A]]'' '''[[Dog|''the'' dog]]'''", "A the dog", [("A", "A"), ("Dog", "the dog")]),
        ("a[[ Wolf | wolves ]]b", "a wolves b", [("Wolf", "wolves")]),
        ("[[Wolf|the\nwolf]]", "the wolf", [("Wolf", "the wolf")]),
        ("[[Wolf|a<br>b]]", "a b", [("Wolf", "a b")]),
        ("[[Wolf|{{x}}]] a", "a", []),
        ("[[Wolf| ]]a", "a", []),
        ("a[[Category:Wolves]][[Kategorie:Wölfe|W]] b", "a b", []),
        ("[[:Category:Wolves]] [[:de:Wolf|Wölfe]]", "Category:Wolves Wölfe", []),
        ("[[de:Wolf]] [[zh-min-nan:Wolf]]a", "a", []),
        ("[[wikt:wolf|wolf]] [[User:Wolf]]", "wolf User:Wolf", []),
        ("[[2001: A Space Odyssey|2001]]", "2001", [("2001: A Space Odyssey", "2001")]),
        ("a [[File:W.jpg|a [[wolf]] [[dog|and [x] dog]] {{b}}]] c [[d]]", "a c d", [("D", "d")]),
        ("[[Image:a.jpg|[[File:b.jpg|[[c]]]]|[[d]]]]e", "e", []),
        ("[[File:W.jpg|thumb|never closed [[wolf]] x", "wolf x", [("Wolf", "wolf")]),
        ("[[a [[b]] c", "a b c", [("B", "b")]),
        ("[[a|b [[c]] d]]", "a|b c d", [("C", "c")]),
        ("[[[wolf]]] [''[[dog]]'']", "[wolf] [dog]", [("Wolf", "wolf"), ("Dog", "dog")]),
        ("[[Wolf|wolf [sic]]]", "wolf [sic]", [("Wolf", "wolf [sic]")]),
        ("[[Dog|a [1] b]]", "a [1] b", [("Dog", "a [1] b")]),
        ("]] a [[", "a", []),
        ("[http://a.b see [[wolf]] too]", "see wolf too", [("Wolf", "wolf")]),
        ("[[AT&amp;T]] [[A&nbsp;b|x&#124;y]]", "AT&T x|y", [("AT&T", "AT&T"), ("A b", "x|y")]),
        ("[[|a]] [[ ]]b", "a b", []),
        ("[[a|b|{{c}}d]]", "b|d", [("A", "b|d")]),
    ],
)  # fmt: skip
def test_links(text, prose, links):
    assert clean(text).text == prose
    assert links_of(text) == links


def test_trail_is_that_of_the_language():
    assert links_of("[[Wolf]]öfe", lang="de") == [("Wolf", "Wolföfe")]
    assert links_of("[[Wolf]]öfe", lang="en") == [("Wolf", "Wolf")]
    assert links_of("[[柏林]]abc", lang="zh") == [("柏林", "柏林")]
    assert links_of("[[волк]]и", lang="ru") == [("Волк", "волки")]


def test_headings_are_kept_on_demand():
    text = "a\n== B [[c]] ==\nd"
    assert Cleaner(headings=True)(text).text == "a\nB c\nd"
    assert links_of(text, headings=True) == [("C", "c")]


def test_variant_is_chosen():
    text = "-{zh-hans:计算机;zh-tw:電腦;zh-hk:電腦b}- -{[[柏林|a]]}- -{a;b}-"
    assert Cleaner(lang="zh", variants=["zh-tw"])(text).text == "電腦 a a;b"
    assert Cleaner(lang="zh", variants=["en"])(text).text == "计算机 a a;b"


def test_own_namespaces_are_known():
    wiki = Namespaces.from_header({0: "", 6: "Bilddatei", 100: "Portal Natur"})
    assert clean("[[Bilddatei:a.jpg|[[b]]]]c", wiki).text == "c"
    assert links_of("[[portal_natur:Wolf|x]]", namespaces=wiki) == []
    assert links_of("[[portal_natur:Wolf|x]]") == [("Portal natur:Wolf", "x")]


@pytest.mark.parametrize(
    "target, kind",
    [
        ("Datei:a.jpg", "hidden"),
        ("FICHIER : a.jpg", "hidden"),
        ("文件:a.jpg", "hidden"),
        ("分类:a", "hidden"),
        ("Tập tin:a", "hidden"),
        (": Datei:a.jpg", "other"),
        ("Template talk:a", "other"),
        ("s:a", "other"),
        ("fr:a", "hidden"),
        ("Star Trek: a", "article"),
        ("a", "article"),
    ],
)
def test_kinds_of_targets(target, kind):
    assert COMMON.kind(target) == kind


PIECES = [
    *("[[", "]]", "|", "{{", "}}", "\n{|", "\n|}", "''", "<ref>", "</ref>", "<!--", "-->", "File:"),
    *("\n", " ", "\n* ", "== ", "[http://x ", "]", "[", "&nbsp;", "<nowiki>", "</nowiki>", "<br>"),
    *("wolf", "A b", "-{", "}-", "zh:", "(", ")", ",", ".", "#", "__", "\x01", "\xa0", ":"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_whatever_is_broken_links_stand_where_they_are_said_to(text):
    prose, links = Cleaner(headings=True)(text)
    assert prose == prose.strip() and "  " not in prose and "\n\n" not in prose
    assert not re.search("[\x01-\x08\x0e-\x1f]", prose)
    place = 0
    for start, end, title in links:
        assert place <= start < end <= len(prose)
        surface = prose[start:end]
        assert surface == surface.strip() and "\n" not in surface
        assert title == normalise_title(title) != ""
        place = end


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "[[",
            "]]",
            "{{",
            "}}",
            "{{{",
            "\n{|",
            "<ref>",
            "<!--",
            "[[File:",
            "[[File:a|",
            "[[a|",
            "[",
        ),
        *(
            "[http://x ",
            "[http://x",
            "''",
            "-{",
            "-{zh:",
            "&",
            "__A",
            "(",
            "( ",
            "\n=",
            "\n= ",
            "<a ",
        ),
        *(
            "[[a|[",
            "[1]",
            " ",
            "\n ",
            "[[a]]",
            " ]]",
            "[[ ",
            "（",
            "<table>",
            "<nowiki>",
            "\n|",
            "= ",
        ),
    ],
)
def test_time_is_linear_in_the_text(piece):
    """So much of one mark is done at once; if the time were quadratic, this would not end."""
    prose, links = Cleaner()(piece * (500_000 // len(piece)))
    assert (len(prose) <= 500_000 and not links) or piece == "[[a]]"


# What the parser is asked for: links to articles in prose. These hold none.
NO_PROSE = {
    *("ref", "references", "table", "math", "chem", "ce", "gallery", "timeline", "pre", "source"),
    *("syntaxhighlight", "imagemap", "nowiki", "includeonly", "score"),
}


def parsed_links(mw, code, found):
    """Links to articles outside of templates, tables, references, files and headings."""
    nodes = code.nodes
    for node, following in zip(nodes, [*nodes[1:], None], strict=False):
        if isinstance(node, mw.nodes.Tag):
            if node.contents is not None and str(node.tag).strip().lower() not in NO_PROSE:
                parsed_links(mw, node.contents, found)
        elif isinstance(node, mw.nodes.ExternalLink) and node.title is not None:
            parsed_links(mw, node.title, found)
        elif isinstance(node, mw.nodes.Wikilink):
            target = html.unescape(str(node.title)).strip()
            kind = COMMON.kind(target)
            if kind != "hidden" and node.text is not None and node.text.filter_wikilinks():
                parsed_links(mw, node.text, found)
            elif kind == "article":
                shown = parsed_surface(mw, node, following)
                if shown and (title := normalise_title(target)):
                    found[title, shown] += 1
    return found


def parsed_surface(mw, node, following):
    """What a link shows: without marks, with the letters behind it."""
    shown = str(node.title if node.text is None else node.text)
    shown = mw.parse(shown).strip_code(normalize=True, collapse=True).strip()
    after = str(following) if isinstance(following, mw.nodes.Text) else ""
    if "[" in shown and after.startswith("]"):  # as MediaWiki does, other than this parser
        shown, after = f"{shown}]", ""
    trail = re.match("[a-z]*", after)[0] if shown else ""
    return " ".join(f"{shown}{trail}".split())


@pytest.mark.slow
def test_links_are_those_of_a_full_parser(data_dir):
    """On 99 % of the real pages the very same links, as (title, surface), each as often.

    Quotes are no style to the parser: those that are not closed make it lose a whole reference or
    table, and take its links for links in prose.
    """
    mw = pytest.importorskip("mwparserfromhell", reason="mwparserfromhell is not installed")
    equal = pages = links = 0
    for path in sorted((data_dir / "wikipedia").rglob("*.bz2")):
        for page in read_pages(path):
            if page.redirect is not None:
                continue
            code = mw.parse(page.text, skip_style_tags=True)
            expected = parsed_links(mw, code, Counter())
            pages += 1
            links += expected.total()
            equal += Counter(links_of(page.text)) == expected
    assert (pages, links) == (146, 31733)
    assert equal >= 0.99 * pages
