"""CoFEE whole (EMNLP 2020, Algorithm 1): entities, their labels, finer types, on one encoder.

Each stage, or round of one, is a run of ``pretrain`` in a folder of its own, from the encoder and
the head of the one before. So lineage, checkpoints and launchers are those of any run; what is done
between runs leaves a folder that is there as a whole or not at all. A chain that was killed goes
through its steps again, and finds those done that were.
"""

import hashlib
import json
import shutil
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy
from thinc.api import Config

from ..corpora.changes import compare_stores
from ..corpora.steps import LABELS as LABEL_COUNTS
from ..engine.engine import Engine
from ..engine.folder import locked
from ..engine.make import make_engine
from ..engine.tables import describe_content, parquet_files
from ..errors import Errors, Warnings
from ..files import clear_partial, remove_folder, replacing, replacing_folder, write_json
from ..labels.queries import load_queries
from ..types import PathLike
from .clusters import (
    cluster,
    cluster_means,
    cluster_weights,
    match_clusters,
    read_vectors,
    write_features,
)
from .coarse_report import Picking, Round, describe_rounds, write_report
from .coarse_settings import LABELS, SPANS, STAGES, TYPES, ChainSettings, read_chain, run_config
from .job import INSTANCES
from .objectives.extraction import QUERY
from .objectives.fine_typing import MATCH, RESET
from .objectives.reading import label_counts
from .relabel import Asking, relabel, write_clusters, write_vectors
from .rounds import Best, best_round
from .settings import SECTION as COMMON
from .settings import as_list, resolve_settings
from .stage import check_replaceable, describe_encoder, hash_weights, read_stage
from .train import CHECKPOINTS, ENCODER, Outcome, pretrain

CHAIN, RESULT, REPORT, PICKED = "chain.json", "result.json", "report.md", "labels"
"""In the folder of a chain: what it was set up with, how it ended, for people, the best labels."""
ROUND = "round.json"
"""In the folder of a run: what it is made of, and once it is through, its steps and scores."""
_LENGTH = ("max_epochs", "patience", "schedule")
"""What may change about a run that is through, and not about one that is cut off."""
PARTS = "parts"
"""In the folder of a chain: of vectors that are being computed."""
RECORDS, WEIGHTS, MEANS, CLUSTERS = "records.parquet", "weights.json", "means.npy", "clusters.json"
"""In a folder of clusters."""

Train = Callable[[Config, Path], bool]
"""Does a run in a folder, or goes on with it, and says whether it is through."""


class Clusters(NamedTuple):
    """Where clusters are, and how many."""

    folder: Path
    number: int


class _StoppedError(Exception):
    """A run was told to stop."""


def coarse_to_fine(
    config: Mapping[str, Any],
    output: PathLike,
    *,
    train: Optional[Train] = None,
    engine: Optional[Engine] = None,
    resume: bool = False,
    cpu: bool = False,
    interactive: bool = False,
) -> Outcome:
    """Take an encoder through the stages of ``[coarse_to_fine]``, by runs as of ``[pretraining]``.

    output (PathLike): Folder of the chain; in the end ``encoder/``, ``labels/`` (those that the
        best round was trained on), ``report.md`` and ``result.json``.
    train (Optional[Train]): What does a run; None: ``pretrain``, in this process.
    engine (Optional[Engine]): What picks labels and computes vectors; None: this process.
    resume (bool): Go on with the chain in the folder, if there is one.
    cpu (bool): Leave a GPU alone; interactive (bool): show progress bars.
    RETURNS (Outcome): Steps are those of all runs. If a run was told to stop, so is the chain.
    RAISES (ValueError): HE128 where another run is at work in the folder, HE195 where it holds a
        chain and ``resume`` is off, HE193 where that has other settings or data; as ``read_chain``,
        ``pretrain`` and the engine do.
    """
    settings, common = read_chain(config)
    output = Path(output).resolve()
    if train is None:
        train = partial(_train_here, cpu=cpu, interactive=interactive)
    with locked(output):
        _set_up(settings, common, output, resume)
        chain = _Chain(settings, common, output, train, engine or make_engine(), cpu)
        try:
            return chain.run()
        except _StoppedError:
            return chain.outcome(finished=False)


