"""What a run trains on: records as instances, cut to integers once, and what is known of them."""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from thinc.api import Config

from ..corpora.text_store import ORIGIN
from ..encoders.build import CARD as BUILT
from ..encoders.folder import check_encoder_folder
from ..encoders.heads import HEAD
from ..engine.make import make_engine
from ..engine.tables import describe_content, parquet_files, parquet_shards
from ..errors import Errors
from ..files import write_json
from .batches import Instances
from .settings import Settings, describe_settings
from .stage import STAGE, describe_encoder

JOB = "run.json"
INSTANCES = "instances"


class Job(NamedTuple):
    """What a run trains on.

    facts: what the objective found in the data; parent: what is known of the encoder; data: for
        each part the files it comes from, what was counted, and what texts were collected for it.
    """

    facts: Dict[str, Any]
    parent: Dict[str, Any]
    data: Dict[str, Any]
    train: Instances
    dev: Optional[Instances]


def prepare(settings: Settings, config: Config, output: Path, *, anew: bool) -> None:
    """Make the instances of a run in its folder, or as many as are not made yet.

    anew (bool): Nothing was learned in this folder yet, so settings and data may differ from those
        that it was set up with.
    RAISES (ValueError): HE193 where else they do, and as ``describe_encoder``, the engine and the
        objective do, such as for stores that are not there (HE075) or have nothing to teach.
    """
    check_encoder_folder(settings.encoder)
    stores = {"train": settings.train_stores, "dev": settings.dev_stores}
    known: Dict[str, Any] = {
        "config": _deciding(describe_settings(settings, config)),
        "tokenizer": describe_content(
            sorted(path for path in Path(settings.encoder).iterdir() if _says_more(path))
        ),
        "data": {
            part: describe_content(parquet_files(paths)) for part, paths in stores.items() if paths
        },
    }
    facts = settings.objective.inspect(settings.train_stores)
    known |= {"parent": describe_encoder(settings.encoder), "facts": facts}
    known = json.loads(json.dumps(known))  # as a run reads it that goes on: tuples are lists
    path = output / JOB
    run = json.loads(path.read_text(encoding="utf8")) if path.exists() else None
    changed = [] if run is None else _differences(run, known)
    if changed and not anew:
        raise ValueError(Errors.HE193.format(folder=output, changed=", ".join(changed)))
    if changed or run is None:
        shutil.rmtree(output / INSTANCES, ignore_errors=True)
        write_json(path, known)
    task = settings.objective.task(settings.encoder, facts)
    engine = make_engine(settings.engine, settings.workers)
    for part, files in known["data"].items():
        counts = engine.map(
            task,
            parquet_shards(stores[part]),
            output / INSTANCES / part,
            key={"tokenizer": known["tokenizer"], "facts": facts, "data": files},
        )
        write_json(output / INSTANCES / f"{part}.json", counts)


def open_job(settings: Settings, output: Path) -> Job:
    """The job that ``prepare`` made.

    RAISES (ValueError): HE194 if there is nothing to train on, or to evaluate on.
    """
    run = json.loads((output / JOB).read_text(encoding="utf8"))
    parts = {part: Instances(output / INSTANCES / part) for part in run["data"]}
    for part, instances in parts.items():
        if not len(instances):
            stores = settings.train_stores if part == "train" else settings.dev_stores
            raise ValueError(Errors.HE194.format(part=part, stores=", ".join(stores)))
    data = {
        part: {
            "files": files,
            "counts": json.loads((output / INSTANCES / f"{part}.json").read_text("utf8")),
            "origins": _origins(settings.train_stores if part == "train" else settings.dev_stores),
        }
        for part, files in run["data"].items()
    }
    return Job(run["facts"], run["parent"], data, parts["train"], parts.get("dev"))


def _origins(stores: Sequence[str]) -> List[Dict[str, Any]]:
    """What ``collect_texts`` says of those stores that it made."""
    notes = [Path(store, ORIGIN) for store in stores]
    return [json.loads(note.read_text(encoding="utf8")) for note in notes if note.is_file()]


def _deciding(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings that decide about the result; what is told and kept of it does not."""
    files = ("encoder", "train", "dev")  # compared by content
    aside = (*files, "log_frequency", "checkpoint_frequency", "keep")
    return {name: value for name, value in settings.items() if name not in aside}


def _says_more(path: Path) -> bool:
    """Whether a file of an encoder folder says what the weights are for: not how they were made."""
    return path.suffix in (".json", ".txt") and path.name not in (STAGE, HEAD, BUILT)


def _differences(run: Mapping[str, Any], known: Mapping[str, Any]) -> List[str]:
    """The names of what is not as it was."""
    encoders = [(side["parent"]["weights"], side["tokenizer"]) for side in (run, known)]
    changed = ["encoder"] if encoders[0] != encoders[1] else []
    for section in ("config", "data", "facts"):
        before, now = run[section], known[section]
        names = sorted({*before, *now})
        changed += [name for name in names if before.get(name) != now.get(name)]
    return changed
