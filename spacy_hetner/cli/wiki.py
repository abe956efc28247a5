"""``spacy hetner wiki``: corpora from MediaWiki dumps."""

from pathlib import Path
from typing import Annotated, List, Optional

from typer import Argument, Option, Typer
from wasabi import msg

from ..engine.make import make_engine
from ..files import write_json
from ..labels.type_map import MAPS
from ..wiki.build import AnchorCorpus, TypedCorpus, build_wiki
from ..wiki.filters import RARE_ACTIONS
from ..wiki.report import summarize
from ..wiki.typing import CONFLICTS, MATCHES
from .job import (
    AddressOption,
    EngineOption,
    ResumeOption,
    SeedOption,
    StrictOption,
    WorkersOption,
)

wiki_app = Typer(name="wiki", help="Corpora from MediaWiki dumps", no_args_is_help=True)


@wiki_app.command("build")
def build_cli(
    dumps: Annotated[
        List[Path], Argument(help="XML exports; .bz2 (multistream is read in parallel), .xz, .gz")
    ],
    out: Annotated[Path, Option("--out", "-o", help="Folder of all steps", file_okay=False)],
    lang: Annotated[str, Option("--lang", "-l", help="Language of the wiki")],
    types: Annotated[
        Optional[List[Path]],
        Option("--types", "-t", help="Types of pages: N-Triples, Turtle of DBpedia, or TSV"),
    ] = None,
    ontology: Annotated[
        Optional[Path], Option("--ontology", help="Class tree: .owl, .ttl or .tsv")
    ] = None,
    min_count: Annotated[
        int, Option("--min-count", help="Categories of fewer mentions are rare")
    ] = 10,
    rare: Annotated[
        str, Option("--rare", help=f"Of rare ones: {', '.join(RARE_ACTIONS)}")
    ] = "entity",
    top: Annotated[int, Option("--top", help="How many categories are common")] = 20,
    dev_share: Annotated[
        float, Option("--dev-share", help="Of the sentences, for validation")
    ] = 0.1,
    alpha: Annotated[float, Option("--alpha", help="Balance: 1 as it is, 0 all alike")] = 0.7,
    draws: Annotated[
        int, Option("--draws", help="Balanced sentences; 0: as many as there are")
    ] = 0,
    maps: Annotated[
        Optional[List[str]],
        Option("--map", help=f"Type map, {', '.join(MAPS)} or a TSV file; may be repeated"),
    ] = None,
    anchors: Annotated[
        bool, Option("--anchors", help="Sentences of many links, each link an entity (CoFEE)")
    ] = False,
    gazetteer: Annotated[
        Optional[Path],
        Option("--gazetteer", "-g", help="The same with labels of a gazetteer's folder (CoFEE)"),
    ] = None,
    match: Annotated[str, Option("--match", help=f"Entry is the {', '.join(MATCHES)}")] = "both",
    conflict: Annotated[
        str, Option("--conflict", help=f"Several labels: {' or '.join(CONFLICTS)}")
    ] = "first",
    min_anchors: Annotated[int, Option("--min-anchors", help="CoFEE: links a sentence")] = 4,
    max_tokens: Annotated[int, Option("--max-tokens", help="CoFEE: tokens a sentence")] = 250,
    seed: SeedOption = 0,
    engine: EngineOption = "local",
    workers: WorkersOption = None,
    address: AddressOption = "",
    resume: ResumeOption = True,
    strict: StrictOption = False,
    report: Annotated[
        Optional[Path], Option("--report", "-r", help="JSON file for the counts", dir_okay=False)
    ] = None,
) -> None:
    """
    Build corpora from a dump: sentences whose links are typed by an ontology (--types, --ontology;
    NER-BERT), or are entities, or entries of a gazetteer (--anchors, --gazetteer; CoFEE). A job
    that was cut off goes on where it was; the result is the same on one machine and on many.
    """
    typed = anchored = None
    if types or ontology:
        typed = TypedCorpus(
            [str(path) for path in types or ()],
            str(ontology or ""),
            min_count=min_count,
            rare=rare,
            top=top,
            dev_share=dev_share,
            alpha=alpha,
            draws=draws,
            maps=maps or (),
            strict=strict,
        )
    if anchors or gazetteer:
        anchored = AnchorCorpus(
            str(gazetteer or ""), min_anchors, max_tokens, match=match, conflict=conflict
        )
    counts = build_wiki(
        dumps,
        out,
        make_engine(engine, workers=workers, address=address or None),
        lang=lang,
        typed=typed,
        anchored=anchored,
        seed=seed,
        strict=strict,
        resume=resume,
    )
    print(summarize(counts))
    msg.good(f"Saved the steps to {out}")
    if report is not None:
        write_json(report, counts)
