"""The CRF beside pytorch-crf: loss with gradients, and decoding, of the same scores.

    pip install pytorch-crf
    OMP_NUM_THREADS=1 python benchmarks/crf.py

One thread, both in turns, medians of CPU time; 128 sentences of 17 tags, as the taggers meet them.
"""

import json
import platform
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy
import torch
import typer
from torchcrf import CRF

from spacy_hetner.files import write_json
from spacy_hetner.sequences.chain import Chain, Packing, best_tags, negative_log_likelihood

ROOT = Path(__file__).resolve().parent.parent
N_TAGS = 17


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main(
    sentences: int = 128,
    rounds: int = 15,
    results: Path = ROOT / "benchmarks" / "results" / "crf",
) -> None:
    """Measure, print, write one JSON row."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lengths = numpy.random.default_rng(0).gamma(3, 25, sentences).astype(int).clip(5, 128)
    real = torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]
    crf = CRF(N_TAGS, batch_first=True)
    padded = torch.randn(*real.shape, N_TAGS)
    tags = torch.randint(N_TAGS, real.shape)
    flat, flat_tags = padded[real], tags[real]

    def chain_of(emissions: torch.Tensor, packing: Packing) -> Chain:
        learned = (crf.start_transitions, crf.transitions, crf.end_transitions)
        return Chain(emissions[None][:, packing.order], *(part[None] for part in learned))

    def our_loss() -> float:
        crf.zero_grad()
        packing = Packing(lengths)
        chain = chain_of(flat.clone().requires_grad_(), packing)
        nll = negative_log_likelihood(chain, flat_tags[None][:, packing.order], packing).sum()
        nll.backward()
        return nll.item()

    def their_loss() -> float:
        crf.zero_grad()
        nll = -crf(padded.clone().requires_grad_(), tags, mask=real, reduction="sum")
        nll.backward()
        return nll.item()

    def our_tags() -> List[int]:
        packing = Packing(lengths)
        with torch.no_grad():
            return best_tags(chain_of(flat, packing), packing)[0, packing.rows].tolist()

    def their_tags() -> List[int]:
        return [tag for sentence in crf.decode(padded, mask=real) for tag in sentence]

    assert abs(our_loss() - their_loss()) < 1e-4 * abs(their_loss())
    assert our_tags() == their_tags()
    runs = {
        "loss": (our_loss, their_loss),
        "decode": (our_tags, their_tags),
    }
    row: Dict[str, Any] = {
        "sentences": sentences,
        "tokens": int(lengths.sum()),
        "tags": N_TAGS,
        "rounds": rounds,
        "hardware": f"{platform.machine()}, 1 thread, no GPU",
        "versions": {"torch": torch.__version__},
    }
    for name, (ours, theirs) in runs.items():
        times = [(timed(ours), timed(theirs)) for _ in range(rounds)]
        row[name] = {
            "ours_ms": round(1000 * statistics.median(a for a, _ in times), 1),
            "pytorch_crf_ms": round(1000 * statistics.median(b for _, b in times), 1),
            "ratio": round(statistics.median(a / b for a, b in times), 3),
        }
    print(json.dumps(row, indent=1))
    write_json(results / "crf.json", row)


if __name__ == "__main__":
    typer.run(main)
