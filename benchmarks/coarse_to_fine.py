"""CoFEE on E-commerce and Twitter 2015: recognition without annotation, a JSON row a run.

    python benchmarks/coarse_to_fine.py run ecommerce cofee --encoder encoders/NAME \
        --data MIRROR --corpus corpus --work coarse
    python benchmarks/coarse_to_fine.py run ecommerce cofee --estimate ...   (the same options)
    python benchmarks/coarse_to_fine.py plan ecommerce --seeds 3 --curves cofee ...   (the same)
    python benchmarks/coarse_to_fine.py pictures

What it learns from: ``weak_knowledge.py``. The pipeline is made of what a run leaves without
training, and scored on dev and test; dev chooses among the rounds of a run, as in the paper. A row
that is there is not computed again, a run that was cut off goes on. Its encoder lies in the end in
the folder of the one it comes from, where ``plans.py coarse_to_fine`` fine-tunes it. ``--estimate``
tells how long a run takes, after 20 steps of each of its stages.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import spacy
import typer
from spacy.language import Language
from thinc.api import Config

from spacy_hetner.engine.tables import parquet_shards, read_shard
from spacy_hetner.evaluation.pictures import save_figure
from spacy_hetner.evaluation.scorers import make_entity_spans_scorer
from spacy_hetner.files import remove_folder, write_json
from spacy_hetner.pretraining.coarse_settings import (
    LABELS,
    SPANS,
    STAGES,
    TYPES,
    read_chain,
    run_config,
)
from spacy_hetner.pretraining.coarse_to_fine import RESULT, coarse_to_fine
from spacy_hetner.pretraining.job import INSTANCES
from spacy_hetner.pretraining.log import END
from spacy_hetner.pretraining.stage import read_stage
from spacy_hetner.pretraining.train import LOG, Outcome, pretrain

ROOT = Path(__file__).resolve().parent.parent
for folder in ("benchmarks", "scripts"):
    sys.path.append(str(ROOT / folder))
from accuracy import read_predicted  # noqa: E402
from assemble_pipeline import assemble  # noqa: E402
from pretrain import copy_encoder, describe_hardware, parse_overrides  # noqa: E402
from teach_coarse_to_fine import chain_config  # noqa: E402
from weak_knowledge import KNOWLEDGE, Stores, make_stores  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "coarse_to_fine"
IMAGES = ROOT / "docs" / "images"
CONFIG = ROOT / "configs" / "coarse_to_fine.cfg"
PROBE_STEPS = 20
FORWARD = 1 / 3
"""Share of a training step's time that it takes to read the same pieces only."""

SETTINGS: Dict[str, Any] = {
    "pretraining.accumulate": 2,
    "pretraining.sampler.batch_pieces": 1024,
    **{f"coarse_to_fine.{stage}.learn_rate": 2e-4 for stage in STAGES},
}
CURVES: Dict[str, Tuple[float, ...]] = {
    "delta": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    "names": (0.05, 0.1, 0.25, 0.5, 1.0),
    "clusters": (4, 10, 23, 50, 90),
}
AXES = {"delta": "threshold of picking", "names": "share of the names", "clusters": "clusters K"}

Row = Dict[str, Any]
app = typer.Typer()


class System(NamedTuple):
    """backbone; the stages it has; whether labels are picked anew after each round."""

    backbone: str
    stages: Tuple[str, ...] = (LABELS,)
    picks: bool = True


SYSTEMS: Dict[str, Optional[System]] = {
    "matching": None,
    "direct": System("query", picks=False),
    "direct-tagger": System("tagger", picks=False),
    "cofee-FET-ESI": System("query"),
    "cofee-FET": System("query", (SPANS, LABELS)),
    "cofee": System("query", STAGES),
    "cofee-tagger-FET-ESI": System("tagger"),
    "cofee-tagger-FET": System("tagger", (SPANS, LABELS)),
    "cofee-tagger": System("tagger", STAGES),
}


