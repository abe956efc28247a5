"""Teach an encoder names and contexts for Weibo (Decoupled NER), and keep one JSON row of each run.

    python benchmarks/decoupled_stages.py prepare --data MIRROR --corpus corpus --work decoupled
    python benchmarks/decoupled_stages.py run names --encoder encoders/me5-small-zh-en-char \
        --work decoupled
    python benchmarks/decoupled_stages.py record decoupled/runs/me5-small-zh-en-char-names names

``prepare`` writes ``corpus/weibo_names``, which is Weibo with its names only (PER for PER.NAM),
gazetteers of public dictionaries, their names as records, and sentences of public texts with the
names that are found in them. Dictionaries of names hold common words, too: words that jieba does
not know as names are left out, and are what is no name in the first stage. Short names of people
and of organisations are learned there, but not looked for in texts. Of the sentences some are
``corpus/weibo_names/mixed.parquet``, for a tagger that is trained on distant labels as well.

The stages are ``names``, ``contexts`` and ``names-contexts``, which starts from the first. Each
leaves its encoder beside the one given. A run that was cut off goes on. ``record`` writes the row
of a run that has ended, of this machine.
"""

import sys
from dataclasses import replace
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, NamedTuple, Tuple

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from dictionaries import WAINSHINE  # noqa: E402
from pretrain import (  # noqa: E402
    CpuOption,
    OverrideOption,
    ResultsOption,
    Row,
    describe_hardware,
    describe_run,
    in_random_order,
    parse_overrides,
    stage_of,
    teach,
)

from spacy_hetner.corpora.distant import annotate  # noqa: E402
from spacy_hetner.corpora.mentions import write_mentions  # noqa: E402
from spacy_hetner.corpora.records import Record  # noqa: E402
from spacy_hetner.corpora.stores import read_parquet, read_stores, write_parquet  # noqa: E402
from spacy_hetner.corpora.text_store import PARTS, collect_texts  # noqa: E402
from spacy_hetner.engine.make import make_engine  # noqa: E402
from spacy_hetner.files import replacing, write_json  # noqa: E402
from spacy_hetner.gazetteers.build import build_gazetteer  # noqa: E402
from spacy_hetner.gazetteers.entries import read_entries  # noqa: E402
from spacy_hetner.gazetteers.source import Source  # noqa: E402
from spacy_hetner.losses import Losses  # noqa: E402
from spacy_hetner.pretraining.settings import read_config  # noqa: E402
from spacy_hetner.pretraining.stage import lineage_of  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "decoupled" / "stages"
CORPUS, SOURCE = "weibo_names", "weibo"
SCORED_ON = (SOURCE, "msra")
NAMED = ".NAM"
"""What the label of a name ends with in Weibo; others are of nominal mentions."""

NAMES: List[Tuple[str, str, Dict[str, Any]]] = [
    ("PER", "gazetteers/zh_names/Ancient_Names_Corpus_25W.txt.xz", WAINSHINE),
    ("PER", "gazetteers/thuocl/THUOCL_lishimingren.txt", {}),
    ("PER", "dsner/NEWS.dict", {}),
    ("GPE", "gazetteers/thuocl/THUOCL_diming.txt", {}),
    ("GPE", "gazetteers/zh_divisions/provinces.csv", {"text_column": "name"}),
    ("GPE", "gazetteers/zh_divisions/cities.csv", {"text_column": "name"}),
    ("GPE", "gazetteers/zh_divisions/areas.csv", {"text_column": "name"}),
    ("ORG", "gazetteers/zh_companies/Company-Shorter-Form_28W.txt.xz", WAINSHINE),
]
MIN_LENGTH = {"PER": 3, "GPE": 2, "ORG": 4}
"""In characters, of names that are looked for in texts: shorter ones are too often other words.
The names of the first stage are of any length, or it learns that short words are none: in Weibo
more than a third of the people and nearly half of the organisations have two characters."""
NAME_TAGS = ("nr", "nrfg", "nrt", "ns", "nt", "nz")
"""What jieba's dictionary calls names."""

