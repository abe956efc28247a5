"""Time, padding and memory of the package beside the bare encoder and spaCy's own pipelines.

    python -m spacy project run convert . --vars.corpus genia
    OMP_NUM_THREADS=1 python benchmarks/speed.py genia --encoder encoders/minilm-l6-en \
        --corpus corpus

All systems live in one process and take turns, so that only ratios within the run are read; each
figure is the median over the rounds of CPU time. Every trained system learns for the same number
of steps first, each batch once. An untrained filter would keep every seed, and after so few steps
it still keeps several times as many as it will: ``--pipeline`` lets a trained pipeline of the
package read the texts instead, say one that ``accuracy.py`` saved. On a Chinese corpus the taggers
are measured, elsewhere the span components.
"""

import json
import platform
import statistics
import time
from itertools import islice
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

import numpy
import spacy
import torch
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, minibatch
from thinc.api import Adam
from transformers import AutoModel, AutoTokenizer

from spacy_hetner.corpora.records import record_to_doc
from spacy_hetner.corpora.stores import read_parquet
from spacy_hetner.encoders.batching import length_buckets
from spacy_hetner.files import write_json

ROOT = Path(__file__).resolve().parent.parent
BATCH = 32
CHINESE = ("weibo", "resume")
LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "upstream": "*",
    "pooling": {"@layers": "reduce_mean.v1"},
}


def read_examples(nlp: Language, path: Path, limit: int) -> List[Example]:
    """The first sentences of a corpus as examples with spans and flat entities."""
    references = [record_to_doc(record, nlp.vocab) for record in islice(read_parquet(path), limit)]
    return [Example(nlp.make_doc(reference.text), reference) for reference in references]


def span_systems(encoder: Path) -> Dict[str, Language]:
    """Ours first; all of them find spans."""
    return {
        "spacy_hetner": with_span_heads(with_our_encoder(spacy.blank("en"), encoder)),
        "spacy_hetner, filter_width=128": with_span_heads(
            with_our_encoder(spacy.blank("en"), encoder), filter_width=128
        ),
        "transformer+ner, defaults": with_ner(spacy_transformer("en", encoder, 4096)),
        "transformer+ner, max_batch_items=128": with_ner(spacy_transformer("en", encoder, 128)),
        "transformer+spancat(1-8), defaults": with_spancat(spacy_transformer("en", encoder, 4096)),
    }


def tagger_systems(encoder: Path) -> Dict[str, Language]:
    """Ours first; a token a character for all."""
    systems = {}
    for factory in ("hetner_tagger", "hetner_class_attention_tagger"):
        tokenizer = {"@tokenizers": "spacy_hetner.ChineseTokenizer.v1", "per_character": True}
        nlp = spacy.blank("zh", config={"nlp": {"tokenizer": tokenizer}})
        systems[factory] = with_our_encoder(nlp, encoder, by_token=True, pooling="first")
        systems[factory].add_pipe(factory)
    systems["transformer+ner, defaults"] = with_ner(spacy_transformer("zh", encoder, 4096))
    return systems


def with_our_encoder(nlp: Language, encoder: Path, **settings: Any) -> Language:
    nlp.batch_size = 256
    nlp.add_pipe(
        "transformer",
        config={
            "max_batch_items": 4096,
            "model": {
                "@architectures": "spacy_hetner.Encoder.v1",
                "name": str(encoder),
                **settings,
            },
        },
    )
    nlp.add_pipe(
        "tok2vec", config={"model": {"@architectures": "spacy_hetner.TokenRepresentation.v1"}}
    )
    return nlp


def with_span_heads(nlp: Language, **proposer_model: Any) -> Language:
    config = {"lengths": list(range(1, 9)), "model": proposer_model}
    nlp.add_pipe("hetner_span_proposer", config=config)
    nlp.add_pipe("hetner_span_classifier")
    return nlp


def spacy_transformer(lang: str, encoder: Path, max_batch_items: int) -> Language:
    """spaCy's own transformer component; its defaults but for the size of padded batches."""
    nlp = spacy.blank(lang)
    model = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": str(encoder)}
    nlp.add_pipe("transformer", config={"max_batch_items": max_batch_items, "model": model})
    return nlp


def with_ner(nlp: Language) -> Language:
    nlp.add_pipe("ner", config={"model": {"tok2vec": LISTENER}})
    return nlp


def with_spancat(nlp: Language) -> Language:
    nlp.add_pipe(
        "spancat",
        config={
            "spans_key": "entities",
            "suggester": {
                "@misc": "spacy.ngram_range_suggester.v1",
                "min_size": 1,
                "max_size": 8,
            },
            "model": {"tok2vec": LISTENER},
        },
    )
    return nlp


def train_briefly(nlp: Language, path: Path, steps: int) -> Callable[[], None]:
    """Train for some steps. RETURNS: a function that runs one more update, on the last batch."""
    fix_random_seed(0)
    examples = read_examples(nlp, path, steps * BATCH)
    nlp.initialize(lambda: examples)
    optimizer = Adam(2e-4)

    def update(batch: List[Example]) -> None:
        fresh = [Example(nlp.make_doc(eg.text), eg.reference) for eg in batch]
        nlp.update(fresh, sgd=optimizer)

    for batch in minibatch(examples, BATCH):
        update(batch)
    return lambda: update(examples[-BATCH:])


