"""Pre-train an encoder on a pool of typed sentences, and keep one JSON row of the run.

    python benchmarks/pretrain.py run n10000 --encoder encoders/minilm-l6-en --data MIRROR \
        --work pretraining
    python benchmarks/pretrain.py record pretraining/runs/minilm-typed-n10000 n10000
    python benchmarks/pretrain.py overlap --work pretraining --corpus corpus

Sentences are of the public slices of the English Wikipedia, their links typed by the public slices
of DBpedia, and of LitBank. The pools of 1,000, 3,000 and 10,000 are nested; ``all`` has all typed
sentences and those whose links are entities without a type; ``wiki3k`` has Wikipedia's typed ones
alone, and with four types in the place of all. Corpora and pools are made once. A run that was cut
off goes on. The encoder lies in the end in the folder of the one it comes from. ``record`` writes
the row of a run that has ended, of this machine. ``overlap`` looks for test sentences in the pools:
CrossNER is of Wikipedia too.
"""

import json
import platform
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple

import torch
import typer
from thinc.api import Config

from spacy_hetner.corpora.convert import convert
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.engine.make import make_engine
from spacy_hetner.files import replacing_folder, write_json
from spacy_hetner.pretraining.settings import read_config
from spacy_hetner.pretraining.stage import read_stage
from spacy_hetner.pretraining.train import ENCODER, LOG, pretrain
from spacy_hetner.sampling import uniform
from spacy_hetner.wiki.build import TypedCorpus, build_wiki

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "pretraining"
OVERLAP = ROOT / "benchmarks" / "results" / "pretraining_overlap" / "overlap.json"
WORDS_IN_A_ROW = 12
CONFIG = ROOT / "configs" / "pretrain_typed.cfg"

DUMPS = (
    "wikipedia/gensim/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2",
    "wikipedia/gensim/enwiki-table-markup.xml.bz2",
    "wikipedia/wikipedia2vec/enwiki-pages-articles-sample.xml.bz2",
    "wikipedia/dbpedia_minidumps/en/wiki.xml.bz2",
)
TYPES = (
    "dbpedia/joie_db111k/db_InsType_mini.txt.xz",
    "dbpedia/databus_instance_types/instance-types_lang_cs.ttl.bz2",
)
ONTOLOGY = "dbpedia/smart_task/dbpedia_types.tsv"
LITBANK = "litbank/entities/tsv"
LITBANK_DEV_SHARE = 0.03
SIZES = (1000, 3000, 10000)

SETTINGS: Dict[str, Any] = {
    "pretraining.optimizer.learn_rate": 4e-4,
    "pretraining.optimizer.head_rate": 5.0,
    "pretraining.accumulate": 2,
    "pretraining.sampler.batch_pieces": 1024,
}
# Of the config in a row: what decides about the result, and no file.
NOT_SETTINGS = ("encoder", "train", "dev", "logger", "engine", "workers", "keep", "log_frequency")

Row = Dict[str, Any]
app = typer.Typer()


class Pool(NamedTuple):
    """Where its parts are in the folder of the work, and how often it is read."""

    train: str
    dev: str
    epochs: int


POOLS = {
    "n1000": Pool("pools/n1000.parquet", "pools/dev.parquet", 8),
    "n3000": Pool("pools/n3000.parquet", "pools/dev.parquet", 5),
    "n10000": Pool("pools/n10000.parquet", "pools/dev.parquet", 3),
    "all": Pool("pools/all.parquet", "pools/dev.parquet", 3),
    "wiki3k": Pool("pools/wiki.parquet", "pools/wikidev.parquet", 5),
    "wiki3k-4types": Pool("wiki/train-4types", "wiki/dev-4types", 5),
}


def make_corpora(data: Path, work: Path) -> None:
    """From dumps and files to records: ``wiki/`` and ``litbank.parquet``."""
    typed = TypedCorpus(
        [str(data / path) for path in TYPES], str(data / ONTOLOGY), maps=("4types",)
    )
    dumps = [data / path for path in DUMPS]
    build_wiki(dumps, work / "wiki", make_engine(), lang="en", typed=typed)
    convert([data / LITBANK], work / "litbank.parquet", format="layered", lang="en")


