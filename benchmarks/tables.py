"""Make docs/benchmarks.md from the rows in benchmarks/results/.

    python benchmarks/tables.py

One table holds only rows of one data set, encoder, training size, schedule, machine and set of
versions; one line of it is one system with one set of settings, averaged over its seeds. What is
expected and has no row is named under the table.
"""

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import typer

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))
from adaptation_tables import adaptation_section  # noqa: E402
from coarse_tables import coarse_section  # noqa: E402
from decoupled_tables import decoupled_section  # noqa: E402
from knowledge_tables import knowledge_sections, markdown_table  # noqa: E402
from pretraining_tables import pretraining_section  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"

Row = Dict[str, Any]

SEEDS = (0, 1, 2)
SYSTEMS = {
    "locate_and_label": "Locate and Label (this package)",
    "spancat_ngram": "spaCy spancat, all n-grams",
    "spancat_span_finder": "spaCy span_finder + spancat",
    "token_tagger": "token tagger (BIO, outermost entities)",
}
TITLES = {
    **SYSTEMS,
    "tagger": "CRF tagger (this package)",
    "class_attention": "Classification Attention (this package)",
}
# What tells tables apart, and what tells the lines of one table apart.
SETUP = (
    "data",
    "encoder",
    "split",
    "train_sentences",
    "epochs",
    "batch_size",
    "precision",
    "hardware",
    "versions",
)
RUN = ("system", "tag", "learn_rate", "override")


class DataSet(NamedTuple):
    """A corpus as the page shows it; depth columns make sense only where entities nest."""

    title: str
    note: str
    nested: bool = True


DATA_SETS = {
    "genia": DataSet(
        "GENIA",
        "English abstracts, nested. Training sentences come from one file a type, which lacks "
        "entities inside another of their own type; the test part is layered and whole.",
    ),
    "weibo": DataSet(
        "Weibo",
        "Chinese social media, flat, a token a character. The paper of Classification Attention, "
        "with BERT-base on all sentences: Classification Attention 72.51, BERT + CRF 71.05, 13 "
        "layers + CRF 69.14.",
        nested=False,
    ),
    "resume": DataSet(
        "Resume",
        "Chinese resumes, flat, a token a character. The paper of Classification Attention, with "
        "BERT-base on all sentences: Classification Attention 96.06, BERT + CRF 95.76, 13 layers + "
        "CRF 95.97.",
        nested=False,
    ),
}


class Column(NamedTuple):
    """A figure of a row: its heading, where it is, and how it is written."""

    title: str
    path: Tuple[str, ...]
    show: Callable[[float], str]
    depth: bool = False


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def decimal(value: float) -> str:
    return f"{value:.1f}"


def whole(value: float) -> str:
    return f"{value:,.0f}"


# "best" is added by read_rows: the scores at the fitted threshold, for systems that have one.
F_SCORE = ("best", "spans_entities_f")
COLUMNS = (
    Column("P", ("best", "spans_entities_p"), percent),
    Column("R", ("best", "spans_entities_r"), percent),
    Column("F unfitted", ("scores", "spans_entities_f"), percent),
    Column("F 5-9", ("best", "spans_entities_by_length", "5-9", "f"), percent),
    Column("F 10+", ("best", "spans_entities_by_length", "10+", "f"), percent),
    Column("F depth 1", ("best", "spans_entities_by_depth", "1", "f"), percent, depth=True),
    Column("F depth 2", ("best", "spans_entities_by_depth", "2", "f"), percent, depth=True),
    Column("F depth 3", ("best", "spans_entities_by_depth", "3", "f"), percent, depth=True),
    Column("F unlabelled", ("best", "spans_entities_unlabelled_f"), percent),
    Column("candidate recall", ("scores", "candidates_recall"), percent),
    Column("candidates per gold", ("scores", "candidates_per_gold"), decimal),
    Column("train CPU s", ("train_cpu_s",), whole),
)

