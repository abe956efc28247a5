"""The decoupled scorer beside a loop that encodes every mention and every context singly.

    python benchmarks/decoupled_speed.py weibo --corpus corpus --threads 2 \
        --encoder encoders/me5-small-zh-en-char

Both have the weights and the candidates of one pipeline, that of configs/decoupled.cfg, live in one
process and take turns on some sentences; on a CPU, by the clock. The loop cuts and encodes one
region after the other, with nothing remembered, and its probabilities must be those of the scorer,
to 1e-5. What the scorer saves, and what the candidates are worth, is counted on the whole part. The
weights decide about none of it: without ``--pipeline`` the classifiers are as they begin.
"""

import json
import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, Iterator, List, Optional, Tuple, cast

import numpy
import spacy
import torch
import typer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.util import minibatch

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from accuracy import build_config  # noqa: E402
from pretrain import describe_hardware  # noqa: E402

from spacy_hetner.decoupled.component import DecoupledScorer  # noqa: E402
from spacy_hetner.decoupled.inputs import RegionReader, read_docs  # noqa: E402
from spacy_hetner.decoupled.model import row_encoder  # noqa: E402
from spacy_hetner.encoders.layer import text_capacity  # noqa: E402
from spacy_hetner.encoders.module import PaddingUse  # noqa: E402
from spacy_hetner.evaluation.scorers import make_candidates_scorer  # noqa: E402
from spacy_hetner.files import write_json  # noqa: E402
from spacy_hetner.spans.batch import softmax  # noqa: E402
from spacy_hetner.spans.groups import group_spans  # noqa: E402
from spacy_hetner.types import SpanArray  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "decoupled" / "speed"
SYSTEM = "decoupled"
CANDIDATES = "candidates"
SIDES = ("mention", "context")
TOLERANCE = 1e-5

Probabilities = List[numpy.ndarray]
"""Of the global, the mention and the context classifier: (n, n_labels + 1) each."""


class SingleLoop:
    """What a script does that knows no batches: region by region, either input for itself."""

    def __init__(self, nlp: Language) -> None:
        self.model = scorer_of(nlp).model
        settings = nlp.config["components"]["scorer"]["model"]
        self.encoders = [row_encoder(self.model, side) for side in SIDES]
        self.readers = [
            RegionReader(
                encoder.tokenizer,
                capacity=text_capacity(encoder, settings["window"]),
                by_token=settings["by_token"],
            )
            for encoder in self.encoders
        ]

    def __call__(self, docs: List[Doc]) -> Probabilities:
        for encoder in self.encoders:
            encoder.eval()  # thinc leaves a module as if it were trained
        rows = [self._one(doc, span[None]) for doc in docs for span in group_spans(doc, CANDIDATES)]
        return [softmax(numpy.concatenate(part)) for part in zip(*rows, strict=True)]

    def _one(self, doc: Doc, span: SpanArray) -> Tuple[numpy.ndarray, ...]:
        (own,), (around,) = (read_docs(reader, [doc], [span]) for reader in self.readers)
        ids, (place,) = self.readers[1].context(around)
        inputs = [(self.readers[0].mention(own), 0), (ids, int(place))]
        vectors = []
        for side, encoder, (pieces, index) in zip(SIDES, self.encoders, inputs, strict=True):
            assert encoder.transformer is not None
            with torch.inference_mode():
                states = encoder.transformer(input_ids=torch.from_numpy(pieces)[None])
            vector = states.last_hidden_state[:, index].numpy()
            for scale in self.model.get_ref(side).layers[1:]:
                (vector,) = scale.predict([vector])
            vectors.append(vector)
        return tuple(self.model.get_ref("head").predict(tuple(vectors)))


def scorer_of(nlp: Language) -> DecoupledScorer:
    return cast(DecoupledScorer, nlp.get_pipe("scorer"))


def make_pipeline(data: str, encoder: Path, corpus: Path) -> Language:
    """The config's pipeline over an encoder, with classifiers that were not trained."""
    settings = {"precision": "fp32", "seed": 0, "epochs": 1, "batch_size": 16, "steps": 1}
    train = corpus / data / "train.parquet"
    config = build_config(data, SYSTEM, encoder, corpus, train, {**settings, "learn_rate": 1e-4})
    return init_nlp(config)


def score_all(nlp: Language, docs: List[Doc]) -> Probabilities:
    """What the scorer predicts, batch by batch."""
    scorer = scorer_of(nlp)
    parts = []
    for batch in minibatch(docs, nlp.batch_size):
        spans = [group_spans(doc, CANDIDATES) for doc in batch]
        if sum(map(len, spans)):
            parts.append([softmax(part) for part in scorer.model.predict((batch, spans))])
    return [numpy.concatenate(part) for part in zip(*parts, strict=True)]


def forget(nlp: Language) -> None:
    """Empty what is remembered of mentions."""
    row_encoder(scorer_of(nlp).model, "mention").cache.clear()