TEXTS = (
    "zh_cluemotion/valid.txt:content",
    "zh_cluemotion/test.txt:content",
    "zh_tnews/unlabeled.json.xz:sentence",
    "zh_thucnews_titles/dev.txt:1",
    "zh_thucnews_titles/test.txt:1",
    "zh_wiki_cmrc2018/cmrc2018_dev.json.xz:context",
    "zh_wiki_cmrc2018/cmrc2018_trial.json:context",
)
DEV_SHARE = 0.03
MIXED = 2000
"""Sentences that a tagger gets beside its annotated ones."""

SETTINGS: Dict[str, Any] = {
    "pretraining.optimizer.learn_rate": 2e-5,
    "pretraining.optimizer.head_rate": 50.0,
    "pretraining.sampler.batch_pieces": 1024,
}

app = typer.Typer()


class Stage(NamedTuple):
    """Its config, where its parts are in the folder of the work, how often it is read, and the
    stage that it goes on from."""

    config: str
    parts: Tuple[str, str]
    epochs: int
    after: str = ""


SENTENCES = ("labelled/train", "labelled/dev")
STAGES = {
    "names": Stage("pretrain_mention", ("mentions/train.parquet", "mentions/dev.parquet"), 1),
    "contexts": Stage("pretrain_context", SENTENCES, 3),
    "names-contexts": Stage("pretrain_context", SENTENCES, 3, after="names"),
}


def names_only(record: Record) -> Record:
    """The record with its names, their labels without what says that they are."""
    spans = [
        span._replace(label=span.label.removesuffix(NAMED))
        for span in record.spans
        if span.label.endswith(NAMED)
    ]
    return replace(record, spans=spans)


def write_names(corpus: Path) -> None:
    """The three parts of ``corpus/weibo_names``."""
    for part in ("train", "dev", "test"):
        records = map(names_only, read_parquet(corpus / SOURCE / f"{part}.parquet"))
        write_parquet(records, corpus / CORPUS / f"{part}.parquet")


def common_words() -> List[str]:
    """The words of jieba's dictionary that it does not call names."""
    text = files("jieba").joinpath("dict.txt").read_text(encoding="utf8")
    rows = (line.split() for line in text.splitlines())
    return [word for word, _, tag in rows if tag not in NAME_TAGS]


def write_lists(data: Path, work: Path) -> None:
    """``names/COMMON.txt``, of each label the names that are not common, ``names/LABEL.txt``, and
    those of them that are long enough to be looked for, ``matched/LABEL.txt``."""
    common = common_words()
    left_out = set(common)
    names: Dict[str, Dict[str, None]] = {label: {} for label, _, _ in NAMES}
    for label, path, layout in NAMES:
        for file in Source(data / path, label=label, **layout).files():
            for entry in read_entries(file, Losses(strict=False)):
                if entry.text not in left_out:
                    names[label][entry.text] = None
    write_list(common, work / "names" / "COMMON.txt")
    for label, own in names.items():
        write_list(own, work / "names" / f"{label}.txt")
        long_enough = [name for name in own if len(name) >= MIN_LENGTH[label]]
        write_list(long_enough, work / "matched" / f"{label}.txt")


def write_list(names: Iterable[str], path: Path) -> None:
    """A name a line."""
    with replacing(path) as partial:
        partial.write_text("\n".join(names) + "\n", encoding="utf8")


def write_gazetteer(lists: Path) -> Path:
    """The folder of a gazetteer of the names in ``lists``, within it; tells what is in it."""
    sources = [Source(lists / f"{label}.txt", label=label) for label in MIN_LENGTH]
    gazetteer, report = build_gazetteer(sources, conflict="all", normalize=["width"])
    typer.echo(report.to_text())
    gazetteer.to_disk(lists / "gazetteer")
    return lists / "gazetteer"


