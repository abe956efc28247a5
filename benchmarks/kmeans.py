"""Clustering a file of vectors beside scikit-learn's KMeans: time, inertia, memory.

    OMP_NUM_THREADS=1 python benchmarks/kmeans.py

1,000,000 vectors of width 384, by default random ones: 200 groups, the largest of them a sixth of
all, that overlap and spread more in some directions than in others, as an encoder's do. Each
implementation in a process of its own, in turns, each round with another seed for both. Time is CPU
time. Memory is the most that was resident, pages of the file included, less what was before; this
takes Linux.
"""

import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Dict, List, Optional

import numpy
import typer
from typer import Option

from spacy_hetner.files import write_json
from spacy_hetner.pretraining.clusters import cluster, read_vectors

ROOT = Path(__file__).resolve().parent.parent
MB = 2**20
GROUPS = 200


def write_random_vectors(path: Path, count: int, width: int) -> None:
    """Groups of all sizes, in directions of unequal spread, around a point that is not 0."""
    random = numpy.random.default_rng(0)
    spreads = random.gamma(1, 1, width)
    centres = random.normal(size=(GROUPS, width)) * spreads + 5
    shares = 1 / numpy.arange(1, GROUPS + 1)
    with path.open("wb") as file:
        for start in range(0, count, 10_000):
            size = min(10_000, count - start)
            groups = random.choice(GROUPS, size, p=shares / shares.sum())
            vectors = centres[groups] + random.normal(size=(size, width))
            file.write(vectors.astype("float32").tobytes())


def run_ours(vectors: numpy.ndarray, clusters: int, seed: int) -> Dict[str, Any]:
    found = cluster(vectors, clusters, seed=seed)
    return {"inertia": found.inertias[-1], "steps": len(found.inertias)}


def run_theirs(vectors: numpy.ndarray, clusters: int, seed: int) -> Dict[str, Any]:
    from sklearn.cluster import KMeans

    found = KMeans(clusters, random_state=seed).fit(vectors)
    return {"inertia": float(found.inertia_), "steps": int(found.n_iter_)}


RUNS = {"ours": run_ours, "sklearn": run_theirs}


def measure(name: str, vectors: numpy.ndarray, clusters: int, seed: int) -> Dict[str, Any]:
    """One run in this process, which ends with it: the peak of memory is that of all its life."""
    RUNS[name](vectors[:5000], min(clusters, 4), seed)  # what libraries load late
    before = resident("VmRSS")
    start = time.process_time()
    found = RUNS[name](vectors, clusters, seed)
    seconds = time.process_time() - start
    return {**found, "seconds": seconds, "memory_mb": round((resident("VmHWM") - before) / MB)}


def resident(key: str) -> int:
    """Bytes of memory that this process has (VmRSS), or had at most (VmHWM), as Linux tells them.

    What getrusage says may be of the process that started this one.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(key))


def main(
    count: int = 1_000_000,
    width: int = 384,
    clusters: int = 23,
    rounds: int = 1,
    vectors: Annotated[
        Optional[Path], Option(help="File of float32 numbers, instead of random ones")
    ] = None,
    results: Path = ROOT / "benchmarks" / "results" / "kmeans",
    only: Annotated[str, Option(hidden=True)] = "",
    seed: Annotated[int, Option(hidden=True)] = 0,
) -> None:
    """Measure, print, write one JSON row."""
    if only:
        assert vectors is not None
        print(json.dumps(measure(only, read_vectors(vectors, width), clusters, seed)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = vectors or Path(folder, "vectors.f32")
        if vectors is None:
            write_random_vectors(path, count, width)
        found: Dict[str, List[Dict[str, Any]]] = {name: [] for name in RUNS}
        for number in range(rounds):
            for name in RUNS:
                options = {"--only": name, "--vectors": path, "--width": width}
                options |= {"--clusters": clusters, "--seed": number}
                arguments = [str(part) for option in options.items() for part in option]
                done = subprocess.run(
                    [sys.executable, __file__, *arguments], capture_output=True, text=True
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                found[name].append(json.loads(done.stdout))
                print(name, done.stdout.strip())
        data = path.stat().st_size
    pairs = list(zip(*found.values(), strict=True))
    row = {
        "vectors": data // (4 * width),
        "width": width,
        "clusters": clusters,
        "data": "random groups" if vectors is None else vectors.name,
        "data_mb": round(data / MB),
        "rounds": rounds,
        "hardware": f"{platform.machine()}, no GPU",
        "versions": {name: version(name) for name in ("numpy", "scipy", "scikit-learn")},
        **found,
        "time_ratio": round(statistics.median(a["seconds"] / b["seconds"] for a, b in pairs), 3),
        "inertia_excess": statistics.median(a["inertia"] / b["inertia"] - 1 for a, b in pairs),
        "memory_beyond_data_mb": {
            name: max(run["memory_mb"] for run in runs) - round(data / MB)
            for name, runs in found.items()
        },
    }
    print(json.dumps(row, indent=1))
    write_json(results / f"k{clusters}.json", row)


if __name__ == "__main__":
    typer.run(main)
