"""Time, padding and memory of the package beside the bare encoder and spaCy's own pipelines.

    OMP_NUM_THREADS=1 python benchmarks/speed.py --encoder encoders/minilm-l6-en

All systems live in one process and take turns, so that only ratios within the run are read; each
figure is the median over the rounds of CPU time. Every trained system learns for the same number
of steps on the demo corpus first: an untrained filter would keep every seed.
"""

import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

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

from spacy_hetner.encoders.batching import length_buckets

ROOT = Path(__file__).resolve().parent.parent
LISTENER = {
    "@architectures": "spacy-transformers.TransformerListener.v1",
    "grad_factor": 1.0,
    "upstream": "*",
    "pooling": {"@layers": "reduce_mean.v1"},
}


def demo_examples(nlp: Language) -> List[Example]:
    """The English half of the demo corpus as examples with spans and flat entities."""
    examples = []
    for path in sorted((ROOT / "assets" / "demo").glob("en.*.jsonl")):
        for line in path.read_text(encoding="utf8").splitlines():
            record = json.loads(line)
            reference = nlp.make_doc(record["text"])
            spans = [reference.char_span(s, e, label=label) for s, e, label in record["spans"]]
            reference.spans["entities"] = spans
            reference.ents = spacy.util.filter_spans(spans)
            examples.append(Example(nlp.make_doc(record["text"]), reference))
    return examples


def ours(encoder: Path) -> Language:
    nlp = spacy.blank("en")
    nlp.batch_size = 256
    nlp.add_pipe(
        "transformer",
        config={
            "max_batch_items": 4096,
            "model": {"@architectures": "spacy_hetner.Encoder.v1", "name": str(encoder)},
        },
    )
    nlp.add_pipe(
        "tok2vec", config={"model": {"@architectures": "spacy_hetner.TokenRepresentation.v1"}}
    )
    nlp.add_pipe("hetner_span_proposer", config={"lengths": list(range(1, 9))})
    nlp.add_pipe("hetner_span_classifier")
    return nlp


def spacy_transformer(encoder: Path, max_batch_items: int) -> Language:
    """spaCy's own transformer component; its defaults but for the size of padded batches."""
    nlp = spacy.blank("en")
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


def train_briefly(nlp: Language, steps: int) -> Callable[[], None]:
    """Train for some steps. RETURNS: a function that runs one more update on a fixed batch."""
    fix_random_seed(0)
    examples = demo_examples(nlp)
    nlp.initialize(lambda: examples)
    optimizer = Adam(2e-4)
    batches = list(minibatch(examples, 32))
    for step in range(steps):
        batch = [
            Example(nlp.make_doc(eg.text), eg.reference) for eg in batches[step % len(batches)]
        ]
        nlp.update(batch, sgd=optimizer)

    def update() -> None:
        batch = [Example(nlp.make_doc(eg.text), eg.reference) for eg in batches[0]]
        nlp.update(batch, sgd=optimizer)

    return update


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
    """Bytes of the largest tensor that the heads make of a text of so many words."""
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
            nlp.get_pipe("hetner_span_classifier")(nlp.get_pipe("hetner_span_proposer")(doc))
        sizes[n] = watch.largest
    return sizes


def main(
    encoder: Path = typer.Option(..., exists=True),
    steps: int = 60,
    rounds: int = 5,
    copies: int = typer.Option(2, help="How often the texts are repeated"),
    results: Path = ROOT / "benchmarks" / "results" / "speed",
) -> None:
    """Measure, print, write one JSON row."""
    torch.set_num_threads(1)
    systems: Dict[str, Language] = {
        "spacy_hetner": ours(encoder),
        "transformer+ner, defaults": with_ner(spacy_transformer(encoder, 4096)),
        "transformer+ner, max_batch_items=128": with_ner(spacy_transformer(encoder, 128)),
        "transformer+spancat(1-8), defaults": with_spancat(spacy_transformer(encoder, 4096)),
    }
    updates = {name: train_briefly(nlp, steps) for name, nlp in systems.items()}
    texts = [eg.text for eg in demo_examples(spacy.blank("en"))] * copies
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
    words = sum(len(doc) for doc in systems["spacy_hetner"].tokenizer.pipe(texts))
    row = {
        "encoder": encoder.name,
        "texts": len(texts),
        "words": words,
        "rounds": rounds,
        "steps": steps,
        "cpu_s": {name: round(statistics.median(t), 3) for name, t in times.items()},
        "ratio_to_bare": {
            name: round(statistics.median(a / b for a, b in zip(t, limit, strict=True)), 3)
            for name, t in times.items()
        },
        "ours_ratio_to": {
            name: round(
                statistics.median(
                    a / b for a, b in zip(times["spacy_hetner"], times[name], strict=True)
                ),
                3,
            )
            for name in systems
        },
        "update_cpu_s": {name: round(statistics.median(t), 3) for name, t in training.items()},
        "update_ratio_to": {
            name: round(
                statistics.median(
                    a / b for a, b in zip(training["spacy_hetner"], training[name], strict=True)
                ),
                3,
            )
            for name in systems
        },
        "largest_head_tensor_bytes": head_memory(systems["spacy_hetner"], [128, 256, 512, 1024]),
        "hardware": f"{platform.machine()}, 1 thread, no GPU",
        "versions": {"spacy": spacy.__version__, "torch": torch.__version__},
    }
    print(json.dumps(row, indent=1))
    results.mkdir(parents=True, exist_ok=True)
    partial = results / f"{encoder.name}.part"
    partial.write_text(json.dumps(row, indent=1) + "\n", encoding="utf8")
    os.replace(partial, results / f"{encoder.name}.json")


if __name__ == "__main__":
    typer.run(main)