def _train_here(config: Config, folder: Path, *, cpu: bool, interactive: bool) -> bool:
    return pretrain(config, folder, resume=True, cpu=cpu, interactive=interactive).finished


def _set_up(settings: ChainSettings, common: Dict[str, Any], output: Path, resume: bool) -> None:
    """Note what the chain is, or see that it is the one that was begun."""
    of_types: Dict[str, Any] = {"clusters": settings.clusters}
    for name in STAGES:  # that the last stage makes no sense is told at once
        if settings.stage(name).enabled:
            config = run_config(
                *(settings, common, name, 1),
                encoder=settings.encoder,
                train=as_list(settings.entities if name == SPANS else settings.distant) or ["none"],
                head=None,
                **(of_types if name == TYPES else {}),
            )
            resolve_settings(config)
    path = output / CHAIN
    if path.exists() and not resume:
        raise ValueError(Errors.HE195.format(folder=output))
    check_replaceable(output / ENCODER)
    clear_partial(output)
    stores = {name: as_list(getattr(settings, name)) for name in ("entities", "distant", "dev")}
    aside = ("logger", "log_frequency", "checkpoint_frequency", "keep", "engine", "workers")
    known = {
        **settings.deciding(),
        **{f"pretraining.{key}": value for key, value in common.items() if key not in aside},
        "encoder": describe_encoder(settings.encoder)["weights"],
        **{name: describe_content(parquet_files(paths)) for name, paths in stores.items() if paths},
    }
    known = json.loads(json.dumps(known))
    before = json.loads(path.read_text(encoding="utf8")) if path.exists() else known
    names = sorted({*before, *known})
    changed = [name for name in names if before.get(name) != known.get(name)]
    if changed:
        raise ValueError(Errors.HE193.format(folder=output, changed=", ".join(changed)))
    write_json(path, known)
    if not as_list(settings.dev):
        warnings.warn(Warnings.HW292, stacklevel=3)