# Of this package's time to another's, set before the first measurement.
PREDICT_GOALS = {
    "transformer+ner, defaults": 0.60,
    "transformer+ner, max_batch_items=128": 0.95,
    "transformer+spancat(1-8), defaults": 0.40,
}
BARE_GOALS = {
    "spacy_hetner": 1.25,
    "spacy_hetner, filter_width=128": 1.25,
    "hetner_tagger": 1.10,
    "hetner_class_attention_tagger": 1.25,
}
UPDATE_GOALS = {"transformer+spancat(1-8), defaults": 0.80}

CRF_GOALS = {"loss": 0.75, "decode": 0.5}

NO_ROWS = "No rows yet.\n"
METHOD = """\
# Benchmarks

<!-- Made by `python benchmarks/tables.py` from the rows in benchmarks/results/: edit those. -->

All figures come from the rows in `benchmarks/results/`, one JSON file a run. A run is repeated by
the command in the head of [`accuracy.py`](../benchmarks/accuracy.py) or
[`speed.py`](../benchmarks/speed.py).
"""

ACCURACY = """\
## Accuracy

Every system of a table has the same encoder, training sentences, batches, epochs and optimizer
(its rate is named where it differs). Nothing is selected on the test part, which is scored once,
after the last epoch. Systems that give scores keep what lies above a threshold, fitted on the dev
part of the same corpus for the best F; `F unfitted` is with the threshold of their config. Scores
are strict micro-averages in percent on character offsets: start, end and label must all be right.
`F` is the mean over seeds, with the sample standard deviation; the other columns are means. `5-9`
and `10+` count entities of so many tokens. Depth is 1 for what lies in no other entity, 2 for what
lies in one, and so on: recall takes it among the gold entities, precision among the predicted
ones. `candidates` are what a proposer offers to the classifier. CPU seconds are those of training,
on a machine that did other things too: compare orders of magnitude.
"""

SPEED = """\
## Speed

One thread, CPU time, all systems in one process by turns, medians over the rounds. Each was
trained for the same number of steps first, each batch seen once. Read the ratios: seconds belong to
the machine. The bare encoder is the faster of two ways to batch it, without any head.
"""


CRF = """\
## CRF

The chain that both taggers end in, beside pytorch-crf on the same scores, in turns, with equal
losses and equal tags: [`crf.py`](../benchmarks/crf.py).
"""


def read_rows(folder: Path) -> List[Row]:
    """The JSON rows of a folder, in the order of their names; none if there is no folder."""
    rows = [json.loads(path.read_text(encoding="utf8")) for path in sorted(folder.glob("*.json"))]
    return [{**row, "best": row.get("fitted_scores") or row.get("scores")} for row in rows]


class Summary(NamedTuple):
    """A figure over seeds; ``sd`` is the sample standard deviation, None for a single seed."""

    mean: float
    sd: Optional[float]


def summarize(rows: Sequence[Row], path: Sequence[str]) -> Optional[Summary]:
    """Mean and deviation of a figure; None where a row lacks it."""
    values = [_look_up(row, path) for row in rows]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return Summary(statistics.mean(known), statistics.stdev(known) if len(known) > 1 else None)


def group_by(rows: Iterable[Row], names: Sequence[str]) -> Dict[str, List[Row]]:
    """Rows that agree in the named settings, in order of first appearance."""
    groups: Dict[str, List[Row]] = defaultdict(list)
    for row in rows:
        groups[json.dumps([row[name] for name in names], sort_keys=True)].append(row)
    return dict(groups)


def accuracy_section(rows: Sequence[Row]) -> str:
    """All accuracy tables. RAISES (ValueError): two rows of one run with the same seed."""
    parts = [ACCURACY]
    for name in [*DATA_SETS, *sorted({row["data"] for row in rows} - set(DATA_SETS))]:
        data = DATA_SETS.get(name, DataSet(name, ""))
        parts.append(f"### {data.title}\n\n{data.note}".rstrip() + "\n")
        setups = group_by((row for row in rows if row["data"] == name), SETUP)
        if not setups:
            parts.append(NO_ROWS)
        for setup in setups.values():
            parts.append(_setup_tables(setup, data))
    return "\n".join(parts)