class BareEncoder:
    """The encoder alone, in buckets of at most 10 % padding: the limit of what can be reached."""

    def __init__(self, encoder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(str(encoder))
        self.model = AutoModel.from_pretrained(str(encoder)).eval()

    def __call__(self, texts: List[str], min_density: float) -> None:
        ids = self.tokenizer(texts)["input_ids"]
        lengths = numpy.array([len(sequence) for sequence in ids])
        with torch.inference_mode():
            for bucket in length_buckets(lengths, min_density, 4096):
                longest = int(lengths[bucket].max())
                batch = torch.zeros(len(bucket), longest, dtype=torch.long)
                for row, i in enumerate(bucket):
                    batch[row, : lengths[i]] = torch.tensor(ids[i])
                mask = torch.arange(longest) < torch.from_numpy(lengths[bucket])[:, None]
                self.model(input_ids=batch, attention_mask=mask.long())


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def head_memory(nlp: Language, words: List[int]) -> Dict[int, int]:
    """Bytes of the largest tensor that the heads, all behind the token representation, make of a
    text of so many words."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                self.largest = max(self.largest, result.numel() * result.element_size())
            return result

    sizes = {}
    for n in words:
        doc = Doc(nlp.vocab, words=["protein"] * n)
        for name in ("transformer", "tok2vec"):
            doc = nlp.get_pipe(name)(doc)
        with Largest() as watch:
            for name in nlp.pipe_names[2:]:
                doc = nlp.get_pipe(name)(doc)
        sizes[n] = watch.largest
    return sizes


def main(
    data: str,
    encoder: Path = typer.Option(..., exists=True),
    corpus: Path = typer.Option(..., exists=True, help="Folder of NAME/{train,test}.parquet"),
    steps: int = 60,
    rounds: int = 5,
    pipeline: Optional[Path] = typer.Option(None, help="Trained pipeline of ours, to read with"),
    sentences: int = typer.Option(200, help="How many of the test part are read"),
    results: Path = ROOT / "benchmarks" / "results" / "speed",
) -> None:
    """Measure, print, write one JSON row."""
    torch.set_num_threads(1)
    systems = tagger_systems(encoder) if data in CHINESE else span_systems(encoder)
    ours = next(iter(systems))
    train_path, test_path = (corpus / data / f"{part}.parquet" for part in ("train", "test"))
    updates = {name: train_briefly(nlp, train_path, steps) for name, nlp in systems.items()}
    if pipeline is not None:
        fp32 = {"components.transformer.model.precision": "fp32"}  # as the others
        systems[ours] = spacy.load(pipeline, exclude=["resolver"], config=fp32)
    texts = [record.text for record in islice(read_parquet(test_path), sentences)]
    bare = BareEncoder(encoder)
    runs: Dict[str, Callable[[], Any]] = {
        "bare encoder, exact lengths": lambda: bare(texts, 1.0),
        "bare encoder, <= 10 % padding": lambda: bare(texts, 0.9),
    }
    for name, nlp in systems.items():
        runs[name] = lambda nlp=nlp: list(nlp.pipe(texts))
    times: Dict[str, List[float]] = {name: [] for name in runs}
    training: Dict[str, List[float]] = {name: [] for name in updates}
    for run in runs.values():
        run()  # warm-up
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(timed(run))
        for name, update in updates.items():
            training[name].append(timed(update))
    limit = [min(pair) for pair in zip(*list(times.values())[:2], strict=True)]
    docs = list(systems[ours].pipe(texts))
    row = {
        "data": data,
        "ours": ours,
        "encoder": encoder.name,
        "texts": len(texts),
        "words": sum(len(doc) for doc in docs),
        "candidates": sum(len(doc.spans.get("candidates", ())) for doc in docs),
        "rounds": rounds,
        "steps": steps,
        "trained_pipeline": pipeline is not None,
        "cpu_s": {name: round(statistics.median(t), 3) for name, t in times.items()},
        "ratio_to_bare": {
            name: round(statistics.median(a / b for a, b in zip(t, limit, strict=True)), 3)
            for name, t in times.items()
        },
        "ours_ratio_to": {
            name: round(
                statistics.median(a / b for a, b in zip(times[ours], times[name], strict=True)),
                3,
            )
            for name in systems
        },
        "update_cpu_s": {name: round(statistics.median(t), 3) for name, t in training.items()},
        "update_ratio_to": {
            name: round(
                statistics.median(
                    a / b for a, b in zip(training[ours], training[name], strict=True)
                ),
                3,
            )
            for name in systems
        },
        "largest_head_tensor_bytes": head_memory(systems[ours], [128, 256, 512, 1024]),
        "hardware": f"{platform.machine()}, 1 thread, no GPU",
        "versions": {"spacy": spacy.__version__, "torch": torch.__version__},
    }
    print(json.dumps(row, indent=1))
    write_json(results / f"{data}-{encoder.name}.json", row)


if __name__ == "__main__":
    typer.run(main)
