"""Run the rows of the benchmark tables: those that are there already are left alone.

    python benchmarks/plans.py nested --corpus corpus --encoders encoders
    python benchmarks/plans.py nested-whole taggers --gpu-id 0 --corpus corpus --encoders encoders
    python benchmarks/plans.py pretrained adapted --corpus corpus --encoders encoders
    python benchmarks/plans.py decoupled --corpus corpus --encoders encoders

A plan is a list of commands of ``accuracy.py``, each in a process of its own. Which encoder a
corpus takes, and how long it is trained on, is here once for all systems.
"""

import json
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Annotated, Dict, Iterable, List, Mapping, Optional, Sequence, Set

import typer

Command = List[str]

SETUPS: Dict[str, Command] = {
    "genia": ["--train-sentences", "3000", "--epochs", "3", "--learn-rate", "3e-4"],
    "genia-whole": ["--epochs", "5", "--learn-rate", "3e-4"],
    "weibo": ["--epochs", "5", "--learn-rate", "2e-4"],
    "resume": ["--train-sentences", "1500", "--epochs", "3", "--learn-rate", "2e-4"],
    "resume-screening": ["--train-sentences", "800", "--epochs", "3", "--learn-rate", "2e-4"],
    "resume-whole": ["--epochs", "5", "--learn-rate", "2e-4"],
    "ecommerce": ["--epochs", "5", "--learn-rate", "2e-4"],
    "msra": ["--train-sentences", "1000", "--epochs", "3", "--learn-rate", "2e-4"],
    "msra-whole": ["--epochs", "3", "--learn-rate", "2e-4"],
    "weibo_names": ["--epochs", "5", "--learn-rate", "2e-4"],
    "weibo_names-1000": ["--train-sentences", "1000", "--epochs", "5", "--learn-rate", "2e-4"],
    **{
        f"weibo_names-small-{sentences}": [
            *("--train-sentences", str(sentences), "--epochs", str(epochs)),
            *("--batch-size", "4", "--learn-rate", "1e-4"),
        ]
        for sentences, epochs in ((100, 8), (500, 3), (1000, 3))
    },
    **{
        f"crossner_{domain}": ["--epochs", "15", "--batch-size", "8", "--learn-rate", "3e-4"]
        for domain in ("ai", "politics", "music", "literature", "science")
    },
    **{
        name: [
            *("--train-sentences", "1000", "--epochs", "5"),
            *("--batch-size", "16", "--learn-rate", "3e-4"),
        ]
        for name in ("twitter2015", "btc", "re3d", "bionlp13cg")
    },
}
CHINESE = ("weibo", "resume", "ecommerce", "msra", "weibo_names")
ENGLISH_ENCODER, CHINESE_ENCODER = "minilm-l6-en", "me5-small-zh-en-char"

# What pre-training is measured on, with how many seeds, and the encoders of `pretrain.py`.
PRETRAINED_SEEDS = {
    name: 5 if name.startswith("crossner") else 3
    for name in (
        *("crossner_ai", "crossner_politics", "crossner_music", "crossner_literature"),
        *("crossner_science", "twitter2015", "btc", "re3d", "bionlp13cg"),
    )
}
PRETRAINED_ENCODERS = (
    ENGLISH_ENCODER,
    *(
        f"minilm-typed-{pool}"
        for pool in ("n1000", "n3000", "n10000", "all", "wiki3k", "wiki3k-4types")
    ),
)
PRETRAINED_RESULTS = Path(__file__).resolve().parent / "results" / "pretrained"

# What adaptation to raw Chinese text is measured on, and the encoders of `adapt.py`.
ADAPTED_SEEDS = {"weibo": 3, "resume": 3, "ecommerce": 3, "msra": 3}
ADAPTED_ENCODERS = (
    CHINESE_ENCODER,
    *("me5-aligned-0.5m", "me5-aligned-2m", "me5-aligned-8m"),
    *("me5-mlm-0.5m", "me5-mlm-2m", "me5-mlm-8m"),
    *("me5-aligned-2m-mlm-0.5m", "me5-aligned-8m-mlm-2m"),
)
ADAPTED_RESULTS = PRETRAINED_RESULTS.with_name("adapted")
CHINESE_START = "me5-aligned-2m"
"""Chosen on dev: what the Chinese tables on CoFEE start from."""
FULL_VOCABULARY = "me5-small"
PIECES = [
    *["tagger", "--tag", "pieces+characters"],
    *["--override", "components.transformer.model.by_token=false"],
    *["--override", "components.tok2vec.model.char_width=64"],
]
"""The other way to characters: each has the vector of its piece of the full vocabulary, and one of
its own beside it."""

