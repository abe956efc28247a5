"""The wikitext cleaner beside mwparserfromhell; a dump to sentences beside unpacking it alone.

    pip install mwparserfromhell
    OMP_NUM_THREADS=1 python benchmarks/wikitext.py --data MIRROR

One thread, both in turns, medians of CPU time, on real pages. The parser gives links and text, the
cleaner text with the place of every link in it. "Sentences" are those with links, cut into tokens,
the links on tokens.
"""

import bz2
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List

import mwparserfromhell
import typer

from spacy_hetner.corpora.readers.texts import make_tokenizer
from spacy_hetner.corpora.sentences import split_sentences
from spacy_hetner.corpora.words import make_splitter
from spacy_hetner.engine.task import new_counts
from spacy_hetner.files import write_json
from spacy_hetner.wiki.anchors import AnchorReader, AnchorsTask
from spacy_hetner.wiki.dump import read_pages
from spacy_hetner.wiki.wikitext import Cleaner

RESULTS = Path(__file__).resolve().parent / "results" / "wikitext"
SLICE = "wikipedia/gensim/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(
    first: Callable[[], Any], second: Callable[[], Any], size: float, rounds: int, names: List[str]
) -> Dict[str, float]:
    """Both in turns: so much of ``size`` a second, and how much faster the first is."""
    times = [(timed(first), timed(second)) for _ in range(rounds)]
    rates = [round(size / statistics.median(pair[i] for pair in times), 2) for i in (0, 1)]
    ratio = round(statistics.median(b / a for a, b in times), 3)
    return {**dict(zip(names, rates, strict=True)), "ratio": ratio}


def main(
    data: Annotated[Path, typer.Option(exists=True, help="Local mirror of the public data")],
    rounds: int = 9,
    parsed_megabytes: float = 1.0,
    results: Path = RESULTS,
) -> None:
    """Measure, print, write one JSON row."""
    dump = data / SLICE
    texts = [page.text for page in read_pages(dump) if page.redirect is None]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    clean = Cleaner()
    some: List[str] = []
    while sum(len(text.encode()) for text in some) < parsed_megabytes * 1e6:
        some.append(texts[len(some)])

    def parse() -> List[Any]:
        trees = [mwparserfromhell.parse(text) for text in some]
        return [(tree.filter_wikilinks(), tree.strip_code()) for tree in trees]

    reader = AnchorReader(AnchorsTask(lang="en"))

    def to_sentences() -> int:
        counts = new_counts()
        pages = (page for page in read_pages(dump) if page.redirect is None)
        return sum(1 for page in pages for _ in reader.read(page.id, page.text, counts))

    def unpack() -> int:
        with bz2.open(dump) as file:
            return sum(len(chunk) for chunk in iter(lambda: file.read(2**20), b""))

    sentences = [s for text in texts for s in split_sentences(clean(text).text)]
    split, tokenizer = make_splitter("en"), make_tokenizer("en")

    def words() -> int:
        return sum(len(split(sentence).tokens) for sentence in sentences)

    def spacy_words() -> int:
        docs = map(tokenizer, sentences)
        return sum(len([(t.text, t.idx, t.whitespace_) for t in doc]) for doc in docs)

    size = sum(len(text.encode()) for text in some) / 1e6
    unpacked = unpack() / 1e6
    million_words = words() / 1e6
    to_sentences()  # the tokenizer learns its words once a process
    row: Dict[str, Any] = {
        "pages": len(texts),
        "megabytes": round(megabytes, 2),
        "sentences with links": to_sentences(),
        "rounds": rounds,
        "hardware": f"{platform.machine()}, 1 thread",
        "versions": {name: version(name) for name in ("mwparserfromhell", "spacy")},
        "cleaner_mb_s": round(
            megabytes
            / statistics.median(timed(lambda: list(map(clean, texts))) for _ in range(rounds)),
            1,
        ),
        "clean": compare(
            lambda: list(map(clean, some)), parse, size, rounds, ["mb_s", "mwparserfromhell_mb_s"]
        ),
        "dump to sentences": compare(
            to_sentences, unpack, unpacked, rounds, ["mb_s", "bz2_alone_mb_s"]
        ),
        "words": compare(
            words,
            spacy_words,
            million_words,
            rounds,
            ["million_s", "spacy_million_s"],
        ),
    }
    print(json.dumps(row, indent=1))
    write_json(results / "wikitext.json", row)


if __name__ == "__main__":
    typer.run(main)