def speed_section(rows: Sequence[Row]) -> str:
    """All speed tables."""
    return "\n".join([SPEED, *(_speed_tables(row) for row in rows)] if rows else [SPEED, NO_ROWS])


def not_run_section(items: Sequence[Dict[str, str]]) -> str:
    """What was left out, and why."""
    lines = [f"- {item['what']}: {item['why']}" for item in items]
    return "\n".join(["## Not run", "", *(lines or ["Nothing was left out."]), ""])


def make_page(results: Path) -> str:
    """The whole page."""
    not_run = results / "not_run.json"
    items = json.loads(not_run.read_text(encoding="utf8")) if not_run.exists() else []
    return "\n".join(
        [
            METHOD,
            accuracy_section(read_rows(results / "accuracy")),
            speed_section(read_rows(results / "speed")),
            crf_section(read_rows(results / "crf")),
            knowledge_sections(results),
            pretraining_section(results),
            adaptation_section(results),
            decoupled_section(results),
            coarse_section(results),
            not_run_section(items),
        ]
    )


def crf_section(rows: Sequence[Row]) -> str:
    """The CRF beside another library's."""
    tables = []
    for row in rows:
        lines = [
            [
                title,
                f"{row[key]['ours_ms']:.1f}",
                f"{row[key]['pytorch_crf_ms']:.1f}",
                f"{row[key]['ratio']:.2f}{_goal(CRF_GOALS[key])}",
            ]
            for key, title in (("loss", "loss and gradients"), ("decode", "best tags"))
        ]
        tables.append(
            f"{row['sentences']} sentences, {row['tokens']:,} tokens, {row['tags']} tags, "
            f"{row['rounds']} rounds; {row['hardware']}.\n"
        )
        tables.append(markdown_table(["", "ours, ms", "pytorch-crf, ms", "ratio"], lines))
    return "\n".join([CRF, *tables] if tables else [CRF, NO_ROWS])


def _setup_tables(rows: Sequence[Row], data: DataSet) -> str:
    first = rows[0]
    versions = ", ".join(f"{name} {version}" for name, version in first["versions"].items())
    head = (
        f"Encoder `{first['encoder']}`, {first['train_sentences']:,} training sentences, "
        f"epochs: {first['epochs']}, sentences a batch: {first['batch_size']}, "
        f"{first['precision']}, "
        f"{first['split']} part; {first['hardware']}; {versions}.\n"
    )
    plain = [row for row in rows if not row["tag"]]
    tagged = [row for row in rows if row["tag"]]
    parts = [head]
    if plain:
        parts.append(_accuracy_table(plain, data))
        if first["split"] == "test":  # what is screened on dev is not meant to be complete
            parts.append(_missing(plain))
    if tagged:
        systems = {row["system"] for row in tagged}
        parts.append("Ablations and variants, each beside the system that it changes:\n")
        parts.append(
            _accuracy_table([*(row for row in plain if row["system"] in systems), *tagged], data)
        )
    return "\n".join(parts)


def _accuracy_table(rows: Sequence[Row], data: DataSet) -> str:
    lines = sorted(group_by(rows, RUN).values(), key=_place)
    columns = [
        column
        for column in COLUMNS
        if (data.nested or not column.depth)
        and any(summarize(line, column.path) is not None for line in lines)
    ]
    varying = any(line[0]["learn_rate"] != lines[0][0]["learn_rate"] for line in lines)
    header = ["system", "F", *(column.title for column in columns), "seeds"]
    cells = []
    for line in lines:
        _check_seeds(line)
        cells.append(
            [
                _line_name(line[0], with_rate=varying),
                _with_deviation(summarize(line, F_SCORE)),
                *(_show(summarize(line, column.path), column.show) for column in columns),
                str(len(line)),
            ]
        )
    return markdown_table(header, cells)


def _place(line: Sequence[Row]) -> Tuple[int, str, str, float]:
    row = line[0]
    order = list(TITLES).index(row["system"]) if row["system"] in TITLES else len(TITLES)
    return order, row["system"], row["tag"], row["learn_rate"]