# What the scorer by mention and context is measured on, and the encoders of `decoupled_stages.py`.
DECOUPLED_SETUPS = ("weibo_names", "weibo_names-1000", "msra", "msra-whole")
DECOUPLED_SMALL_SETUPS = tuple(f"weibo_names-small-{count}" for count in (100, 500, 1000))
DECOUPLED_SEEDS = 3
DECOUPLED_ENCODERS = (
    CHINESE_ENCODER,
    *(f"{CHINESE_ENCODER}-{stage}" for stage in ("names", "contexts", "names-contexts")),
)
DECOUPLED_ENDS = DECOUPLED_ENCODERS[0], DECOUPLED_ENCODERS[-1]
"""Before and after both stages: what sharing an encoder is asked of."""
DECOUPLED_RESULTS = PRETRAINED_RESULTS.with_name("decoupled") / "accuracy"
MIXED, TWO_ENCODERS = "mixed data", "two encoders"
"""What the rows of variants are tagged with."""
MIXED_IN = ["--tag", MIXED, "--extra", "mixed"]
UNSHARED = ["--tag", TWO_ENCODERS, "--override", "components.scorer.model.shared=false"]
MORE_NOUNS = "components.candidates.proposers.more=" + json.dumps(
    {"@misc": "spacy_hetner.NounCandidates.v1", "source": "jieba", "max_words": 3}
)
"""Nouns of a second segmenter, without which one name in five is no candidate in Weibo."""

# What CoFEE's encoders of `coarse_to_fine.py` are fine-tuned on, with how many seeds: each seed has
# an encoder of its own. An empty start is the encoder that they come from.
COARSE_SEEDS = {"ecommerce": 3, "twitter2015": 1}
COARSE_QUERY_STARTS = ("", "direct", "cofee-FET-ESI", "cofee-FET", "cofee")
COARSE_TAGGER_STARTS = ("", "direct-tagger", "cofee-tagger")
COARSE_RESULTS = PRETRAINED_RESULTS.with_name("coarse_to_fine_tuned")

SPAN_SYSTEMS = [
    ["locate_and_label"],
    ["spancat_ngram"],
    ["spancat_span_finder"],
    ["token_tagger"],
]
NO_REGRESSOR = [
    *["locate_and_label", "--tag", "no-regressor"],
    *["--override", "components.span_proposer.use_regressor=false"],
]
TAGGERS = [
    ["tagger", "--tag", "softmax", "--override", "components.tagger.model.crf=false"],
    ["tagger"],
    ["tagger", "--tag", "13 layers", "--override", "components.tagger.model.extra_layer=true"],
    ["class_attention"],
]


def commands(setups: Iterable[str], systems: Iterable[Command], seeds: int) -> List[Command]:
    """All of the systems on all of the setups, seed by seed."""
    return [
        command(setup, system, seed)
        for seed, setup, system in product(range(seeds), setups, systems)
    ]


def command(setup: str, system: Command, seed: int, encoder: Optional[str] = None) -> Command:
    """Arguments of ``accuracy.py``; the encoder by its name."""
    data = setup.partition("-")[0]
    encoder = encoder or (CHINESE_ENCODER if data in CHINESE else ENGLISH_ENCODER)
    return [data, *system, *SETUPS[setup], "--seed", str(seed), "--encoder", encoder]


def fine_tuning(
    system: Command, encoders: Sequence[str], seeds: Mapping[str, int], results: Path
) -> List[Command]:
    """A system over each of the encoders, seed by seed; data sets have numbers of seeds."""
    system = [*system, "--results", str(results)]
    return [
        command(data, system, seed, encoder)
        for seed in range(max(seeds.values()))
        for data, count in seeds.items()
        if seed < count
        for encoder in encoders
    ]


