"""Train one system on one data set with one seed, score it on the test set, keep one JSON row.

    python -m spacy project run convert . --vars.corpus genia
    python benchmarks/accuracy.py genia locate_and_label --encoder encoders/minilm-l6-en \
        --corpus corpus --train-sentences 3000 --epochs 3 --learn-rate 3e-4 --precision bf16

Systems are the configs in configs/, and in benchmarks/systems/ what others have in the place of
their components; all share the encoder, the data, the batches and the optimizer. A row that exists
is not computed again.
``benchmarks/tables.py`` makes the tables from the rows.
"""

import hashlib
import json
import platform
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Iterable, List, Optional, Set, Tuple

import numpy
import spacy
import torch
import typer
from spacy.language import Language
from spacy.tokens import Doc, Span, SpanGroup
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import filter_spans, fix_random_seed, load_config
from thinc.api import Config

from spacy_hetner.corpora.convert import draw
from spacy_hetner.corpora.stores import read_parquet, write_parquet
from spacy_hetner.evaluation.scorers import make_candidates_scorer, make_entity_spans_scorer
from spacy_hetner.files import write_json

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "scripts"))
from corpora import get_corpus  # noqa: E402
from make_config import applicable, fill_in, precisions  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "accuracy"
RESOLVED = ("decoupled",)
"""Systems whose entities are those of their resolver: for flat data."""


@Language.component("benchmark_bio_decoder", requires=["token.tag"], assigns=["doc.spans"])
def bio_decoder(doc: Doc) -> Doc:
    """Read BIO tags back into spans, as conlleval does."""
    spans: List[Span] = []
    start, label = 0, ""
    for i, tag in enumerate([*(t.tag_ for t in doc), "O"]):
        kind, _, name = tag.partition("-")
        if label and (kind != "I" or name != label):
            spans.append(Span(doc, start, i, label=label))
            label = ""
        if name and not label:
            start, label = i, name
    doc.spans["entities"] = spans
    return doc


def with_bio_tags(examples: Iterable[Example]) -> List[Example]:
    """Write the outermost gold entities as BIO tags, which is all a token tagger can learn."""
    examples = list(examples)
    for example in examples:
        reference = example.reference
        tags = ["O"] * len(reference)
        for span in filter_spans(reference.spans.get("entities", [])):
            tags[span.start] = f"B-{span.label_}"
            for i in range(span.start + 1, span.end):
                tags[i] = f"I-{span.label_}"
        for token, tag in zip(reference, tags, strict=True):
            token.tag_ = tag
    return examples


@spacy.registry.readers("benchmark.BioTags.v1")
def create_bio_corpus(corpus: Any) -> Any:
    """Wrap a corpus so that its references carry BIO tags."""
    return lambda nlp: with_bio_tags(corpus(nlp))