class Run(NamedTuple):
    """What decides about a run; see the options of ``run``."""

    data: str
    system: str
    encoder: str
    seed: int
    sentences: int
    names: float
    epochs: Tuple[int, int, int]
    steps: int
    delta: float
    clusters: int
    precision: str
    override: Tuple[str, ...]

    def key(self, *aside: str) -> str:
        """A name for all of this but some."""
        told = {name: value for name, value in self._asdict().items() if name not in aside}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]

    @property
    def name(self) -> str:
        return f"{self.data}-{self.encoder}-{self.system}-s{self.seed}-{self.key()}"

    def config(self, encoder: Path, stores: Stores, dev: Path) -> Config:
        """The config of its chain."""
        system = SYSTEMS[self.system]
        assert system is not None
        chain = {
            "backbone": system.backbone,
            "queries": KNOWLEDGE[self.data].queries,
            "by_token": KNOWLEDGE[self.data].lang == "zh",
            "delta": self.delta,
            "clusters": self.clusters,
            **{f"{stage}.enabled": stage in system.stages for stage in STAGES},
            **{f"{stage}.epochs": n for stage, n in zip(STAGES, self.epochs, strict=True)},
        }
        return chain_config(
            CONFIG,
            {
                "paths.encoder": str(encoder),
                "paths.entities": str(stores.entities),
                "paths.distant": str(stores.distant),
                "paths.dev": str(dev),
                **{f"coarse_to_fine.{name}": value for name, value in chain.items()},
                "pretraining.seed": self.seed,
                "pretraining.max_steps": self.steps,
                "pretraining.precision": self.precision,
                **SETTINGS,
                **parse_overrides(self.override),
            },
        )

    def shared(self, work: Path) -> List[Tuple[Path, Tuple[str, ...]]]:
        """Folders for what runs have in common, and what of a chain's folder that is: a chain
        finds it done. What it was done with, a chain compares."""
        system = SYSTEMS[self.system]
        assert system is not None
        if SPANS not in system.stages:
            return []
        first, second, _ = self.epochs
        aside = ("system", "epochs", "clusters")
        spans = f"spans-{system.backbone}-{first}-{self.key(*aside, 'delta', 'names')}"
        labels = f"labels-{system.backbone}-{first}-{second}-{self.key(*aside)}"
        return [
            (work / "shared" / spans, (SPANS,)),
            (work / "shared" / labels, (f"{LABELS}-*", "labels-*", "changes-*.json")),
        ]


def one_stage(config: Config, name: str, epochs: int, steps: Optional[int] = None) -> Config:
    """The config of a run of one stage alone, on the labels of the dictionaries."""
    settings, common = read_chain(config)
    train = settings.entities if name == SPANS else settings.distant
    alone = run_config(
        settings, common, name, 1, encoder=settings.encoder, train=[str(train)], head=None
    )
    schedule = common.get("schedule") or {"@misc": "spacy_hetner.WarmupLinear.v1"}
    alone["pretraining"].update(max_epochs=epochs, schedule=schedule)
    if steps is not None:
        alone["pretraining"].update(max_steps=steps, dev=None)
    return alone


def learn(run: Run, config: Config, folder: Path, work: Path, cpu: bool) -> Outcome:
    """Do a run in a folder, or go on with it."""
    system = SYSTEMS[run.system]
    assert system is not None
    if not system.picks:
        alone = one_stage(config, LABELS, run.epochs[1])
        return pretrain(alone, folder, resume=True, cpu=cpu)
    folder.mkdir(parents=True, exist_ok=True)
    for place, parts in run.shared(work):
        link_all(place, folder, parts)
    outcome = coarse_to_fine(config, folder, resume=True, cpu=cpu)
    if outcome.finished:
        for place, parts in run.shared(work):
            link_all(folder, place, parts)
    return outcome


def link_all(source: Path, target: Path, patterns: Tuple[str, ...]) -> None:
    """Put what a folder has under some names into another, that has nothing under them, without
    copies: files are replaced here, never written to."""
    for found in [path for pattern in patterns for path in source.glob(pattern)]:
        place = target / found.name
        target.mkdir(parents=True, exist_ok=True)
        if place.exists():
            continue
        if found.is_dir():
            shutil.copytree(found, place, copy_function=os.link)
        else:
            os.link(found, place)


def score(nlp: Language, corpus: Path) -> Dict[str, Any]:
    """Strict scores of ``doc.ents`` on dev and test, whose entities are flat."""
    found = {}
    for part in ("dev", "test"):
        examples = read_predicted(nlp, corpus / f"{part}.parquet")
        for example in examples:
            example.predicted.spans["entities"] = list(example.predicted.ents)
        scores = make_entity_spans_scorer("entities")(examples)
        found[part] = {
            **{name: scores[f"spans_entities_{name}"] for name in "prf"},
            "by_label": scores["spans_entities_per_type"],
        }
    return found


def matching(names: Path, lang: str) -> Language:
    """A pipeline that finds the names of a gazetteer, and nothing else."""
    nlp = spacy.blank("xx" if lang == "zh" else lang)  # the tokens are those of the corpus
    nlp.add_pipe("hetner_gazetteer_recognizer", config={"path": str(names)})
    nlp.add_pipe("hetner_resolver")
    return nlp


def rounds_of(folder: Path) -> List[Row]:
    """What a chain tells of its rounds; none of a run without."""
    path = folder / RESULT
    return json.loads(path.read_text(encoding="utf8"))["rounds"] if path.exists() else []


def last_end(log: Path) -> Row:
    """How a run ended, as its log tells."""
    lines = (json.loads(line) for line in log.read_text(encoding="utf8").splitlines())
    return [line for line in lines if line["event"] == END][-1]