def make_pools(work: Path) -> None:
    """From records to ``pools/``, which is there as a whole or not at all."""
    wiki = work / "wiki"
    dev = list(read_stores([wiki / "dev"]))
    typed = list(read_stores([wiki / "train"]))
    not_untyped = {record.id for record in read_stores([wiki / "kept"])}
    untyped = [record for record in read_stores([wiki / "typed"]) if record.id not in not_untyped]
    novels = [
        replace(record, id=f"litbank-{number}")
        for number, record in enumerate(read_stores([work / "litbank.parquet"]))
        if record.tokens
    ]
    drawn = uniform([record.id for record in novels], seed=0, salt="dev")
    is_dev = (drawn < LITBANK_DEV_SHARE).tolist()
    pool = in_random_order(
        [*typed, *(novel for novel, held in zip(novels, is_dev, strict=True) if not held)]
    )
    novels_dev = [novel for novel, held in zip(novels, is_dev, strict=True) if held]
    with replacing_folder(work / "pools") as folder:
        for size in SIZES:
            write_parquet(pool[:size], folder / f"n{size}.parquet")
        write_parquet(in_random_order([*pool, *untyped]), folder / "all.parquet")
        write_parquet(in_random_order(typed), folder / "wiki.parquet")
        write_parquet([*dev, *novels_dev], folder / "dev.parquet")
        write_parquet(dev, folder / "wikidev.parquet")


def in_random_order(records: Iterable[Record]) -> List[Record]:
    """Records by a number drawn for each; more records leave the order of the others as it is."""
    records = list(records)
    keys = uniform([record.id for record in records], seed=0, salt="pool").tolist()
    pairs = sorted(zip(keys, records, strict=True), key=lambda pair: pair[0])
    return [record for _, record in pairs]


def result_name(encoder: str, pool: str) -> str:
    """What an encoder is called that has read a pool: ``minilm-l6-en``, ``minilm-typed-all``."""
    return f"{encoder.partition('-')[0]}-typed-{pool}"


def make_row(run: Path, pool: str, hardware: str, name: Optional[str] = None) -> Row:
    """The row of a run that has ended, from its log and its stage."""
    stage = stage_of(run)
    counts = stage["data"]["train"]["counts"]
    encoder = Path(stage["config"]["encoder"]).name
    return {
        "name": name or result_name(encoder, pool),
        "encoder": encoder,
        "pool": pool,
        "sentences": counts["totals"]["records"],
        "tokens": counts["totals"]["labelled tokens"],
        "labels": len(counts["labels"]),
        "mentions": sum(counts["labels"].values()),
        **describe_run(run),
        "hardware": hardware,
    }


def stage_of(run: Path) -> Row:
    """What the encoder of a run that has ended says of itself."""
    stage = read_stage(run / ENCODER)
    if stage is None:
        raise typer.BadParameter(f"{run} holds no run that has ended")
    return stage


def describe_run(run: Path) -> Row:
    """What a row has of a run that has ended, whatever it taught."""
    stage = stage_of(run)
    lines = [json.loads(line) for line in (run / LOG).read_text(encoding="utf8").splitlines()]
    end = [line for line in lines if line["event"] == "end"][-1]
    config = stage["config"]
    return {
        "objective": stage["objective"]["name"],
        "dev_sentences": stage["data"]["dev"]["counts"]["totals"]["records"],
        "files": {part: found["files"] for part, found in stage["data"].items()},
        "seed": stage["seed"],
        "settings": {name: config[name] for name in config if name not in NOT_SETTINGS},
        "steps": stage["steps"],
        "epochs": stage["epochs"],
        "evaluations": [
            {"step": line["step"], **line["scores"]}
            for line in lines
            if line["event"] == "evaluation"
        ],
        "best": stage["scores"]["best"],
        "pieces": end["pieces"],
        "seconds": round(end["seconds"], 1),
        "pieces_per_s": round(end["pieces"] / end["seconds"], 1),
        "peak_memory_mb": end["peak_memory_mb"],
        "processes": stage["processes"],
        "versions": stage["versions"],
        "time": stage["time"],
    }


def runs_of_words(record: Record) -> Set[Tuple[str, ...]]:
    """All that a sentence has of so many words in a row, without punctuation and case."""
    words = [token.lower() for token in record.tokens if token.isalnum()]
    stops = range(WORDS_IN_A_ROW, len(words) + 1)
    return {tuple(words[stop - WORDS_IN_A_ROW : stop]) for stop in stops}


def describe_hardware(cpu: bool) -> str:
    on_gpu = torch.cuda.is_available() and not cpu
    gpu = torch.cuda.get_device_name() if on_gpu else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} thread(s), {gpu}"