def _line_name(row: Row, *, with_rate: bool) -> str:
    system = str(row["system"])
    notes = [TITLES.get(system, system)]
    if row["tag"]:
        notes.append(row["tag"])
    notes += [f"`{item}`" for item in row["override"]]
    if with_rate:
        notes.append(f"learning rate {row['learn_rate']:g}")
    return ", ".join(notes)


def _check_seeds(line: Sequence[Row]) -> None:
    seeds = [row["seed"] for row in line]
    if len(set(seeds)) < len(seeds):
        run = {name: line[0][name] for name in (*RUN, *SETUP)}
        raise ValueError(f"Two rows with the same seed ({sorted(seeds)}) of one run: {run}")


def _missing(rows: Sequence[Row]) -> str:
    """A sentence that names the runs which are expected and not there."""
    have = {(row["system"], row["seed"]) for row in rows}
    gaps = []
    for system, title in SYSTEMS.items():
        seeds = [str(seed) for seed in SEEDS if (system, seed) not in have]
        if len(seeds) == len(SEEDS):
            gaps.append(title)
        elif seeds:
            gaps.append(f"{title} (seed {', '.join(seeds)})")
    return f"Missing: {'; '.join(gaps)}.\n" if gaps else ""


def _speed_tables(row: Row) -> str:
    ours = row["ours"]
    head = (
        f"`{row['data']}`, encoder `{row['encoder']}`: "
        f"{row['texts']:,} test sentences, {row['words']:,} words, "
        f"{row['rounds']} rounds after {row['steps']} training steps"
        f"{', ours read by a fully trained pipeline' if row['trained_pipeline'] else ''}; "
        f"{_candidates(row)}{row['hardware']}.\n"
    )
    predict = [
        [
            name,
            f"{seconds:.3f}",
            f"{row['ratio_to_bare'][name]:.2f}" + _goal(BARE_GOALS.get(name)),
            _ratio(row["ours_ratio_to"], name, PREDICT_GOALS) if name != ours else "",
        ]
        for name, seconds in row["cpu_s"].items()
    ]
    update = [
        [
            name,
            f"{seconds:.3f}",
            _ratio(row["update_ratio_to"], name, UPDATE_GOALS) if name != ours else "",
        ]
        for name, seconds in row["update_cpu_s"].items()
    ]
    tensors = row["largest_head_tensor_bytes"]
    shortest = min(tensors, key=int)
    memory = [
        [f"{int(words):,}", f"{size:,}", f"{size / tensors[shortest]:.2f}"]
        for words, size in tensors.items()
    ]
    return "\n".join(
        [
            head,
            markdown_table(["text to spans", "CPU s", "÷ bare encoder", f"{ours} ÷ it"], predict),
            markdown_table(["training step", "CPU s", f"{ours} ÷ it"], update),
            markdown_table(
                ["words in one text", "largest tensor of the heads, bytes", "ratio"], memory
            ),
        ]
    )


def _candidates(row: Row) -> str:
    return (
        f"{row['candidates'] / row['words']:.2f} candidates a word; " if row["candidates"] else ""
    )


def _ratio(ratios: Dict[str, float], name: str, goals: Dict[str, float]) -> str:
    return f"{ratios[name]:.2f}{_goal(goals.get(name))}" if name in ratios else ""


def _goal(goal: Optional[float]) -> str:
    return "" if goal is None else f" (goal ≤ {goal:.2f})"


def _look_up(row: Row, path: Sequence[str]) -> Optional[float]:
    node: Any = row
    for name in path:
        if not isinstance(node, dict) or node.get(name) is None:
            return None
        node = node[name]
    return float(node)


def _with_deviation(summary: Optional[Summary]) -> str:
    if summary is None:
        return ""
    sd = "" if summary.sd is None else f" ± {percent(summary.sd)}"
    return f"**{percent(summary.mean)}**{sd}"


def _show(summary: Optional[Summary], show: Callable[[float], str]) -> str:
    return "" if summary is None else show(summary.mean)


def main(results: Path = RESULTS, page: Path = PAGE) -> None:
    """Write the page."""
    page.write_text(make_page(results), encoding="utf8")
    typer.echo(f"Wrote {page}")


if __name__ == "__main__":
    typer.run(main)