def training_seconds(folder: Path) -> float:
    """Of the steps of a run, or of all runs of a chain, those that it shares with others too."""
    logs = [*folder.glob(LOG), *folder.glob(f"*/{LOG}")]
    return round(sum(last_end(log)["seconds"] for log in logs), 1)


def pieces_of(folder: Path) -> int:
    """All pieces that an epoch of a run reads."""
    return sum(
        sum(batch["length"].to_pylist())
        for shard in parquet_shards(folder / INSTANCES / "train")
        for batch in read_shard(shard, ["length"])
    )


def probe(config: Config, cpu: bool) -> Dict[str, Tuple[int, float]]:
    """Pieces of an epoch, and pieces a second over a few steps, of each stage that a chain has.

    The last stage reads what the one before it reads.
    """
    settings, _ = read_chain(config)
    found = {}
    for name in (SPANS, LABELS):
        if settings.stage(name).enabled:
            with TemporaryDirectory() as scratch:
                folder = Path(scratch)
                pretrain(one_stage(config, name, 0, PROBE_STEPS), folder, cpu=cpu)
                end = last_end(folder / LOG)
                found[name] = pieces_of(folder), end["pieces"] / end["seconds"]
    if settings.stage(TYPES).enabled:
        found[TYPES] = found[LABELS]
    return found


def tell_time(run: Run, config: Config, cpu: bool) -> None:
    """How long a run takes, by a few steps of each stage."""
    total = 0.0
    for stage, (pieces, rate) in probe(config, cpu).items():
        rounds = run.epochs[STAGES.index(stage)]
        again = 0.0 if stage == SPANS else FORWARD  # labels are picked, or vectors computed
        seconds = rounds * (1 + again) * pieces / rate
        total += seconds
        typer.echo(
            f"{stage}: {pieces:,} pieces an epoch, {rate:,.0f} pieces/s, {rounds} epochs: "
            f"{seconds / 60:,.1f} min"
        )
    typer.echo(f"{run.system} on {run.data}: {total / 60:,.1f} min, without the scoring of dev")


DataArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(KNOWLEDGE)}")]
SystemArgument = Annotated[str, typer.Argument(help=f"One of: {', '.join(SYSTEMS)}")]
EncoderOption = Annotated[Path, typer.Option(exists=True, help="Encoder folder to start from")]
MirrorOption = Annotated[Path, typer.Option("--data", exists=True, help="Mirror of the data")]
CorpusOption = Annotated[Path, typer.Option(exists=True, help="Folder of NAME/{dev,test}.parquet")]
WorkOption = Annotated[Path, typer.Option(help="Folder of stores and runs")]
SentencesOption = Annotated[int, typer.Option(help="Drawn from all; 0: all")]
NamesOption = Annotated[float, typer.Option(help="Share of the dictionaries' names")]
EpochsOption = Annotated[str, typer.Option(help="Of each of the three stages")]
StepsOption = Annotated[int, typer.Option(help="Of each round, at most; 0: any")]
DeltaOption = Annotated[float, typer.Option(help="Threshold of picking")]
ClustersOption = Annotated[int, typer.Option(help="K")]
PrecisionOption = Annotated[str, typer.Option(help="fp32 or bf16")]
OverrideOption = Annotated[List[str], typer.Option(help="dotted.key=JSON of the config")]
CpuOption = Annotated[bool, typer.Option("--cpu", help="Leave GPUs alone")]
ResultsOption = Annotated[Path, typer.Option(help="Folder for the rows")]


def make_run(data: str, system: str, encoder: Path, **options: Any) -> Run:
    if system not in SYSTEMS or data not in KNOWLEDGE:
        raise typer.BadParameter(f"{data} {system}: see --help")
    first, second, third = map(int, options.pop("epochs").split(","))
    override = tuple(sorted(options.pop("override")))
    epochs = (first, second, third)
    return Run(data, system, encoder.name, epochs=epochs, override=override, **options)


