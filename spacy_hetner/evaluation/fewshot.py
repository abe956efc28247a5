"""Few-shot runs: one config trained on samples of several sizes, and each scored on one test set.

The samples of a seed are nested, see ``corpora.sample``, so that along a curve of one seed there is
more data and never other data. Every run is spaCy's own training, as the config says, with the
seed of its sample.
"""

import hashlib
import json
import os
import platform
import time
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import DIR_MODEL_BEST, train
from spacy.util import registry
from thinc.api import Config

from .. import about
from ..corpora.sample import sample_size
from ..corpora.stores import store_of
from ..encoders.folder import check_encoder_folder
from ..errors import Errors
from ..files import hash_file, write_json
from ..sources import find_files
from ..types import PathLike
from ..validation import check_count
from .evaluate import evaluate_model
from .report import Report

ROWS, LOGS = "rows", "logs"
PERCENTS = (1, 2, 3, 5, 10, 20, 50, 100)
READER = "spacy_hetner.RecordCorpus.v1"

Row = Dict[str, Any]
"""One run: size, seed, start, scores on the test set, and what it ran on. JSON values."""


class Start(NamedTuple):
    """What training starts from: its name, and its folder by the name that [paths] has for it."""

    name: str
    paths: Dict[str, str]


@dataclass(frozen=True)
class FewShot:
    """What all runs share.

    config (Config): Of ``spacy train``, not interpolated. Its training corpus is read by
        ``spacy_hetner.RecordCorpus.v1``, and how long it trains holds for all sizes.
    train, dev, test (PathLike): Stores of records to draw from, to choose the best step by, and to
        score on. Each is a file, but ``train`` and ``dev`` may be folders too.
    encoders, sources (Mapping[str, PathLike]): What to start from, to compare: encoder folders for
        the config's ``paths.encoder``, or trained pipelines for its ``paths.source``, under names
        of your choice, each once in all. Without any, what the config says.
    spans_key (str): The group of entities to score. Where the pipeline writes no groups,
        ``doc.ents`` is scored.
    gpu_id (int): -1 for the CPU.
    code (Optional[PathLike]): The Python file with registered functions of the config, which you
        have imported.
    """

    config: Config
    train: PathLike
    dev: PathLike
    test: PathLike
    encoders: Mapping[str, PathLike] = field(default_factory=dict)
    sources: Mapping[str, PathLike] = field(default_factory=dict)
    spans_key: str = "entities"
    gpu_id: int = -1
    code: Optional[PathLike] = None

    def run(
        self,
        output: PathLike,
        *,
        percents: Sequence[float] = (),
        counts: Sequence[int] = (),
        seeds: Sequence[int] = (0,),
        tell: Callable[[str], None] = print,
    ) -> List[Row]:
        """Train and score each size with each seed from each start, the smallest sizes first.

        A row that ``output`` has already is not computed again: it is that of the same config, the
        same content of ``code`` and of all files that the config names, the same size and seed.

        percents (Sequence[float]): Sizes as shares of the training sentences.
        counts (Sequence[int]): Sizes as numbers of sentences.
        tell (Callable[[str], None]): Is told each row in a line.
        RETURNS (List[Row]): All rows, in that order.

        Raises ValueError before the first run for sizes and seeds that are none (HE078, HE215,
        HE217), files that are missing (HE075, HE077, and HE020 to HE023 and HE093 for a start),
        starts that share a name (HE222), a config that reads its corpus otherwise (HE218) or has no
        place for a start (HE219), a sample without a labelled span (HE146), and a GPU that cannot
        be used (HE220); after one where nothing was evaluated once it had learned (HE214), for
        scores that there are not (HE092, HE223), and for a row that cannot be read (HE224).
        """
        store_of(self.test)
        find_files([self.train, self.dev, self.test])
        starts = self.starts()
        total = self.count_sentences()
        sizes = {sample_size(total, share=percent / 100) for percent in percents}
        sizes |= {sample_size(total, count=check_count("count", n, 1)) for n in counts}
        for seed in seeds:
            check_count("seed", seed, 0)
            # Samples are nested: what the smallest one has, all have.
            for n in sorted(sizes)[:1]:
                self._require_labels(n, seed)
        if self.gpu_id >= 0:
            _require_gpu(self.gpu_id)
        content_of = lru_cache(maxsize=None)(partial(_content, output=Path(output)))
        rows = []
        for n, seed, start in product(sorted(sizes), dict.fromkeys(seeds), starts):
            config = self.run_config(start, n, seed)
            name = f"n{n}-s{seed}-{self.key(config, content_of)}"
            path = Path(output) / ROWS / f"{name}.json"
            kept = path.exists()
            if not kept:
                log = Path(output) / LOGS / f"{name}.txt"
                result = self.train_and_score(config, log)
                write_json(path, {"n": n, "total": total, "seed": seed, **result})
            rows.append({**_read_row(path), "start": start.name})
            f = 100 * rows[-1]["scores"]["strict"]["f"]
            done = "kept" if kept else f"{rows[-1]['train_seconds']:.0f} s"
            tell(f"{n} of {total} sentences, seed {seed}, {start.name}: F {f:.2f} ({done})")
        return rows

    def starts(self) -> List[Start]:
        """All starts, checked; see ``run`` for what is raised."""
        for name in self.encoders.keys() & self.sources.keys():
            expected = "a name of its own each time, and none that --encoder has"
            raise ValueError(Errors.HE222.format(option="--source", expected=expected, value=name))
        text, found = self.config.to_str(interpolate=False), []
        for kind, folders, check, example in (
            ("encoder", self.encoders, check_encoder_folder, "configs/tagger.cfg"),
            ("source", self.sources, _check_pipeline, "configs/tagger_target.cfg"),
        ):
            if folders and f"${{paths.{kind}}}" not in text:
                raise ValueError(Errors.HE219.format(name=kind, example=example))
            found += [Start(name, {kind: str(check(path))}) for name, path in folders.items()]
        paths = self.config.get("paths", {})
        configured = paths.get("encoder") or paths.get("source") or "config"
        return found or [Start(Path(configured).name, {})]

    def count_sentences(self) -> int:
        """How many sentences there are to draw from, after the config's limits."""
        name = _corpus_names(self.config)[0]
        reader = _section(self.config, name).get("@readers")
        if reader != READER:
            raise ValueError(Errors.HE218.format(section=name, reader=reader))
        return sum(1 for _ in self._examples(0, 0))

    def run_config(self, start: Start, n: int, seed: int) -> Config:
        """The config of one run; all its data are in its [paths]."""
        config = self.config.copy()
        train_corpus, dev_corpus = _corpus_names(config)
        data = {"train": str(self.train), "dev": str(self.dev), "test": str(self.test)}
        config.setdefault("paths", {}).update({**data, **start.paths})
        sample = {"sample_count": n, "sample_share": 1.0, "sample_seed": seed}
        _section(config, train_corpus).update({"path": "${paths.train}", **sample})
        _section(config, dev_corpus)["path"] = "${paths.dev}"
        config.setdefault("system", {})["seed"] = seed
        config["training"]["seed"] = "${system.seed}"
        return config

    def key(self, config: Config, content_of: Callable[[str], str]) -> str:
        """What tells runs apart: their config, with the content of files in the place of names.

        content_of (Callable[[str], str]): The hash of a file or folder; any other text as it is.
        """

        def keyed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: keyed(one) for name, one in value.items()}
            if isinstance(value, (list, tuple)):
                return [keyed(one) for one in value]
            return content_of(value) if isinstance(value, str) else value

        code = self.code and content_of(str(self.code))
        text = json.dumps([keyed(config.interpolate()), self.spans_key, code], sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]

    def train_and_score(self, config: Config, log: Path) -> Row:
        """Train as ``spacy train`` does, and score the best step. What spaCy prints goes to log.

        Raises ValueError (HE214) where only the first step was evaluated: it is not trained yet.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=log.parent, prefix=".pipeline-") as folder:
            start = time.perf_counter()
            with log.open("w", encoding="utf8") as stream:
                nlp = init_nlp(config, use_gpu=self.gpu_id)
                evaluations = _evaluations(nlp)
                train(nlp, Path(folder), use_gpu=self.gpu_id, stdout=stream, stderr=stream)
            if len(evaluations) < 2:
                training = nlp.config.interpolate()["training"]
                names = ("eval_frequency", "max_steps", "max_epochs", "patience")
                raise ValueError(Errors.HE214.format(**{name: training[name] for name in names}))
            seconds = time.perf_counter() - start
            best = Path(folder) / DIR_MODEL_BEST
            dev = json.loads((best / "meta.json").read_text(encoding="utf8"))["performance"]
            report = evaluate_model(best, self.test, spans_key=self.spans_key, gpu_id=self.gpu_id)
        return {
            "scores": self._entity_scores(report),
            "dev": {name: value for name, value in dev.items() if isinstance(value, (int, float))},
            "train_seconds": round(seconds, 1),
            "device": _device(self.gpu_id),
            "versions": {
                about.__title__: about.__version__,
                "spacy": spacy.__version__,
                "torch": torch.__version__,
            },
        }

    def _examples(self, n: int, seed: int) -> Iterable[Example]:
        """The examples of a sample; 0 for all of them."""
        config = self.run_config(Start("", {}), n, seed).interpolate()
        block = {**_section(config, _corpus_names(config)[0]), "gold_tokens": True}
        corpus: Callable[[Language], Iterable[Example]]
        corpus = registry.resolve({"corpus": block})["corpus"]
        return corpus(spacy.blank("xx"))

    def _require_labels(self, n: int, seed: int) -> None:
        groups = (group for eg in self._examples(n, seed) for group in eg.reference.spans.values())
        if not any(span.label for group in groups for span in group):
            raise ValueError(Errors.HE146.format(count=n, seed=seed))

    def _entity_scores(self, report: Report) -> Dict[str, Any]:
        sections = report.to_dict()
        scores: Optional[Dict[str, Any]] = sections["spans"] or sections["ents"]
        if scores is None:
            raise ValueError(Errors.HE223.format(key=self.spans_key))
        return scores


def fingerprint(path: PathLike) -> str:
    """A hash of a file, or of all files in a folder and below, with their names in it.

    Raises ValueError (HE075) where there is neither.
    """
    root = Path(path)
    if not root.exists():
        raise ValueError(Errors.HE075.format(path=path, pattern=""))
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
    total = hashlib.sha256()
    for file in files:
        name = file.relative_to(root).as_posix()
        total.update(f"{name}\0{hash_file(file)}\0".encode())
    return total.hexdigest()


def _content(text: str, output: Path) -> str:
    """The fingerprint of the file or folder of that name; the text itself where there is none.

    A folder that holds the results, or the one worked in, is none: it would never stay the same,
    and a text such as "." names no data.
    """
    if not os.path.exists(text):
        return text
    path = Path(text).resolve()
    if any(inner.resolve().is_relative_to(path) for inner in (Path.cwd(), output)):
        return text
    return fingerprint(path)


def _evaluations(nlp: Language) -> List[None]:
    """A list that grows by one with each evaluation of the pipeline.

    ``train`` tells its steps to nothing but the callbacks of the config, which are the user's.
    """
    done: List[None] = []
    evaluate = nlp.evaluate

    def counted(*args: Any, **settings: Any) -> Dict[str, Any]:
        done.append(None)
        return evaluate(*args, **settings)

    nlp.evaluate = counted  # type: ignore[method-assign]
    return done


def _check_pipeline(path: PathLike) -> Path:
    if not (Path(path) / "config.cfg").is_file():
        reason = "it holds no config.cfg, or is no folder"
        raise ValueError(Errors.HE093.format(path=path, reason=reason))
    return Path(path)


def _corpus_names(config: Config) -> List[str]:
    training = config.get("training", {})
    return [training.get(f"{part}_corpus", f"corpora.{part}") for part in ("train", "dev")]


def _section(config: Config, name: str) -> Dict[str, Any]:
    node: Any = config
    for part in name.split("."):
        node = node.get(part, {})
    return node


def _read_row(path: Path) -> Row:
    try:
        row = json.loads(path.read_text(encoding="utf8"))
        row["scores"]["strict"]["f"], row["train_seconds"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(Errors.HE224.format(path=path, reason=repr(error))) from error
    return row


def _require_gpu(gpu_id: int) -> None:
    try:
        spacy.require_gpu(gpu_id)
    except ValueError as error:
        raise ValueError(Errors.HE220.format(gpu_id=gpu_id, reason=error)) from error


def _device(gpu_id: int) -> str:
    if gpu_id >= 0:
        return str(torch.cuda.get_device_name(gpu_id))
    return f"{platform.machine()}, {torch.get_num_threads()} thread(s)"
