"""Adapt an encoder to raw Chinese text, and keep one JSON row of the run.

    python benchmarks/adapt.py run me5-aligned-2m --encoder encoders/me5-small-zh-en-char \
        --teacher encoders/me5-small --text texts --work adaptation
    python benchmarks/adapt.py run me5-aligned-2m-mlm-0.5m --encoder encoders/me5-small-zh-en-char \
        --text texts --work adaptation
    python benchmarks/adapt.py record adaptation/runs/me5-aligned-2m me5-aligned-2m

A name ends with what is taught, and how many millions of characters are read for it: ``aligned`` to
a teacher, or ``mlm``, masked language modelling. What stands before that is the name of the run
that it starts from, or any other name, and then the run starts from the encoder. The recipe is that
of ``spacy hetner encoder adapt``, the text a store that ``spacy hetner text`` made. A run that was
cut off goes on. The encoder lies in the end beside the one that all come from. ``record`` writes
the row of a run that has ended, of this machine.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Dict, Mapping, NamedTuple, Optional

import typer
from thinc.api import Config

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from pretrain import (  # noqa: E402
    CpuOption,
    OverrideOption,
    ResultsOption,
    describe_hardware,
    describe_run,
    parse_overrides,
    stage_of,
    teach,
)

from spacy_hetner.corpora.text_store import ORIGIN, PARTS  # noqa: E402
from spacy_hetner.files import write_json  # noqa: E402
from spacy_hetner.pretraining.adapt import write_adaptation  # noqa: E402
from spacy_hetner.pretraining.job import open_job, prepare  # noqa: E402
from spacy_hetner.pretraining.settings import resolve_settings  # noqa: E402
from spacy_hetner.pretraining.stage import lineage_of  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "adaptation"
ALIGNED = "aligned"
NAME = re.compile(rf"(?P<start>.+)-(?P<taught>{ALIGNED}|mlm)-(?P<millions>\d+(\.\d+)?)m")

Row = Dict[str, Any]
app = typer.Typer()


class Lesson(NamedTuple):
    """What the name of a run says.

    start: The name without this lesson; is_aligned: Whether a teacher is learned from; characters:
    How many are read.
    """

    start: str
    is_aligned: bool
    characters: int


def parse_name(name: str) -> Optional[Lesson]:
    """The last lesson of a run; None for a name that tells of none."""
    found = NAME.fullmatch(name)
    if found is None:
        return None
    characters = round(1e6 * float(found["millions"]))
    return Lesson(found["start"], found["taught"] == ALIGNED, characters)


def read_origin(text: Path) -> Row:
    """What the training part of a text store was made of."""
    path = text / PARTS[0] / ORIGIN
    if not path.is_file():
        raise typer.BadParameter(f"{text} was not made by `spacy hetner text`: no {path}")
    return json.loads(path.read_text(encoding="utf8"))


def characters_of(origin: Row) -> int:
    """How many characters a part of a text store has, without white space."""
    return sum(source["kept"]["characters"] for source in origin["sources"])


def count_steps(config: Config, folder: Path, lesson: Lesson, text: Path) -> int:
    """How many steps read as many characters, at the mean of the first epoch.

    folder (Path): Where the texts are cut to instances, which say how many steps an epoch has.
    """
    settings = resolve_settings(config)
    prepare(settings, config, folder, anew=True)
    instances = open_job(settings, folder).train
    batches = sum(1 for _ in settings.sampler(instances, settings.seed, 0))
    epochs = lesson.characters / characters_of(read_origin(text))
    return max(1, round(epochs * batches / settings.accumulate))


def make_row(run: Path, name: str, hardware: str) -> Row:
    """The row of a run that has ended, from its log and its stages."""
    lesson = parse_name(name)
    if lesson is None:
        raise typer.BadParameter(f"{name} does not say what is taught, and how long")
    stages = [stage for stage in lineage_of(stage_of(run)) if "objective" in stage]
    characters = [round(stage["epochs"] * _characters_of_epoch(stage)) for stage in stages]
    facts = describe_run(run)
    start = lesson.start if parse_name(lesson.start) else Path(stages[-1]["config"]["encoder"]).name
    return {
        "name": name,
        "encoder": start,
        "taught": [stage["objective"]["name"] for stage in stages],
        "characters": characters[-1],
        "characters_in_all": sum(characters),
        "characters_per_s": round(characters[-1] / facts["seconds"], 1),
        "text": describe_text(stages[-1]["data"][PARTS[0]]["origins"][0]),
        **facts,
        "hardware": hardware,
    }


def _characters_of_epoch(stage: Mapping[str, Any]) -> int:
    origins = stage["data"][PARTS[0]]["origins"]
    if not origins:
        raise typer.BadParameter(f"{stage['name']}: its texts were not made by `spacy hetner text`")
    return sum(map(characters_of, origins))


def describe_text(origin: Row) -> Row:
    """Of which texts a store was made, in short."""
    sources = [
        {name: source[name] for name in ("name", "sha256", "read", "kept")}
        for source in origin["sources"]
    ]
    excluded = [{name: source[name] for name in ("name", "sha256")} for source in origin["exclude"]]
    return {
        "sources": sources,
        "excluded": excluded,
        "dropped": origin["dropped"],
        "settings": origin["settings"],
    }


NameArgument = Annotated[str, typer.Argument(help="Such as me5-aligned-2m: see above")]


@app.command()
def run(
    name: NameArgument,
    encoder: Annotated[Path, typer.Option(exists=True, help="Encoder folder all runs come from")],
    text: Annotated[Path, typer.Option(exists=True, help="Text store: train/ and dev/")],
    work: Annotated[Path, typer.Option(help="Folder of the runs")],
    teacher: Annotated[
        Optional[Path], typer.Option(exists=True, help="Encoder folder to align to")
    ] = None,
    seed: int = 0,
    precision: str = "bf16",
    override: OverrideOption = [],  # noqa: B006
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Teach, write the encoder folder and the row."""
    lesson = parse_name(name)
    if lesson is None:
        raise typer.BadParameter(f"{name} does not say what is taught, and how long")
    if lesson.is_aligned and teacher is None:
        raise typer.BadParameter(f"{name} needs a --teacher")
    if (results / f"{name}.json").exists():
        typer.echo(f"have {name}.json")
        return
    is_second = parse_name(lesson.start) is not None
    student = encoder.parent / lesson.start if is_second else encoder
    if not student.is_dir():
        raise typer.BadParameter(f"{name} starts from {student}: run {lesson.start} first")
    overrides = {
        "paths.train": str(text / PARTS[0]),
        "pretraining.dev": str(text / PARTS[1]),
        "pretraining.seed": seed,
        "pretraining.precision": precision,
        **parse_overrides(override),
    }

    def configure(folder: Path, **length: int) -> Config:
        return write_adaptation(
            folder,
            {**overrides, **{f"pretraining.{unit}": count for unit, count in length.items()}},
            student=student,
            teacher=teacher if lesson.is_aligned else None,
            by_token=True,
            whole_words="jieba",
        )

    planned, folder = (work / kind / name for kind in ("planned", "runs"))
    steps = count_steps(configure(planned, max_epochs=1), planned, lesson, text)
    config = configure(folder, max_epochs=0, max_steps=steps)
    teach(config, folder, encoder.parent / name, cpu)
    record(folder, name, cpu=cpu, results=results)


@app.command()
def record(
    run: Annotated[Path, typer.Argument(exists=True, help="Folder of a run that has ended")],
    name: NameArgument,
    cpu: CpuOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Write the row of a run that has ended on this machine."""
    row = make_row(run, name, describe_hardware(cpu))
    write_json(results / f"{name}.json", row)
    scores = ", ".join(f"{key} {value:.4f}" for key, value in row["best"].items() if key != "step")
    typer.echo(
        f"{name}: {row['characters']:,} characters, {row['characters_per_s']:,.0f} a second, "
        f"{scores}"
    )


if __name__ == "__main__":
    app()