@app.command("run")
def run_one(
    data: DataArgument,
    system: SystemArgument,
    encoder: EncoderOption,
    mirror: MirrorOption,
    corpus: CorpusOption,
    work: WorkOption,
    seed: int = 0,
    sentences: SentencesOption = 4000,
    names: NamesOption = 1.0,
    epochs: EpochsOption = "3,6,3",
    steps: StepsOption = 0,
    delta: DeltaOption = 0.1,
    clusters: ClustersOption = 23,
    precision: PrecisionOption = "bf16",
    override: OverrideOption = [],  # noqa: B006
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
    estimate: Annotated[bool, typer.Option("--estimate", help="Tell how long it takes")] = False,
) -> None:
    """Make what is learned from, learn it, score it, write the row."""
    run = make_run(
        data, system, encoder, seed=seed, sentences=sentences, names=names, epochs=epochs,
        steps=steps, delta=delta, clusters=clusters, precision=precision, override=override,
    )  # fmt: skip
    if not estimate and (results / f"{run.name}.json").exists():
        typer.echo(f"have {run.name}.json")
        return
    stores = make_stores(data, mirror, work, sentences, names)
    if estimate:
        tell_time(run, run.config(encoder, stores, corpus / data / "dev.parquet"), cpu)
        return
    start = time.perf_counter()
    lang, folder = KNOWLEDGE[data].lang, work / "runs" / run.name
    told: Row = {}
    if SYSTEMS[system] is None:
        nlp = matching(stores.names, lang)
    else:
        config = run.config(encoder, stores, corpus / data / "dev.parquet")
        outcome = learn(run, config, folder, work, cpu)
        if not outcome.finished:
            raise typer.Exit(1)  # told to stop: the same command goes on
        stage = read_stage(outcome.encoder)
        assert stage is not None
        told = {
            "rounds": rounds_of(folder),
            "steps_done": outcome.steps,
            "settings": {name: config[name] for name in ("coarse_to_fine", "pretraining")},
            "versions": stage["versions"],
        }
        for part in ("encoder", "entities", "distant", "dev"):
            told["settings"]["coarse_to_fine"].pop(part)
        copy_encoder(outcome.encoder, encoder.parent / f"{encoder.name}-{system}-s{seed}")
        nlp = assemble(outcome.encoder, lang, precision)
    taught = time.perf_counter() - start
    row = {
        **run._asdict(),
        "knowledge": stores.facts,
        **told,
        "scores": score(nlp, corpus / data),
        "training_seconds": training_seconds(folder),
        "seconds": round(taught, 1),
        "hardware": describe_hardware(cpu),
    }
    write_json(results / f"{run.name}.json", row)
    if folder.exists():
        remove_folder(folder)
    parts = [f"{part} F {row['scores'][part]['f']:.4f}" for part in ("dev", "test")]
    typer.echo(f"{run.name}: {', '.join(parts)}, {taught:,.0f} s")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def plan(
    context: typer.Context,
    data: DataArgument,
    seeds: Annotated[int, typer.Option(help="Of each system")] = 3,
    systems: Annotated[str, typer.Option(help="Which; default: all")] = ",".join(SYSTEMS),
    curves: Annotated[str, typer.Option(help="Also those of a system, one seed")] = "",
) -> None:
    """Run systems, and what the curves show; all other options are those of ``run``."""
    common = [sys.executable, str(Path(__file__)), "run", data]
    runs = [[system, "--seed", str(seed)] for seed in range(seeds) for system in systems.split(",")]
    if curves:
        runs += [
            [curves, f"--{name}", str(value)] for name, values in CURVES.items() for value in values
        ]
    for arguments in runs:
        subprocess.run([*common, *arguments, *context.args], check=True)


@app.command()
def pictures(
    results: ResultsOption = RESULTS,
    images: Annotated[Path, typer.Option(help="Folder for the pictures")] = IMAGES,
) -> None:
    """Draw how dev depends on the threshold, on the names and on the clusters."""
    rows = read_rows(results)
    for name in CURVES:
        lines = curve_of(rows, name)
        if lines:
            path = images / f"coarse_to_fine_{name}.svg"
            draw_curve(path, lines, AXES[name])
            typer.echo(f"Wrote {path}")


def read_rows(results: Path) -> List[Row]:
    return [json.loads(p.read_text(encoding="utf8")) for p in sorted(results.glob("*.json"))]


def curve_of(rows: List[Row], name: str) -> Dict[str, List[Tuple[float, float]]]:
    """For each data set and system the points of a curve: a setting and the F on dev of runs that
    are otherwise the same; the largest group of them, where there are several."""
    groups: Dict[str, Dict[str, List[Tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        same = {key: row[key] for key in Run._fields if key != name}
        point = (float(row[name]), 100 * row["scores"]["dev"]["f"])
        line = f"{row['data']}, {row['system']}"
        groups[line][json.dumps(same, sort_keys=True)].append(point)
    largest = {line: max(found.values(), key=len) for line, found in groups.items()}
    return {line: sorted(points) for line, points in largest.items() if len(points) > 1}


def draw_curve(path: Path, lines: Mapping[str, List[Tuple[float, float]]], axis: str) -> None:
    """A line a data set and system."""
    from matplotlib.figure import Figure

    def draw() -> Any:
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        axes = figure.subplots()
        for (line, points), marker in zip(lines.items(), "os^Dv", strict=False):
            axes.plot(*zip(*points, strict=True), marker=marker, label=line)
        axes.set_xlabel(axis)
        axes.set_ylabel("F on dev, in percent")
        axes.legend()
        return figure

    save_figure(path, draw)


if __name__ == "__main__":
    app()
