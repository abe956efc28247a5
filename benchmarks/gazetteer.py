"""The matcher of gazetteers beside Aho-Corasick automata: speed, build time, memory.

    pip install pyahocorasick daachorse
    OMP_NUM_THREADS=1 python benchmarks/gazetteer.py

270,000 names of 2 to 8 characters, 900,000 lines of a random text in which some characters follow
one another often, once with names read off the text (high density), once with random ones (low).
One process, all in turns, medians of CPU time. Peers that are not installed are left out. Ours are
arrays in order; theirs are counted as they come, and daachorse's also turned into arrays.
"""

import json
import platform
import statistics
import time
import tracemalloc
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy
import typer

from spacy_hetner.files import write_json
from spacy_hetner.gazetteers.gazetteer import Gazetteer

ROOT = Path(__file__).resolve().parent.parent
ALPHABET, FIRST_CHARACTER = 4000, 0x4E00
LENGTHS = {
    "low": dict(zip(range(2, 9), (0.01, 0.20, 0.34, 0.20, 0.13, 0.08, 0.04), strict=True)),
    "high": dict(zip(range(2, 9), (0.20, 0.30, 0.25, 0.10, 0.07, 0.05, 0.03), strict=True)),
}


class RandomText:
    """Characters with frequencies as by Zipf, of which 30 are likely to follow each."""

    def __init__(self, seed: int) -> None:
        self.rng = numpy.random.default_rng(seed)
        weights = 1 / numpy.arange(1, ALPHABET + 1) ** 0.9
        self.weights = weights / weights.sum()
        self.followers = self.rng.choice(ALPHABET, size=(ALPHABET, 30), p=self.weights)

    def independent(self, n: int) -> str:
        """Characters that do not depend on one another."""
        return self._spell(self.rng.choice(ALPHABET, size=n, p=self.weights))

    def running(self, n: int) -> str:
        """Text in stretches of 50 characters."""
        current = self.rng.choice(ALPHABET, size=n // 50 + 1, p=self.weights)
        columns = [current]
        for _ in range(49):
            likely = self.followers[current, (30 * self.rng.random(len(current)) ** 2).astype(int)]
            fresh = self.rng.choice(ALPHABET, size=len(current), p=self.weights)
            current = numpy.where(self.rng.random(len(current)) < 0.8, likely, fresh)
            columns.append(current)
        return self._spell(numpy.stack(columns, axis=1).ravel()[:n])

    def lines(self, text: str, n: int) -> List[str]:
        """Cut a text into lines of 17 characters on average."""
        ends = numpy.cumsum(self.rng.poisson(17, n).clip(3)).tolist()
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def names(self, text: str, n: int, lengths: Dict[int, float]) -> List[str]:
        """Different names, read off random places of a text."""
        found: Dict[str, None] = {}
        while len(found) < n:
            starts = self.rng.integers(0, len(text) - max(lengths), n).tolist()
            sizes = self.rng.choice(list(lengths), size=n, p=list(lengths.values())).tolist()
            pairs = zip(starts, sizes, strict=True)
            found.update((text[start : start + size], None) for start, size in pairs)
        return list(islice(found, n))

    @staticmethod
    def _spell(numbers: numpy.ndarray) -> str:
        return (numbers + FIRST_CHARACTER).astype("<u4").tobytes().decode("utf-32-le")


def timed(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def ours(gazetteer: Gazetteer, lines: List[str], overlapping: bool) -> int:
    matches = gazetteer.matcher.stream(lines, overlapping=overlapping)
    return sum(len(found.starts) for found in matches)


def by_pyahocorasick(automaton: Any, lines: List[str]) -> int:
    return sum(1 for line in lines for _ in automaton.iter(line))


def by_daachorse(find: Callable[[str], List[Any]], lines: List[str]) -> int:
    return sum(len(find(line)) for line in lines)


def by_daachorse_to_arrays(find: Callable[[str], List[Any]], lines: List[str]) -> int:
    n = 0
    for start in range(0, len(lines), 10_000):
        found = find("\n".join(lines[start : start + 10_000]))
        flat = numpy.fromiter(chain.from_iterable(found), dtype="int64", count=3 * len(found))
        n += len(flat) // 3
    return n


def pyahocorasick_automaton(names: List[str]) -> Any:
    import ahocorasick

    automaton = ahocorasick.Automaton()
    for number, name in enumerate(names):
        automaton.add_word(name, number)
    automaton.make_automaton()
    return automaton


def daachorse_automaton(names: List[str], kind: str) -> Any:
    import daachorse

    return daachorse.CharwiseDoubleArrayAhoCorasick(names, getattr(daachorse, f"MATCH_KIND_{kind}"))


def matchers(
    names: List[str], gazetteer: Gazetteer, overlapping: bool
) -> Dict[str, Callable[[List[str]], int]]:
    """All that can find these names, by name. Each gives the number of matches."""
    found: Dict[str, Callable[[List[str]], int]] = {
        "ours": partial(ours, gazetteer, overlapping=overlapping)
    }
    # pyahocorasick's iter_long() misses some of the longest matches, and is no peer.
    if overlapping and find_spec("ahocorasick"):
        found["pyahocorasick"] = partial(by_pyahocorasick, pyahocorasick_automaton(names))
    if find_spec("daachorse"):
        kind = "STANDARD" if overlapping else "LEFTMOST_LONGEST"
        automaton = daachorse_automaton(names, kind)
        find = automaton.find_overlapping if overlapping else automaton.find
        found["daachorse"] = partial(by_daachorse, find)
        found["daachorse_to_arrays"] = partial(by_daachorse_to_arrays, find)
    return found


def peak_megabytes(names: List[str], lines: List[str]) -> Dict[str, float]:
    """The most memory that is held at once, beside the names and lines, and what remains."""
    tracemalloc.start()
    gazetteer = Gazetteer(dict.fromkeys(names, ("NAME",)))
    held, building = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    ours(gazetteer, lines, overlapping=True)
    _, matching = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    measured = {"held": held, "peak_building": building, "peak_matching": matching}
    return {name: round(n_bytes / 1e6, 1) for name, n_bytes in measured.items()}


def measure(names: List[str], lines: List[str], rounds: int) -> Dict[str, Any]:
    megabytes = sum(len(line.encode()) for line in lines) / 1e6
    characters = sum(map(len, lines))
    builders: Dict[str, Callable[[], Any]] = {
        "ours": lambda: Gazetteer(dict.fromkeys(names, ("NAME",)))
    }
    if find_spec("ahocorasick"):
        builders["pyahocorasick"] = lambda: pyahocorasick_automaton(names)
    if find_spec("daachorse"):
        builders["daachorse"] = lambda: daachorse_automaton(names, "STANDARD")
    row: Dict[str, Any] = {
        "megabytes": round(megabytes, 1),
        "build_s": {name: round(timed(build), 2) for name, build in builders.items()},
        "memory_mb": peak_megabytes(names, lines[:100_000]),
    }
    gazetteer = Gazetteer(dict.fromkeys(names, ("NAME",)))
    for mode in ("overlapping", "leftmost_longest"):
        finders = matchers(names, gazetteer, mode == "overlapping")
        counts = {name: find(lines[:50_000]) for name, find in finders.items()}
        assert len(set(counts.values())) == 1, counts
        times = [
            {name: timed(partial(find, lines)) for name, find in finders.items()}
            for _ in range(rounds)
        ]
        row[mode] = {
            "matches_per_100_characters": round(100 * finders["ours"](lines) / characters, 1),
            "ours_s": round(statistics.median(turn["ours"] for turn in times), 2),
            "megabytes_per_s": {
                name: round(megabytes / statistics.median(turn[name] for turn in times), 1)
                for name in finders
            },
            "times_as_fast_as": {
                name: round(statistics.median(turn[name] / turn["ours"] for turn in times), 2)
                for name in finders
                if name != "ours"
            },
        }
    return row


def main(
    names: int = 270_000,
    lines: int = 900_000,
    rounds: int = 3,
    seed: int = 0,
    results: Path = ROOT / "benchmarks" / "results" / "gazetteer",
) -> None:
    """Measure, print, write one JSON row."""
    text = RandomText(seed)
    running = text.running(18 * lines)
    cut = text.lines(running, lines)
    row: Dict[str, Any] = {
        "names": names,
        "lines": lines,
        "rounds": rounds,
        "seed": seed,
        "hardware": f"{platform.machine()}, 1 thread, no GPU",
        "versions": {
            package: version(package)
            for package, module in (("pyahocorasick", "ahocorasick"), ("daachorse", "daachorse"))
            if find_spec(module)
        },
    }
    for density, lengths in LENGTHS.items():
        source = running if density == "high" else text.independent(8 * names)
        row[density] = measure(text.names(source, names, lengths), cut, rounds)
    print(json.dumps(row, indent=1))
    write_json(results / "gazetteer.json", row)


if __name__ == "__main__":
    typer.run(main)