def parse_overrides(items: Iterable[str]) -> Dict[str, Any]:
    """Values of a config from ``dotted.key=JSON``."""
    pairs = (item.partition("=") for item in items)
    return {key: json.loads(value) for key, _, value in pairs}


def copy_encoder(encoder: Path, to: Path) -> None:
    """It is there as a whole, or as it was before."""
    with replacing_folder(to) as copy:
        shutil.copytree(encoder, copy, dirs_exist_ok=True)


def teach(config: Config, folder: Path, to: Path, cpu: bool) -> None:
    """Do a run, or go on with it, and leave its encoder in a folder; where it is told to stop, the
    command ends, and the same command goes on."""
    outcome = pretrain(config, folder, resume=True, cpu=cpu)
    if not outcome.finished:
        raise typer.Exit(1)
    copy_encoder(outcome.encoder, to)


PoolArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(POOLS)}")]
NameOption = Annotated[Optional[str], typer.Option(help="Of the new encoder; default: by the pool")]
OverrideOption = Annotated[List[str], typer.Option(help="dotted.key=JSON of the config")]
CpuOption = Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone")]
ResultsOption = Annotated[Path, typer.Option(help="Folder for the row")]


@app.command()
def run(
    pool: PoolArgument,
    encoder: Annotated[Path, typer.Option(exists=True, help="Encoder folder to start from")],
    work: Annotated[Path, typer.Option(help="Folder of corpora, pools and runs")],
    data: Annotated[
        Optional[Path], typer.Option(exists=True, help="Local mirror of the public data")
    ] = None,
    name: NameOption = None,
    seed: int = 0,
    epochs: Annotated[int, typer.Option(help="0: as the pool has them")] = 0,
    precision: str = "bf16",
    override: OverrideOption = [],  # noqa: B006
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Make the pools if they are not there, pre-train, write the encoder folder and the row."""
    chosen = POOLS[pool]
    name = name or result_name(encoder.name, pool)
    if (results / f"{name}.json").exists():
        typer.echo(f"have {name}.json")
        return
    if not (work / "pools").is_dir():
        if data is None:
            raise typer.BadParameter(f"{work} has no pools yet: they are made from --data")
        make_corpora(data, work)
        make_pools(work)
    overrides = {
        **SETTINGS,
        "paths.encoder": str(encoder),
        "paths.train": str(work / chosen.train),
        "paths.dev": str(work / chosen.dev),
        "pretraining.seed": seed,
        "pretraining.max_epochs": epochs or chosen.epochs,
        "pretraining.precision": precision,
        **parse_overrides(override),
    }
    folder = work / "runs" / name
    teach(read_config(CONFIG, overrides), folder, encoder.parent / name, cpu)
    record(folder, pool, name, cpu=cpu, results=results)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(exists=True, help="Folder of a run that has ended")],
    pool: PoolArgument,
    name: NameOption = None,
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Write the row of a run that has ended on this machine."""
    row = make_row(run, pool, describe_hardware(cpu), name)
    write_json(results / f"{row['name']}.json", row)
    typer.echo(
        f"{row['name']}: {row['sentences']:,} sentences, F {row['best']['f']:.4f}, "
        f"{row['pieces_per_s']:,.0f} pieces/s"
    )


@app.command()
def overlap(
    work: Annotated[Path, typer.Option(exists=True, help="Folder that has the pools")],
    corpus: Annotated[Path, typer.Option(exists=True, help="Folder of NAME/test.parquet")],
    results: Annotated[Path, typer.Option(help="JSON file")] = OVERLAP,
) -> None:
    """Count the test sentences that share a run of words with a sentence of each pool."""
    tests = {path.parent.name: read_tests(path) for path in sorted(corpus.glob("*/test.parquet"))}
    shared: Dict[str, Dict[str, int]] = {}
    for name, pool in POOLS.items():
        known = set().union(*map(runs_of_words, read_stores([work / pool.train])))
        counts = {data: sum(not known.isdisjoint(runs) for runs in tests[data]) for data in tests}
        shared[name] = {data: count for data, count in counts.items() if count}
        typer.echo(f"{name}: {shared[name]}")
    sentences = {data: len(runs) for data, runs in tests.items()}
    write_json(results, {"words": WORDS_IN_A_ROW, "sentences": sentences, "shared": shared})


def read_tests(path: Path) -> List[Set[Tuple[str, ...]]]:
    return [runs_of_words(record) for record in read_stores([path])]


if __name__ == "__main__":
    app()