def coarse_to_fine() -> List[Command]:
    """The components of both backbones over what the stages of CoFEE left, with its head."""
    found = []
    for seed in range(max(COARSE_SEEDS.values())):
        for data in (data for data, count in COARSE_SEEDS.items() if seed < count):
            chinese = data in CHINESE
            plain = CHINESE_START if chinese else ENGLISH_ENCODER
            query = {"queries": "zh" if chinese else "en", "model.by_token": chinese}
            systems = [("mrc_tagger", start, query) for start in COARSE_QUERY_STARTS]
            systems += [("tagger", start, {"model.crf": False}) for start in COARSE_TAGGER_STARTS]
            for config, start, settings in systems:
                system = _coarse_system(config, start, settings)
                if config == "tagger" and start:
                    # The head goes on, which reads the vectors as they are.
                    taught = {
                        "components.tok2vec.model.standardized": False,
                        "components.transformer.model.by_token": chinese,
                        "initialize.components.tagger.head": "${paths.encoder}",
                    }
                    system += _overrides(taught)
                encoder = f"{plain}-{start}-s{seed}" if start else plain
                found.append(command(data, system, seed, encoder))
    return found


def _coarse_system(config: str, start: str, settings: Mapping[str, object]) -> Command:
    """Rows of all seeds have the same tag, and encoders of different names."""
    values = {f"components.tagger.{name}": value for name, value in settings.items()}
    tag = ["--tag", start or "no stage", "--results", str(COARSE_RESULTS)]
    return [config, *tag, *_overrides(values)]


def _overrides(values: Mapping[str, object]) -> Command:
    return [
        part
        for name, value in values.items()
        for part in ("--override", f"{name}={json.dumps(value)}")
    ]


def screening() -> List[Command]:
    """Classification Attention on dev: how much is taken off, of what, and how classes merge."""
    choices = product((0.0, 0.25, 0.5, 0.75), ("class", "shared"), ("sum", "concat"))
    systems = [
        [
            *["class_attention", "--split", "dev", "--tag", f"{alpha:g} {scope} {merge}"],
            *["--override", f"components.tagger.alpha={alpha}"],
            *["--override", f'components.tagger.scope="{scope}"'],
            *["--override", f'components.tagger.model.merge="{merge}"'],
        ]
        for alpha, scope, merge in choices
    ]
    return commands(["resume-screening", "weibo"], systems, seeds=1)


def decoupled() -> List[Command]:
    """The scorer after none, either and both of the stages, and taggers beside it.

    Whether the scorer's inputs share an encoder is asked of one seed. Sentences to mix in are there
    for Weibo only.
    """
    results = ["--results", str(DECOUPLED_RESULTS)]
    scorer = ["decoupled", *results, "--override", MORE_NOUNS]
    two = [*scorer, *UNSHARED]
    runs = []
    for seed, setup in product(range(DECOUPLED_SEEDS), DECOUPLED_SETUPS):
        taggers = [["tagger"], ["tagger", *MIXED_IN]] if setup.startswith("weibo") else [["tagger"]]
        runs += [command(setup, [*tagger, *results], seed) for tagger in taggers]
        runs += [command(setup, scorer, seed, encoder) for encoder in DECOUPLED_ENCODERS]
        if seed == 0 and setup == DECOUPLED_SETUPS[0]:
            runs += [command(setup, two, seed, encoder) for encoder in DECOUPLED_ENDS]
    return runs


def decoupled_screening() -> List[Command]:
    """The scorer on dev: its learning rate, and how many negatives it sees."""
    systems = [
        [
            *["decoupled", "--split", "dev", "--tag", f"{rate} {negatives}"],
            *["--override", f"training.optimizer.learn_rate.initial_rate={rate}"],
            *["--override", f"components.scorer.negative_ratio={negatives}"],
            *["--override", MORE_NOUNS, "--results", str(DECOUPLED_RESULTS)],
        ]
        for rate, negatives in product((5e-5, 1e-4, 2e-4, 4e-4), (3.0, 10.0))
    ]
    return [command(DECOUPLED_SETUPS[0], system, 0) for system in systems]