@app.command()
def prepare(
    data: Annotated[Path, typer.Option(exists=True, help="Local mirror of the public data")],
    corpus: Annotated[Path, typer.Option(exists=True, help="Folder of the converted corpora")],
    work: Annotated[Path, typer.Option(help="Folder of records and runs")],
    seed: int = 0,
) -> None:
    """Write the corpus of names, and what is learned from before it."""
    write_names(corpus)
    write_lists(data, work)
    names, matched = write_gazetteer(work / "names"), write_gazetteer(work / "matched")
    common = [Source(work / "names" / "COMMON.txt")]
    counts = write_mentions(names, work / "mentions", common, lang="zh", seed=seed)
    typer.echo(f"Names: {dict(counts['labels'])}")
    collect_texts(
        [f"{data}/unlabelled/{text}" for text in TEXTS],
        work / "sentences",
        make_engine(),
        lang="zh",
        sentences=True,
        exclude=_held_out(corpus),
        dev=DEV_SHARE,
        seed=seed,
    )
    for part in PARTS:
        counts = annotate(
            [work / "sentences" / part],
            work / "labelled" / part,
            matched,
            make_engine(),
            lang="zh",
            non_entities=1,
            max_region=5,
            seed=seed,
        )
        typer.echo(f"Names in the sentences of {part}: {dict(counts['labels'])}")
    found = in_random_order(read_stores([work / "labelled" / "train"]))
    write_parquet(islice(found, MIXED), corpus / CORPUS / "mixed.parquet")


def _held_out(corpus: Path) -> List[Path]:
    """What scores are computed on, of those corpora that have been converted."""
    paths = (corpus / data / f"{part}.parquet" for data in SCORED_ON for part in ("dev", "test"))
    return [path for path in paths if path.exists()]


def result_name(encoder: str, stage: str, variant: str = "") -> str:
    """What an encoder is called that has been taught a stage."""
    return "-".join(filter(None, (encoder, variant, stage)))


def make_row(run: Path, stage: str, hardware: str, variant: str = "") -> Row:
    """The row of a run that has ended, from its log and its stages."""
    stages = [found for found in lineage_of(stage_of(run)) if "objective" in found]
    own = len(stages) - 1 - bool(STAGES[stage].after)
    encoder = Path(stages[own]["config"]["encoder"]).name
    counts = stages[-1]["data"]["train"]["counts"]
    return {
        "name": result_name(encoder, stage, variant),
        "encoder": encoder,
        "stage": stage,
        "labels": counts["labels"],
        **describe_run(run),
        "hardware": hardware,
    }


StageArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(STAGES)}")]
VariantOption = Annotated[
    str, typer.Option(help="What a stage with overrides is called, before its own name")
]


@app.command()
def run(
    stage: StageArgument,
    encoder: Annotated[Path, typer.Option(exists=True, help="Encoder folder all stages come from")],
    work: Annotated[Path, typer.Option(exists=True, help="Folder that `prepare` wrote")],
    seed: int = 0,
    epochs: Annotated[int, typer.Option(help="0: as the stage has them")] = 0,
    precision: str = "bf16",
    override: OverrideOption = [],  # noqa: B006
    variant: VariantOption = "",
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Teach, write the encoder folder and the row."""
    chosen = STAGES[stage]
    name = result_name(encoder.name, stage, variant)
    if (results / f"{name}.json").exists():
        typer.echo(f"have {name}.json")
        return
    start = encoder
    if chosen.after:
        start = encoder.parent / result_name(encoder.name, chosen.after, variant)
    if not start.is_dir():
        raise typer.BadParameter(f"{stage} starts from {start}: run {chosen.after} first")
    overrides = {
        **SETTINGS,
        "paths.encoder": str(start),
        "paths.train": str(work / chosen.parts[0]),
        "paths.dev": str(work / chosen.parts[1]),
        "pretraining.seed": seed,
        "pretraining.max_epochs": epochs or chosen.epochs,
        "pretraining.precision": precision,
        **parse_overrides(override),
    }
    config = read_config(ROOT / "configs" / f"{chosen.config}.cfg", overrides)
    folder = work / "runs" / name
    teach(config, folder, encoder.parent / name, cpu)
    record(folder, stage, variant, cpu=cpu, results=results)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(exists=True, help="Folder of a run that has ended")],
    stage: StageArgument,
    variant: VariantOption = "",
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Write the row of a run that has ended on this machine."""
    row = make_row(run, stage, describe_hardware(cpu), variant)
    write_json(results / f"{row['name']}.json", row)
    typer.echo(f"{row['name']}: F {row['best']['f']:.4f}, {row['pieces_per_s']:,.0f} pieces/s")


if __name__ == "__main__":
    app()
