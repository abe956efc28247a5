"""The part of docs/benchmarks.md on dictionaries and Wikipedia, from its rows."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

Row = Dict[str, Any]

GAZETTEERS = """\
## Gazetteers

Entries found in generated Chinese-like text, at two densities, in one process by turns; one
thread, CPU time, medians: [`gazetteer.py`](../benchmarks/gazetteer.py). All give the same matches,
ours as arrays in the order of the text; "to arrays" has daachorse's results made into such.
"""

DICTIONARIES = """\
## Dictionaries alone

Public dictionaries matched leftmost-longest in public corpora:
[`dictionaries.py`](../benchmarks/dictionaries.py). *Coverage* is the share of gold mentions whose
exact bounds are a match, *agreement* the share of these with the same label (Decoupled NER,
appendix 8.1); P, R and F are strict. Weibo and MSRA take all their parts, names only, with the
places and historical people of THUOCL, 255,355 ancient names, administrative divisions and 267,400
short names of companies; E-commerce and Twitter their test parts, with the brands and products of
MultiDigraphNER, and with the English names of LexiconNER, cities, first names and companies. CoFEE
reports an F of 38.6 on E-commerce and 26.3 on Twitter with smaller dictionaries of its own.
"""

WIKIPEDIA = """\
## Wikipedia
"""

SLICE = """\
The public slice of the English Wikipedia (gensim's, 206 pages), typed by JOIE's 99,744 DBpedia
entities and the class tree of the SMART task: [`wiki.py slice`](../benchmarks/wiki.py).
"""

SPEED = """\
A dump of that slice's pages over and over, in bzip2 streams of 100 pages, to the balanced corpus;
one process, CPU time: [`wiki.py speed`](../benchmarks/wiki.py).
"""

CLEANER = """\
The wikitext cleaner beside mwparserfromhell, on the same pages in one process:
[`wikitext.py`](../benchmarks/wikitext.py).
"""

NO_ROWS = "No rows yet.\n"


def knowledge_sections(results: Path) -> str:
    """All sections, from the folders gazetteer, dictionaries, wikitext and wiki."""
    return "\n".join(
        [
            _gazetteers(_rows(results / "gazetteer")),
            _dictionaries(_rows(results / "dictionaries")),
            _wikipedia(results / "wiki", _rows(results / "wikitext")),
        ]
    )


def _rows(folder: Path) -> List[Row]:
    return [json.loads(path.read_text(encoding="utf8")) for path in sorted(folder.glob("*.json"))]


def _gazetteers(rows: Sequence[Row]) -> str:
    parts = [GAZETTEERS]
    for row in rows:
        memory = row["low"]["memory_mb"]
        parts.append(
            f"{row['names']:,} names, {row['lines']:,} lines, {row['low']['megabytes']} MB; built "
            f"in {row['low']['build_s']['ours']} s, {memory['held']} MB in memory, "
            f"{memory['peak_building']} MB while building; {row['hardware']}.\n"
        )
        lines = []
        for density in ("low", "high"):
            for kind in ("overlapping", "leftmost_longest"):
                found = row[density][kind]
                ratios = found["times_as_fast_as"]
                lines.append(
                    [
                        f"{kind.replace('_', '-')}, {found['matches_per_100_characters']} matches "
                        "a hundred characters",
                        f"{found['ours_s']:.2f}",
                        f"{found['megabytes_per_s']['ours']:.0f}",
                        *(
                            f"{ratios[name]:.2f}" if name in ratios else ""
                            for name in ("pyahocorasick", "daachorse", "daachorse_to_arrays")
                        ),
                    ]
                )
        head = ["", "s", "MB/s", "times pyahocorasick", "times daachorse", "to arrays"]
        parts.append(markdown_table(head, lines))
    return "\n".join(parts if rows else [*parts, NO_ROWS])


def _dictionaries(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        total = row["coverage"]["total"]
        by_label = ", ".join(
            f"{label} {100 * rates['coverage']:.0f}/{100 * rates['agreement']:.0f}"
            for label, rates in row["coverage"].items()
            if label != "total"
        )
        lines.append(
            [
                row["data"],
                f"{row['entries']:,}",
                f"{total['gold']:,}",
                *(f"{100 * total[name]:.1f}" for name in ("coverage", "agreement")),
                *(f"{100 * row[name]:.1f}" for name in "prf"),
                by_label,
            ]
        )
    head = ["corpus", "entries", "mentions", "coverage", "agreement", "P", "R", "F"]
    table = markdown_table([*head, "coverage/agreement by label"], lines) if rows else NO_ROWS
    return "\n".join([DICTIONARIES, table])


def _wikipedia(folder: Path, cleaner: Sequence[Row]) -> str:
    parts = [WIKIPEDIA]
    if (folder / "slice.json").exists():
        parts += [SLICE, _slice(json.loads((folder / "slice.json").read_text(encoding="utf8")))]
    if cleaner:
        parts += [CLEANER, *(_cleaner(row) for row in cleaner)]
    if (folder / "speed.json").exists():
        parts += [SPEED, _speed(json.loads((folder / "speed.json").read_text(encoding="utf8")))]
    return "\n".join(parts)


def _slice(steps: Dict[str, Dict[str, Dict[str, int]]]) -> str:
    anchors = steps["typed"]["anchors"]
    total = sum(anchors.values())
    lines = [
        ["articles", f"{steps['pages']['pages']['articles']:,}", "", ""],
        ["redirects", f"{steps['pages']['pages']['redirects']:,}", "", ""],
        ["sentences", f"{steps['anchors']['totals']['sentences read']:,}", "", ""],
    ]
    names = {
        "typed": f"with links, {100 * anchors['typed'] / total:.1f} % of them typed",
        "kept": "without rare categories and sentences that type nothing",
        "train": "thinned out, training part",
        "dev": "thinned out, validation part",
        "balanced": "training part balanced",
        "entities": "CoFEE: four links and more, 250 tokens at most",
    }
    for step, name in names.items():
        labels = {label: n for label, n in steps[step]["labels"].items() if n}
        mentions, rows = sum(labels.values()), steps[step]["rows"]["total"]
        lines.append([name, f"{rows:,}", f"{mentions:,}", f"{len(labels):,}"])
    return markdown_table(["", "number", "mentions", "categories"], lines)


def _speed(row: Row) -> str:
    lines = [
        [
            f"{run['megabytes']:,.0f} MB of XML, {run['packed_megabytes']:,.0f} MB packed",
            f"{run['unpack_mb_s']:.1f}",
            f"{run['mb_s']:.1f}",
            f"{run['ratio_to_unpack']:.2f}",
            f"{run['peak_rss_mb']:,}",
            ", ".join(f"{name} {seconds:.0f}" for name, seconds in run["steps"].items()),
        ]
        for run in row["runs"]
    ]
    head = ["", "unpacking alone, MB/s", "all steps, MB/s", "ratio", "peak MB", "CPU s by step"]
    return markdown_table(head, lines)


def _cleaner(row: Row) -> str:
    clean, whole, words = row["clean"], row["dump to sentences"], row["words"]
    lines = [
        ["wikitext to text and links, MB/s", clean["mb_s"], clean["mwparserfromhell_mb_s"]],
        ["packed dump to tokenised sentences, MB/s", whole["mb_s"], whole["bz2_alone_mb_s"]],
        ["tokens, million/s", words["million_s"], words["spacy_million_s"]],
    ]
    beside = ["mwparserfromhell", "unpacking alone", "spaCy's own tokenizer"]
    cells = [
        [name, f"{ours:.2f}", f"{other}: {theirs:.2f}", f"{ours / theirs:.2f}"]
        for (name, ours, theirs), other in zip(lines, beside, strict=True)
    ]
    head = (
        f"{row['pages']} pages, {row['megabytes']} MB, {row['rounds']} rounds; {row['hardware']}.\n"
    )
    return f"{head}\n{markdown_table(['', 'ours', 'beside it', 'ratio'], cells)}"


def markdown_table(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table whose columns, but for the first, are flush right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (header, rule, *cells))