def build_config(
    data: str,
    system: str,
    encoder: Path,
    corpus: Path,
    train_path: Path,
    settings: Dict[str, Any],
) -> Config:
    """A training config of the package, or its frame with the components of another system."""
    base, overlay = (
        ROOT / folder / f"{system}.cfg" for folder in ("configs", "benchmarks/systems")
    )
    frame = ROOT / "configs" / "locate_and_label.cfg"
    config = load_config(base if base.exists() else frame, interpolate=False)
    chosen = get_corpus(data)
    fill_in(config, applicable(config, {"nlp.lang": chosen.lang, **chosen.settings}))
    if overlay.exists():
        own = Config().from_disk(overlay, interpolate=False)
        lengths = config["components"]["span_proposer"]["lengths"]
        transformer = config["components"]["transformer"]
        config["components"] = {"transformer": transformer, **own["components"]}
        config["nlp"]["pipeline"] = own["nlp"]["pipeline"]
        config["training"].update(own.get("training", {}))
        config["training"]["score_weights"] = {"spans_entities_f": 1.0}
        if system == "spancat_ngram":
            config["components"]["spancat"]["suggester"]["max_size"] = max(lengths)
    config["paths"] = {
        "encoder": str(encoder),
        "train": str(train_path),
        "dev": str(corpus / data / "dev.parquet"),
    }
    # Nothing is selected on dev while training: spaCy scores a few sentences before the first step.
    config["corpora"]["dev"]["limit"] = 50
    if system == "token_tagger":
        for name, reader in list(config["corpora"].items()):
            config["corpora"][name] = {"@readers": "benchmark.BioTags.v1", "corpus": reader}
    fill_in(config, precisions(config, settings["precision"]))
    config["system"]["seed"] = settings["seed"]
    training = config["training"]
    training["max_epochs"] = settings["epochs"]
    training["eval_frequency"] = 10**6
    training["batcher"]["size"] = settings["batch_size"]
    steps = settings["steps"]
    training["optimizer"]["learn_rate"].update(
        initial_rate=settings["learn_rate"], warmup_steps=max(1, steps // 10), total_steps=steps
    )
    return config


def lower_threshold(nlp: Language) -> Optional[float]:
    """Let a system write all spans of any use, and return the threshold that it was set to.

    Thresholds are applied to the scores afterwards, so that one prediction serves several. For
    Soft-NMS that is exact: a span below the threshold never decays one above it.
    """
    if "span_classifier" in nlp.pipe_names:
        settings, key = nlp.get_pipe("span_classifier").settings, "min_score"
    elif "spancat" in nlp.pipe_names:
        settings, key = nlp.get_pipe("spancat").cfg, "threshold"
    else:
        return None
    configured, settings[key] = settings[key], 0.05
    return configured


def read_predicted(nlp: Language, path: Path) -> List[Example]:
    """The examples of a corpus with the pipeline's predictions."""
    reader = {"@readers": "spacy_hetner.RecordCorpus.v1", "path": str(path)}
    examples = list(spacy.registry.resolve({"corpus": reader})["corpus"](nlp))
    docs = nlp.pipe([example.predicted for example in examples], batch_size=256)
    for example, doc in zip(examples, docs, strict=True):
        example.predicted = doc
    return examples


def score_above(examples: List[Example], threshold: Optional[float]) -> Dict[str, Any]:
    """Scores of the predicted entities whose score is above a threshold; None takes all."""
    kept = []
    for example in examples:
        group = example.predicted.spans["entities"]
        doc = example.predicted.copy()
        certain = [1.0] * len(group)  # a token tagger gives no score
        doc.spans["entities"] = [
            Span(doc, span.start, span.end, label=span.label)
            for span, score in zip(group, group.attrs.get("scores", certain), strict=True)
            if threshold is None or score > threshold
        ]
        kept.append(Example(doc, example.reference))
    return make_entity_spans_scorer("entities")(kept)


def resolve(examples: List[Example]) -> None:
    """Leave of the predicted entities those that the pipeline's resolver has chosen."""
    for example in examples:
        doc = example.predicted
        chosen = {(span.start, span.end, span.label) for span in doc.ents}
        group = doc.spans["entities"]
        kept = [i for i, s in enumerate(group) if (s.start, s.end, s.label) in chosen]
        scores = group.attrs["scores"][kept]
        doc.spans["entities"] = SpanGroup(
            doc, name="entities", spans=[group[i] for i in kept], attrs={"scores": scores}
        )


def fit_threshold(examples: List[Example]) -> float:
    """The threshold of best strict F, the lowest of several."""
    keys: List[Tuple[int, int, int, str]] = []
    scores: List[float] = []
    gold: Set[Tuple[int, int, int, str]] = set()
    for i, example in enumerate(examples):
        group = example.predicted.spans["entities"]
        keys.extend((i, span.start_char, span.end_char, span.label_) for span in group)
        scores.extend(group.attrs["scores"])
        entities = example.reference.spans.get("entities", [])
        gold.update((i, span.start_char, span.end_char, span.label_) for span in entities)
    right = numpy.array([key in gold for key in keys], dtype=bool)
    score = numpy.array(scores)

    def f_above(threshold: float) -> float:
        kept = score > threshold
        return 2 * (kept & right).sum() / max(kept.sum() + len(gold), 1)

    return max((round(0.05 * step, 2) for step in range(1, 20)), key=f_above)


def hardware(gpu_id: int) -> str:
    gpu = torch.cuda.get_device_name(gpu_id) if gpu_id >= 0 else "no GPU"
    return f"{platform.machine()}, {torch.get_num_threads()} thread(s), {gpu}"


def main(
    data: str,
    system: str,
    encoder: Path = typer.Option(..., exists=True),
    corpus: Path = typer.Option(..., exists=True, help="Folder of NAME/{train,dev,test}.parquet"),
    train_sentences: int = typer.Option(0, help="Draw so many, the same for all seeds; 0: all"),
    extra: str = typer.Option("", help="A part of the corpus to train on as well, all of it"),
    seed: int = 0,
    epochs: int = 5,
    learn_rate: float = 2e-4,
    batch_size: int = 16,
    precision: str = "fp32",
    split: str = "test",
    override: List[str] = typer.Option([], help="dotted.key=JSON, for ablations"),
    results: Path = RESULTS,
    tag: str = typer.Option("", help="Name of the ablation or screening, kept in the row"),
    gpu_id: int = typer.Option(-1, help="-1 for the CPU"),
    save: Optional[Path] = typer.Option(None, help="Folder for the trained pipeline"),
) -> None:
    """Train, score, write the row."""
    if gpu_id >= 0:
        spacy.require_gpu(gpu_id)
    train_records = list(read_parquet(corpus / data / "train.parquet"))
    if train_sentences:
        train_records = list(draw(train_records, train_sentences, seed=0))
    n_drawn = len(train_records)
    if extra:
        train_records += read_parquet(corpus / data / f"{extra}.parquet")
    n_train = len(train_records)
    settings = {
        "seed": seed,
        "epochs": epochs,
        "learn_rate": learn_rate,
        "batch_size": batch_size,
        "precision": precision,
        "steps": epochs * -(-n_train // batch_size),
        "override": sorted(override),
    }
    key = hashlib.sha256(
        json.dumps([data, system, encoder.name, n_train, split, settings], sort_keys=True).encode()
    ).hexdigest()[:10]
    name = "-".join([data, encoder.name, system, *([tag.replace(" ", "_")] if tag else [])])
    row_path = results / f"{name}-s{seed}-{key}.json"
    if row_path.exists():
        typer.echo(f"have {row_path.name}")
        return
    with TemporaryDirectory() as folder:
        train_path = Path(folder) / "train.parquet"
        write_parquet(train_records, train_path)
        config = build_config(data, system, encoder, corpus, train_path, settings)
        pairs = (item.partition("=") for item in override)
        fill_in(config, {name: json.loads(value) for name, _, value in pairs})
        fix_random_seed(seed)
        nlp = init_nlp(config)
        start = time.perf_counter()
        cpu = time.process_time()
        nlp, _ = train(nlp, None, stdout=sys.stdout, stderr=sys.stderr)
        train_wall, train_cpu = time.perf_counter() - start, time.process_time() - cpu
    if save is not None:
        nlp.to_disk(save)
    configured = lower_threshold(nlp)
    start = time.perf_counter()
    dev = read_predicted(nlp, corpus / data / "dev.parquet")
    test = dev if split == "dev" else read_predicted(nlp, corpus / data / f"{split}.parquet")
    predict_wall = time.perf_counter() - start
    if system in RESOLVED:
        resolve(test)
    scores = score_above(test, configured)
    if "candidates" in test[0].predicted.spans:
        scores.update(make_candidates_scorer("candidates", "entities")(test))
    fitted = fit_threshold(dev) if configured is not None else None
    row = {
        "data": data,
        "system": system,
        "encoder": encoder.name,
        "tag": tag,
        "split": split,
        "train_sentences": n_drawn,
        "extra_sentences": n_train - n_drawn,
        **settings,
        "threshold": configured,
        "scores": scores,
        "fitted_threshold": fitted,
        "fitted_scores": None if fitted is None else score_above(test, fitted),
        "train_wall_s": round(train_wall, 1),
        "train_cpu_s": round(train_cpu, 1),
        "predict_wall_s": round(predict_wall, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "hardware": hardware(gpu_id),
        "versions": {"spacy": spacy.__version__, "torch": torch.__version__},
    }
    write_json(row_path, row)
    best = row["fitted_scores"] or scores
    typer.echo(
        f"{row_path.name}: F {scores['spans_entities_f']:.4f} at {configured}, "
        f"{best['spans_entities_f']:.4f} at {fitted} (fitted on dev)"
    )


if __name__ == "__main__":
    typer.run(main)