def decoupled_small() -> List[Command]:
    """What a processor does in some hours: a tagger, and the scorer after none, either and both of
    the stages, on dev, with few sentences and few negatives.

    Two encoders and mixed data are asked of one seed and number of sentences.
    """
    options = ["--split", "dev", "--results", str(DECOUPLED_RESULTS)]
    scorer = ["decoupled", *options, "--override", MORE_NOUNS]
    scorer += ["--override", "components.scorer.negative_ratio=3.0"]
    systems = [(["tagger", *options], CHINESE_ENCODER)]
    systems += [(scorer, encoder) for encoder in DECOUPLED_ENCODERS]
    runs = []
    for seed, setup in product(range(DECOUPLED_SEEDS), DECOUPLED_SMALL_SETUPS):
        runs += [command(setup, system, seed, encoder) for system, encoder in systems]
        if (seed, setup) == (0, "weibo_names-small-100"):
            two = [*scorer, *UNSHARED]
            runs += [command(setup, two, seed, encoder) for encoder in DECOUPLED_ENDS]
        if (seed, setup) == (0, "weibo_names-small-500"):
            runs.append(command(setup, ["tagger", *MIXED_IN, *options], seed))
    return runs


def adapted() -> List[Command]:
    """The tagger over adapted encoders, and over pieces of the full vocabulary: on dev, since the
    encoder of other tables is chosen by it."""
    systems = [(["tagger"], ADAPTED_ENCODERS), (PIECES, (FULL_VOCABULARY,))]
    runs = [
        run
        for system, encoders in systems
        for run in fine_tuning(
            [*system, "--split", "dev"], encoders, ADAPTED_SEEDS, ADAPTED_RESULTS
        )
    ]
    return sorted(runs, key=lambda run: int(run[run.index("--seed") + 1]))


PLANS: Dict[str, List[Command]] = {
    "nested": commands(["genia"], [*SPAN_SYSTEMS, NO_REGRESSOR], seeds=3),
    "nested-whole": commands(["genia-whole"], [*SPAN_SYSTEMS, NO_REGRESSOR], seeds=3),
    "flat": commands(["weibo", "resume"], SPAN_SYSTEMS, seeds=3),
    "taggers-screening": screening(),
    "taggers": commands(["weibo", "resume"], TAGGERS, seeds=5),
    "taggers-whole": commands(["resume-whole", "ecommerce"], TAGGERS, seeds=5),
    "pretrained": fine_tuning(
        ["tagger"], PRETRAINED_ENCODERS, PRETRAINED_SEEDS, PRETRAINED_RESULTS
    ),
    "coarse_to_fine": coarse_to_fine(),
    "adapted": adapted(),
    "decoupled-screening": decoupled_screening(),
    "decoupled-small": decoupled_small(),
    "decoupled": decoupled(),
}


def main(
    plans: Annotated[List[str], typer.Argument(help=f"Some of: {', '.join(PLANS)}")],
    corpus: Annotated[Path, typer.Option(exists=True, help="Folder of the converted corpora")],
    encoders: Annotated[Path, typer.Option(exists=True, help="Folder of the encoder folders")],
    gpu_id: Annotated[int, typer.Option(help="-1 for the CPU")] = -1,
    precision: str = "bf16",
) -> None:
    """Run what is not there yet, one after the other; an encoder that is not there is told of."""
    script = Path(__file__).parent / "accuracy.py"
    common = ["--corpus", str(corpus), "--precision", precision, "--gpu-id", str(gpu_id)]
    missing: Set[str] = set()
    for *arguments, name in [command for plan in plans for command in PLANS[plan]]:
        if (encoders / name).is_dir():
            run = [sys.executable, str(script), *arguments, str(encoders / name), *common]
            subprocess.run(run, check=True)
        else:
            missing.add(name)
    if missing:
        typer.echo(f"Not in {encoders}: {', '.join(sorted(missing))}", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
