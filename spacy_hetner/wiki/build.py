"""From dumps to corpora: the steps of the job, each a folder of Parquet files that the next reads.

======================  ==========================================================================
folder                  rows
======================  ==========================================================================
``pages``               pages of the dumps, redirects among them
``anchors``             sentences with their links
``typed``               NER-BERT: each link labelled with the type of its page
``kept``                ... without rare categories, and without sentences that type nothing
``train``, ``dev``      ... thinned out, and split
``balanced``            ... the training part, rare categories more often
``entities``            CoFEE: sentences of many links, each an ``Entity``
``gazetteer``           ... and with the labels that a gazetteer gives them
======================  ==========================================================================

A step that is done is not done again, and one that was cut off goes on with its next shard.
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Sequence

from ..corpora.balance import make_balance
from ..corpora.steps import LABELS, KeepPart, RecordTask, Relabel, Step
from ..engine.engine import Engine
from ..engine.tables import identify, parquet_shards
from ..engine.task import Counts, Task
from ..errors import Errors
from ..files import write_json
from ..gazetteers.gazetteer import Gazetteer
from ..labels.type_map import UNTYPED, load_type_map
from ..losses import Losses
from ..sources import find_files
from ..types import PathLike
from ..validation import check_choice, check_count, check_range
from .anchors import AnchorsTask
from .dump import SUFFIXES, PagesTask, dump_shards, read_header
from .filters import RARE_ACTIONS, DropRare, DropUntyped, ThinCommon, common_labels, rare_labels
from .instance_types import read_instance_types
from .ontology import read_ontology
from .redirects import Redirects, build_redirects, read_redirects
from .type_index import build_type_index
from .typing import CONFLICTS, MATCHES, AsEntity, ByGazetteer, ByIndex, TypeAnchors, Typer


@dataclass(frozen=True)
class TypedCorpus:
    """NER-BERT's corpus (section 2.2): types of an ontology, filters, balance.

    types (Sequence[str]): Files of instance types; ontology (str): the file of the class tree.
    min_count (int): Categories of fewer mentions are rare; rare (str): what becomes of them.
    top (int): How many categories are common, the untyped one among them.
    dev_share (float): Share of sentences for validation.
    alpha (float): Exponent of the balance; draws (int): its sentences, 0 for as many as there are.
    maps (Sequence[str]): Type maps, names or files: each writes train, dev and balanced once more,
        as ``train-4types`` for the map ``4types``.
    untyped (str): Label of links whose page has no type.
    strict (bool): Stop at a faulty line among the types.

    Raises ValueError for settings out of range (HE002, HE004, HE078), types without an ontology or
    the other way round (HE168), and maps of one name (HE169).
    """

    types: Sequence[str]
    ontology: str
    min_count: int = 10
    rare: str = "entity"
    top: int = 20
    dev_share: float = 0.1
    alpha: float = 0.7
    draws: int = 0
    maps: Sequence[str] = ()
    untyped: str = UNTYPED
    strict: bool = False

    def __post_init__(self) -> None:
        check_count("min_count", self.min_count, 0)
        check_choice("rare", self.rare, RARE_ACTIONS)
        check_count("top", self.top, 0)
        check_range("dev_share", self.dev_share, 0, 1)
        check_range("alpha", self.alpha, 0, 1)
        check_count("draws", self.draws, 0)
        if not self.types or not self.ontology:
            raise ValueError(Errors.HE168)
        stems = [Path(name).stem for name in self.maps]
        if len(set(stems)) < len(stems):
            raise ValueError(Errors.HE169.format(maps=", ".join(self.maps)))


@dataclass(frozen=True)
class AnchorCorpus:
    """CoFEE's corpora (section 4.1): links as entities, and as entries of a gazetteer.

    gazetteer (str): Folder of a ``Gazetteer``; empty: entities only.
    min_anchors (int), max_tokens (int): Which sentences are taken; a max_tokens of 0 is no limit.
    match (str), conflict (str): See ``ByGazetteer``.
    """

    gazetteer: str = ""
    min_anchors: int = 4
    max_tokens: int = 250
    match: str = "both"
    conflict: str = "first"

    def __post_init__(self) -> None:
        check_count("min_anchors", self.min_anchors, 0)
        check_count("max_tokens", self.max_tokens, 0)
        check_choice("match", self.match, MATCHES)
        check_choice("conflict", self.conflict, CONFLICTS)


@dataclass
class WikiJob:
    """A job in a folder: what its steps counted, by the name of their folder.

    out (Path): The folder; engine (Engine): what runs the steps; resume (bool): whether steps that
    are done count.
    """

    out: Path
    engine: Engine
    resume: bool = True
    counts: Dict[str, Counts] = field(default_factory=dict)

    def map(self, name: str, task: Task, source: str, **key: Any) -> Counts:
        """Run a task over the rows of an earlier step."""
        key["rows of"] = {source: self.counts[source]}
        shards = parquet_shards(self.out / source)
        return self._note(name, self._run(name, task, shards, key))

    def read_dumps(self, dumps: Sequence[Path], identities: Any, task: PagesTask) -> Counts:
        """Run the first step, over the shards of dumps."""
        key = {"settings": asdict(task), "dumps": identities}
        return self._note("pages", self._run("pages", task, dump_shards(dumps), key))

    def once(self, name: str, key: Mapping[str, Any], build: Callable[[], Counts]) -> Counts:
        """Run a step that is no task, unless it was run with the same key."""
        note = self.out / f"{name}.json"
        key = json.loads(json.dumps(key))
        if self.resume and note.exists():
            found = json.loads(note.read_text(encoding="utf8"))
            if found["key"] == key:
                return self._note(name, found["counts"])
        note.unlink(missing_ok=True)  # it says that the files are there: not while they are written
        counts = build()
        write_json(note, {"key": key, "counts": counts})
        return self._note(name, counts)

    def _run(self, name: str, task: Task, shards: Any, key: Mapping[str, Any]) -> Counts:
        return self.engine.map(
            task, shards, self.out / name, key=key, resume=self.resume, description=name
        )

    def _note(self, name: str, counts: Counts) -> Counts:
        self.counts[name] = counts
        return counts


def build_wiki(
    dumps: Sequence[PathLike],
    out: PathLike,
    engine: Engine,
    *,
    lang: str,
    typed: Optional[TypedCorpus] = None,
    anchored: Optional[AnchorCorpus] = None,
    seed: int = 0,
    strict: bool = False,
    resume: bool = True,
) -> Dict[str, Counts]:
    """Build corpora from MediaWiki dumps.

    dumps (Sequence[PathLike]): Exports, packed or not; see ``dump_shards``.
    out (PathLike): The folder of all steps.
    engine (Engine): What runs them; the rows do not depend on it.
    lang (str): Language of the wiki: its tokenizer, abbreviations and namespaces.
    typed (Optional[TypedCorpus]), anchored (Optional[AnchorCorpus]): What is made of the anchors.
    seed (int): Of all that is drawn.
    strict (bool): Stop at the first page that cannot be read. Else it is counted.
    resume (bool): Go on where a job was cut off.
    RETURNS (Dict[str, Counts]): What each step counted.

    Raises ValueError as the dump's, the ontology's and the gazetteer's readers do, and the engine.
    """
    files = [file.absolute() for file in find_files(dumps, SUFFIXES)]
    _check_inputs(typed, anchored)
    job = WikiJob(Path(out).resolve(), engine, resume)
    dumped = identify(files)
    job.read_dumps(files, dumped, PagesTask(strict=strict))
    header = read_header(files[0])
    anchors = AnchorsTask(lang, namespaces=tuple(header.namespaces.own))
    job.map("anchors", anchors, "pages", settings=asdict(anchors), dumps=dumped)
    redirects = job.out / "redirects.arrow"
    key = {"pages": job.counts["pages"], "dumps": dumped}
    job.once("redirects", key, lambda: _redirects(job, redirects))
    if typed is not None:
        _type(job, typed, redirects, seed)
    if anchored is not None:
        _take_anchors(job, anchored, redirects)
    return job.counts


def _check_inputs(typed: Optional[TypedCorpus], anchored: Optional[AnchorCorpus]) -> None:
    """Raise before the work, not after hours, for files that are not there or cannot be read."""
    if typed is not None:
        find_files(typed.types)
        read_ontology(typed.ontology)
        for name in typed.maps:
            load_type_map(name)
    if anchored is not None and anchored.gazetteer:
        Gazetteer.from_disk(anchored.gazetteer)


def _redirects(job: WikiJob, path: Path) -> Counts:
    redirects, dropped = build_redirects(read_redirects(job.out / "pages"))
    redirects.to_disk(path)
    return {"redirects": Counter(total=len(redirects)), "dropped": dropped}


def _type(job: WikiJob, settings: TypedCorpus, redirects: Path, seed: int) -> None:
    """Types, filters, split, balance, in the order of the paper."""
    index = job.out / "types"
    key = {
        "types": identify(settings.types),
        "ontology": identify(settings.ontology),
        "redirects": job.counts["redirects"],
        "strict": settings.strict,
    }
    job.once("types", key, lambda: _index(settings, redirects, index))
    untyped = settings.untyped
    by_index = TypeAnchors(ByIndex(str(index), untyped))
    counts = job.map("typed", by_index, "anchors", untyped=untyped, types=key)
    rare = rare_labels(counts.get(LABELS, {}), min_count=settings.min_count, untyped=untyped)
    _filter(job, "kept", "typed", DropRare(rare, settings.rare, untyped), DropUntyped(untyped))
    common = common_labels(job.counts["kept"].get(LABELS, {}), top=settings.top)
    thin = ThinCommon(common, seed, untyped)
    for part in ("train", "dev"):
        _filter(job, part, "kept", thin, KeepPart(part, seed, settings.dev_share))
    parts = ["train", "dev"]
    if job.counts["train"].get(LABELS):
        draws = settings.draws or None
        balance = make_balance(job.counts["train"], seed=seed, alpha=settings.alpha, draws=draws)
        _filter(job, "balanced", "train", balance)
        parts.append("balanced")
    for name in settings.maps:
        relabel = Relabel({**load_type_map(name), untyped: untyped})
        for part in parts:
            _filter(job, f"{part}-{Path(name).stem}", part, relabel)


def _filter(job: WikiJob, name: str, source: str, *steps: Step) -> None:
    settings = [{type(step).__name__: asdict(step)} for step in steps]  # type: ignore[call-overload]
    job.map(name, RecordTask(steps), source, steps=settings)


def _index(settings: TypedCorpus, redirects: Path, folder: Path) -> Counts:
    ontology = read_ontology(settings.ontology)
    losses = Losses(settings.strict)
    typed = read_instance_types(settings.types, ontology, losses)
    counts = build_type_index(
        typed, ontology.by_depth, folder, redirects=Redirects.from_disk(redirects)
    )
    return {"index": counts, "dropped": losses.counts, "ontology": ontology.dropped}


def _take_anchors(job: WikiJob, settings: AnchorCorpus, redirects: Path) -> None:
    def task(typer: Typer) -> TypeAnchors:
        return TypeAnchors(typer, settings.min_anchors, settings.max_tokens)

    limits = {"min_anchors": settings.min_anchors, "max_tokens": settings.max_tokens}
    job.map("entities", task(AsEntity()), "anchors", **limits)
    if settings.gazetteer:
        folder = Path(settings.gazetteer).resolve()
        typer = ByGazetteer(folder, settings.match, settings.conflict, redirects)
        key = {**asdict(settings), "gazetteer": identify(folder)}
        job.map("gazetteer", task(typer), "anchors", **key)
