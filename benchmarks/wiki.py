"""From a dump to a typed corpus: what a real slice gives, and the speed and memory of a large dump.

    python benchmarks/wiki.py slice --data MIRROR
    python benchmarks/wiki.py speed --data MIRROR --megabytes 1000

The large dump is made of the pages of a real one, again and again under other titles, packed in
streams of 100 pages as Wikipedia's multistream files are. Unpacking it alone is the measure. Peak
memory is told after a tenth of the dump too: it must not grow with the dump.
"""

import bz2
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Dict, Iterator, List
from xml.sax.saxutils import escape

import typer

from spacy_hetner.engine.make import make_engine
from spacy_hetner.files import write_json
from spacy_hetner.wiki.build import AnchorCorpus, TypedCorpus, build_wiki
from spacy_hetner.wiki.dump import read_pages
from spacy_hetner.wiki.dump_xml import Page
from spacy_hetner.wiki.report import summarize

RESULTS = Path(__file__).resolve().parent / "results" / "wiki"
SLICE = "wikipedia/gensim/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
STREAM = 100
HEAD = (
    '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">\n'
    "<siteinfo><dbname>enwiki</dbname></siteinfo>\n"
)

app = typer.Typer()


def page_xml(page: Page, number: int, round_: int) -> str:
    """A page under another number, and after the first round under another title."""
    title = page.title if round_ == 0 else f"{page.title} {round_}"
    redirect = f'<redirect title="{escape(page.redirect)}" />' if page.redirect else ""
    return (
        f"<page><title>{escape(title)}</title><ns>{page.ns}</ns><id>{number}</id>{redirect}"
        f"<revision><id>{number}</id><text>{escape(page.text)}</text></revision></page>\n"
    )


def streams(pages: List[Page], size: int) -> Iterator[bytes]:
    """The XML of a dump of about ``size`` bytes, cut where streams end."""
    yield HEAD.encode()
    number = written = round_ = 0
    held: List[str] = []
    while written < size:
        for page in pages:
            number += 1
            held.append(page_xml(page, number, round_))
            if len(held) == STREAM:
                data = "".join(held).encode()
                written, held = written + len(data), []
                yield data
                if written >= size:
                    break
        round_ += 1
    yield ("".join(held) + "</mediawiki>\n").encode()


def make_dump(data: Path, path: Path, size: int) -> None:
    """Write a packed multistream dump."""
    pages = list(read_pages(data / SLICE))
    with path.open("wb") as file:
        for part in streams(pages, size):
            file.write(bz2.compress(part))


def unpack(path: Path) -> Dict[str, float]:
    """Unpacking alone."""
    start, size = time.process_time(), 0
    with bz2.open(path) as file:
        while chunk := file.read(2**20):
            size += len(chunk)
    return {"bytes": size, "cpu_s": time.process_time() - start}


def typed_corpus(data: Path) -> TypedCorpus:
    """The types and the ontology of the mirror."""
    return TypedCorpus(
        [str(data / "dbpedia/joie_db111k/db_InsType_mini.txt.xz")],
        str(data / "dbpedia/smart_task/dbpedia_types.tsv"),
    )


DataOption = Annotated[Path, typer.Option(exists=True, help="Local mirror of the public data")]
ResultsOption = Annotated[Path, typer.Option(help="Folder for the row")]


@app.command("slice")
def read_slice(data: DataOption, results: ResultsOption = RESULTS) -> None:
    """Build the corpora of the real slice, and write what each step counted."""
    anchored = AnchorCorpus()
    with TemporaryDirectory() as out:
        counts = build_wiki(
            [data / SLICE],
            out,
            make_engine(),
            lang="en",
            typed=typed_corpus(data),
            anchored=anchored,
        )
    write_json(results / "slice.json", counts)
    typer.echo(summarize(counts))


@app.command()
def measure(dump: Path, data: Path) -> None:
    """Run the steps in this process, and print what they took as JSON."""
    engine = make_engine()
    steps: Dict[str, float] = {}
    run = engine.map

    def timed(task: Any, shards: Any, out: Any, **more: Any) -> Any:
        start = time.process_time()
        counts = run(task, shards, out, **more)
        steps[Path(out).name] = time.process_time() - start
        return counts

    engine.map = timed  # type: ignore[method-assign]
    with TemporaryDirectory() as out:
        start = time.process_time()
        counts = build_wiki([dump], out, engine, lang="en", typed=typed_corpus(data))
        total = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    rows = {name: found["rows"]["total"] for name, found in counts.items() if "rows" in found}
    print(json.dumps({"steps": steps, "cpu_s": total, "peak_rss_mb": memory, "rows": rows}))


@app.command()
def speed(
    data: DataOption,
    megabytes: Annotated[int, typer.Option(help="Of unpacked XML")] = 1000,
    results: ResultsOption = RESULTS,
) -> None:
    """Make the dump, measure, print, write one JSON row."""
    runs = []
    with TemporaryDirectory() as folder:
        for size in (megabytes // 10, megabytes):
            dump = Path(folder) / f"dump-{size}.xml.bz2"
            make_dump(data, dump, size * 10**6)
            alone = unpack(dump)
            command = [sys.executable, __file__, "measure", str(dump), str(data)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            rate = alone["bytes"] / 1e6
            runs.append(
                {
                    "megabytes": round(rate, 1),
                    "packed_megabytes": round(dump.stat().st_size / 1e6, 1),
                    "unpack_mb_s": round(rate / alone["cpu_s"], 1),
                    "mb_s": round(rate / found["cpu_s"], 2),
                    "ratio_to_unpack": round(alone["cpu_s"] / found["cpu_s"], 3),
                    **found,
                }
            )
            typer.echo(json.dumps(runs[-1], indent=1))
    write_json(
        results / "speed.json",
        {"runs": runs, "hardware": f"{platform.machine()}, 1 process"},
    )


if __name__ == "__main__":
    app()