class _Chain:
    """The stages of a chain, and what is known of them so far."""

    def __init__(
        self,
        settings: ChainSettings,
        common: Dict[str, Any],
        output: Path,
        train: Train,
        engine: Engine,
        cpu: bool,
    ) -> None:
        self.settings = settings
        self.common = common
        self.output = output
        self.train = train
        self.engine = engine
        self.asking = Asking(
            device="cpu" if cpu else "auto",
            precision=common.get("precision", "fp32"),
            max_batch_pieces=settings.max_batch_pieces,
        )
        self.labels = as_list(settings.distant)
        self.model: Optional[Path] = None  # the encoder of the best run so far, with its head
        self.scores: Mapping[str, float] = {}
        self.rounds: List[Round] = []
        self.kept: List[str] = []
        self.pickings: List[Picking] = []
        self.notes: List[str] = []

    def run(self) -> Outcome:
        """Take the stages that are not left out."""
        if self.settings.span_identification.enabled:
            self._keep(self._teach(SPANS, 1, as_list(self.settings.entities), None))
        if self.settings.gazetteer_extraction.enabled:
            self._learn_labels()
        if self.settings.fine_typing.enabled:
            self._learn_types()
        self._finish()
        return self.outcome(finished=True)

    def outcome(self, *, finished: bool) -> Outcome:
        """How it ended, or where it is."""
        return Outcome(
            finished=finished,
            steps=sum(done.steps for done in self.rounds),
            best=None,
            scores=dict(self.scores),
            encoder=self.output / ENCODER,
            is_main=True,
        )

    def _learn_labels(self) -> None:
        """Train on labels, and pick them anew, in turns."""
        first, stage = self.model, self.settings.gazetteer_extraction

        def teach(number: int, labels: List[str]) -> Optional[float]:
            model = self._encoder(LABELS, number - 1) if number > 1 else first
            return self._score(self._teach(LABELS, number, labels, model))

        best = best_round(
            teach, self._pick, self.labels, rounds=stage.epochs, patience=stage.patience
        )
        self.labels = best.labels
        self._keep_best(LABELS, best)

    def _pick(self, number: int, labels: List[str]) -> Optional[List[str]]:
        """Label the corpus with the model of a round; None if it picks nothing at all."""
        picked = self.output / f"{PICKED}-{number + 1}"
        delta = self.settings.delta_of(number)
        counts = relabel(
            as_list(self.settings.distant),
            picked,
            self._encoder(LABELS, number),
            self.engine,
            delta=delta,
            asking=self.asking,
        )
        path = self.output / f"changes-{number + 1}.json"
        if not path.exists():
            write_json(path, compare_stores(labels, [picked]))
        changes = json.loads(path.read_text(encoding="utf8"))
        self.pickings.append(Picking(number, delta, changes))
        self._report()
        if not sum(counts.get(LABEL_COUNTS, {}).values()):
            warnings.warn(Warnings.HW293.format(round=number, delta=delta), stacklevel=2)
            self.notes.append(f"After round {number} no label was picked, so the stage ended.")
            return None
        return [str(picked)]

    def _learn_types(self) -> None:
        """Train on the best labels and the clusters of their spans, which each round finds anew."""
        first, stage = self.model, self.settings.fine_typing
        assert first is not None
        found: Dict[int, Clusters] = {}

        def teach(number: int, labels: List[str]) -> Optional[float]:
            model = self._encoder(TYPES, number - 1) if number > 1 else first
            found[number] = now = self._cluster(number, labels, model, found.get(number - 1))
            goes_on = self.settings.matches and now.number == found.get(number - 1, now).number
            done = self._teach(
                *(TYPES, number, [str(now.folder / RECORDS)], model),
                clusters=now.number,
                cluster_weights=str(now.folder / WEIGHTS),
                cluster_head=MATCH if goes_on else RESET,
                gamma=self.settings.gamma,
            )
            return self._score(done)

        best = best_round(
            teach,
            lambda number, labels: labels,
            self.labels,
            rounds=stage.epochs,
            patience=stage.patience,
        )
        self._keep_best(TYPES, best)

    def _cluster(
        self, number: int, labels: List[str], model: Path, earlier: Optional[Clusters]
    ) -> Clusters:
        """Find the clusters of all labelled spans, as a model sees them."""
        folder = self.output / f"clusters-{number}"
        origin = self._origin(model, labels)
        note = _read(folder / CLUSTERS)
        if note.get("origin") == origin:
            return Clusters(folder, note["clusters"])
        settings = self.settings
        parts = self.output / PARTS
        with replacing_folder(folder) as partial_folder:
            width = write_vectors(
                labels,
                path := partial_folder / "vectors",
                model,
                self.engine,
                parts=parts / _digest(origin),
                asking=self._asking_for(model, labels),
            )
            shutil.rmtree(parts)
            vectors = features = read_vectors(path, width)
            if settings.features != "raw":
                features_path = partial_folder / "features"
                features = write_features(
                    vectors, features_path, settings.features, dims=settings.dims
                )
            seed = self.common.get("seed", 0) + number - 1
            found = cluster(features, settings.clusters, seed=seed)
            count = len(found.centres)
            weights = cluster_weights(settings.weights, features, found.assignments, found.centres)
            means = cluster_means(vectors, found.assignments, count)
            numbers = numpy.arange(count)
            if settings.matches and earlier is not None and earlier.number == count:
                numbers = match_clusters(means, numpy.load(earlier.folder / MEANS))
            order = numpy.argsort(numbers)
            write_clusters(labels, partial_folder / RECORDS, numbers[found.assignments])
            write_json(
                partial_folder / CLUSTERS,
                {
                    "origin": origin,
                    "clusters": count,
                    "counts": found.counts[order].tolist(),
                    "inertias": found.inertias,
                },
            )
            (partial_folder / WEIGHTS).write_text(json.dumps(weights[order].tolist()), "utf8")
            numpy.save(partial_folder / MEANS, means[order])
            del vectors, features
            for name in ("vectors", "features"):
                (partial_folder / name).unlink(missing_ok=True)
        return Clusters(folder, count)

    def _asking_for(self, model: Path, labels: Sequence[str]) -> Asking:
        """A model that knows all labels as one has to be told their queries."""
        if self.settings.backbone != QUERY or self.settings.gazetteer_extraction.enabled:
            return self.asking
        queries = load_queries(self.settings.queries, label_counts(labels))
        return replace(self.asking, queries=tuple(queries.items()))

    def _teach(
        self,
        name: str,
        number: int,
        train: List[str],
        model: Optional[Path],
        **objective: Any,
    ) -> Round:
        """Do a run, if it is not done.

        model: The encoder to go on from, with its head; None: the first one, which has none.
        """
        folder = self._folder(name, number)
        encoder = Path(self.settings.encoder) if model is None else model
        origin = self._origin(encoder, train)
        note = _read(folder / ROUND)
        if note.get("origin") != origin or "steps" not in note:
            config = run_config(
                *(self.settings, self.common, name, number),
                encoder=encoder,
                train=train,
                head=model,
                **objective,
            )
            length = {setting: config[COMMON][setting] for setting in _LENGTH}
            begun = json.loads(json.dumps({"origin": origin, "length": length}))
            if note and note != begun:  # of another chain of events
                remove_folder(folder)
                if "steps" not in note:
                    self.notes.append(
                        f"{folder.name} was begun anew: it had not ended, and was to "
                        "be of another length, or from another encoder or labels."
                    )
            folder.mkdir(exist_ok=True)
            write_json(folder / ROUND, begun)
            config.to_disk(folder / "config.cfg")
            if not self.train(config, folder):
                raise _StoppedError
            stage = read_stage(folder / ENCODER)
            assert stage is not None
            scores = dict(stage["scores"].get("best", {}))
            scores.pop("step", None)
            note = {**begun, "steps": stage["steps"], "scores": scores}
            write_json(folder / ROUND, note)
        for part in (CHECKPOINTS, INSTANCES):
            shutil.rmtree(folder / part, ignore_errors=True)
        self.rounds.append(Round(name, number, folder.name, note["steps"], note["scores"]))
        self._report()
        return self.rounds[-1]

    def _finish(self) -> None:
        """Put the result where it is looked for."""
        assert self.model is not None
        with replacing_folder(self.output / ENCODER) as new:
            shutil.copytree(self.model, new, dirs_exist_ok=True)
        if self.labels:
            with replacing_folder(self.output / PICKED) as new:
                for number, path in enumerate(parquet_files(self.labels)):
                    shutil.copyfile(path, new / f"part-{number:05d}.parquet")
        write_json(
            self.output / RESULT,
            {
                "encoder": ENCODER,
                "labels": PICKED if self.labels else None,
                "scores": dict(self.scores),
                "rounds": describe_rounds(self.rounds, self.kept),
            },
        )
        self._report()

    def _keep_best(self, name: str, best: Best[List[str]]) -> None:
        self._keep(next(r for r in self.rounds if (r.stage, r.number) == (name, best.number)))

    def _keep(self, done: Round) -> None:
        self.kept.append(done.run)
        self.model = self.output / done.run / ENCODER
        self.scores = done.scores
        self._report()

    def _report(self) -> None:
        told = write_report(self.rounds, self.kept, self.pickings, self.notes)
        with replacing(self.output / REPORT) as partial_file:
            partial_file.write_text(told, encoding="utf8", newline="\n")

    def _score(self, done: Round) -> Optional[float]:
        return done.scores.get("f")

    def _folder(self, name: str, number: int) -> Path:
        return self.output / (name if name == SPANS else f"{name}-{number}")

    def _encoder(self, name: str, number: int) -> Path:
        return self._folder(name, number) / ENCODER

    def _origin(self, model: Path, stores: Sequence[str]) -> Dict[str, Any]:
        """What a step depends on, besides the settings of the chain: JSON."""
        return {"encoder": hash_weights(model), "records": describe_content(parquet_files(stores))}


def _digest(origin: Mapping[str, Any]) -> str:
    """A name for what is made of something."""
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode("ascii")).hexdigest()[:16]


def _read(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