def timed(run: Callable[[], Any]) -> Tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def race(nlp: Language, docs: List[Doc], rounds: int) -> Dict[str, Any]:
    """Seconds of both over the same candidates, in turns, and how far they are apart.

    RAISES (ValueError): where that is further than ``TOLERANCE``.
    """
    loop = SingleLoop(nlp)

    def ours() -> Probabilities:
        forget(nlp)
        return score_all(nlp, docs)

    runs: List[Callable[[], Probabilities]] = [ours, lambda: loop(docs)]
    few = docs[:3]
    score_all(nlp, few), loop(few)  # warm-up
    seconds = numpy.zeros((rounds, 2))
    for number in range(rounds):
        found: Dict[int, Probabilities] = {}
        for place in (1, 0) if number % 2 else (0, 1):
            seconds[number, place], found[place] = timed(runs[place])
    differences = [abs(a - b).max() for a, b in zip(found[0], found[1], strict=True)]
    if max(differences) > TOLERANCE:
        raise ValueError(f"The loop's probabilities are others, by up to {max(differences)}")
    candidates = len(found[0][0])
    ratios = (seconds[:, 1] / seconds[:, 0]).tolist()
    rates = (candidates / numpy.median(seconds, axis=0)).tolist()
    return {
        "sentences": len(docs),
        "candidates": candidates,
        "rounds": rounds,
        "candidates_per_s": round(rates[0], 1),
        "loop_candidates_per_s": round(rates[1], 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "difference": float(max(differences)),
    }


def padding_of(nlp: Language) -> PaddingUse:
    """What the encoders of the scorer have computed so far."""
    modules = {id(m): m for m in (row_encoder(scorer_of(nlp).model, s) for s in SIDES)}
    uses = [module.padding_use for module in modules.values()]
    return PaddingUse(*(sum(parts) for parts in zip(*uses, strict=True)))


def count(nlp: Language, examples: List[Example]) -> Dict[str, Any]:
    """What is saved on a whole part, and what its candidates are worth."""
    scorer = scorer_of(nlp)
    forget(nlp)
    before, padding = scorer.speed, padding_of(nlp)
    docs = [example.predicted for example in examples]
    seconds, _ = timed(lambda: [scorer.predict(batch) for batch in minibatch(docs, nlp.batch_size)])
    speed, used = scorer.speed, padding_of(nlp)
    candidates, mentions = (
        speed.candidates - before.candidates,
        speed.mentions - before.mentions,
    )
    real, padded = (b - a for a, b in zip(padding, used, strict=True))
    scores = make_candidates_scorer(CANDIDATES, "entities")(examples)
    return {
        "sentences": len(docs),
        "candidates": candidates,
        "candidates_per_s": round(candidates / seconds, 1),
        "distinct_share": round(mentions / candidates, 4),
        "hit_share": round((speed.hits - before.hits) / mentions, 4),
        "padding": round(1 - real / padded, 4),
        "recall": scores["candidates_recall"],
        "candidates_per_gold": scores["candidates_per_gold"],
    }


def read_proposed(nlp: Language, path: Path) -> Iterator[Example]:
    """The examples of a corpus, with candidates."""
    reader = {"@readers": "spacy_hetner.RecordCorpus.v1", "path": str(path)}
    for example in spacy.registry.resolve({"corpus": reader})["corpus"](nlp):
        for name, component in nlp.pipeline:
            if name != "scorer" and name != "resolver":
                example.predicted = component(example.predicted)
        yield example


def main(
    data: Annotated[str, typer.Argument(help="Name of a corpus")],
    encoder: Annotated[Path, typer.Option(exists=True, help="Encoder folder")],
    corpus: Annotated[Path, typer.Option(exists=True, help="Folder of NAME/*.parquet")],
    pipeline: Annotated[
        Optional[Path], typer.Option(exists=True, help="Trained pipeline, to take the weights of")
    ] = None,
    sentences: Annotated[int, typer.Option(help="That both read", min=1)] = 40,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    threads: Annotated[int, typer.Option(help="Of torch", min=1)] = 1,
    split: str = "test",
    results: Annotated[Path, typer.Option(help="Folder for the row")] = RESULTS,
) -> None:
    """Measure, print, write one JSON row."""
    torch.set_num_threads(threads)
    nlp = make_pipeline(data, encoder, corpus) if pipeline is None else spacy.load(pipeline)
    examples = list(read_proposed(nlp, corpus / data / f"{split}.parquet"))
    docs = [example.predicted for example in examples]
    row = {
        "data": data,
        "split": split,
        "encoder": encoder.name,
        "trained": pipeline is not None,
        "batch_size": nlp.batch_size,
        "whole": count(nlp, examples),
        "race": race(nlp, list(islice(docs, sentences)), rounds),
        "hardware": describe_hardware(cpu=True),
        "versions": {"spacy": spacy.__version__, "torch": torch.__version__},
    }
    typer.echo(json.dumps(row, indent=1))
    write_json(results / f"{data}-{encoder.name}-{threads}.json", row)


if __name__ == "__main__":
    typer.run(main)
