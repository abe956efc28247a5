"""What a run trains on: records as instances, cut to integers once, and what is known of them."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ..encoders.folder import check_encoder_folder
from ..engine.make import make_engine
from ..engine.tables import identify, parquet_files, parquet_shards
from ..errors import Errors
from ..files import write_json
from .batches import Instances
from .settings import Settings

JOB = "run.json"
INSTANCES = "instances"
_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt")


class Job(NamedTuple):
    """What a run trains on.

    facts: what the objective found in the data; data: for each part the files it comes from and
        what was counted.
    """

    facts: Dict[str, Any]
    data: Dict[str, Any]
    train: Instances
    dev: Optional[Instances]


def prepare(settings: Settings, config: Mapping[str, Any], output: Path) -> None:
    """Make the instances of a run in its folder, or as many as are not made yet.

    RAISES (ValueError): HE193 where the folder is that of a run with other settings, and as the
        engine and the objective do, such as for stores that are not there (HE075) or have nothing
        to teach.
    """
    check_encoder_folder(settings.encoder)
    stores = {"train": settings.train_stores, "dev": settings.dev_stores}
    known: Dict[str, Any] = {
        "config": _comparable(config),
        "encoder": identify(settings.encoder),
        "data": {part: identify(parquet_files(paths)) for part, paths in stores.items() if paths},
    }
    path = output / JOB
    if path.exists():
        run = json.loads(path.read_text(encoding="utf8"))
        if changed := _differences(run, known):
            raise ValueError(Errors.HE193.format(folder=output, changed=", ".join(changed)))
    else:
        run = {**known, "facts": settings.objective.inspect(settings.train_stores)}
        write_json(path, run)
    task = settings.objective.task(settings.encoder, run["facts"])
    engine = make_engine(settings.engine, settings.workers)
    key = {"encoder": _tokenizer_of(settings.encoder), "facts": run["facts"]}
    for part, files in known["data"].items():
        counts = engine.map(
            task,
            parquet_shards(stores[part]),
            output / INSTANCES / part,
            key={**key, "data": files},
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
        }
        for part, files in run["data"].items()
    }
    return Job(run["facts"], data, parts["train"], parts.get("dev"))


def _comparable(config: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings that decide about the result; how it is logged, and how records become
    instances, does not."""
    files = ("encoder", "train", "dev")  # compared by content
    aside = (*files, "logger", "engine", "workers", "log_frequency", "keep")
    return {name: value for name, value in config.items() if name not in aside}


def _differences(run: Mapping[str, Any], known: Mapping[str, Any]) -> List[str]:
    """The names of what is not as it was."""
    changed = ["encoder"] if run["encoder"] != known["encoder"] else []
    for section in ("config", "data"):
        before, now = run[section], known[section]
        names = sorted({*before, *now})
        changed += [name for name in names if before.get(name) != now.get(name)]
    return changed


def _tokenizer_of(encoder: str) -> List[Dict[str, Any]]:
    """What of an encoder decides about the instances."""
    files = [Path(encoder, name) for name in _TOKENIZER_FILES]
    return identify([file for file in files if file.exists()])
