"""``spacy hetner encoder adapt``: make an encoder read a language as its folder cuts it."""

import sys
from pathlib import Path
from typing import Annotated, List, Optional

from spacy.cli._util import parse_config_overrides
from typer import Context, Option

from ..corpora.readers.texts import language_code
from ..corpora.text_store import collect_texts
from ..engine.make import make_engine
from ..errors import Errors
from .job import SeedOption, StrictOption, WorkersOption, counts_table
from .pretrain import CpuOption, tell_outcome
from .text import sources_table


def adapt_cli(
    ctx: Context,
    student: Annotated[
        Path, Option("--student", help="Encoder folder to start from", exists=True, file_okay=False)
    ],
    text: Annotated[
        List[str],
        Option(
            "--text",
            help="Raw texts: PATH (a text a line, or Parquet files of records), PATH:KEY (JSON), "
            "PATH:COLUMN; may be repeated",
        ),
    ],
    out: Annotated[
        Path, Option("--out", "-o", help="Folder of the run; the result is its encoder/")
    ],
    lang: Annotated[str, Option("--lang", "-l", help="Language: chooses the tokenizer")],
    teacher: Annotated[
        Optional[Path],
        Option(
            "--teacher",
            help="Encoder folder whose vectors are learned; default: hidden pieces are guessed",
            exists=True,
            file_okay=False,
        ),
    ] = None,
    per_character: Annotated[
        bool, Option("--per-character", help="zh: Latin letters and digits one by one")
    ] = False,
    by_token: Annotated[
        Optional[bool],
        Option(
            "--by-token/--running-text",
            help="How the student will read: each token on its own, or not; default: so for zh",
        ),
    ] = None,
    exclude: Annotated[
        Optional[List[str]],
        Option("--exclude", "-x", help="Test set, named as a text is; may be repeated"),
    ] = None,
    overlap: Annotated[
        int, Option("--overlap", help="Characters in a row that no text may share with a test set")
    ] = 20,
    dev: Annotated[
        float, Option("--dev", help="Share of the texts for validation; 0: none")
    ] = 0.01,
    seed: SeedOption = 0,
    workers: WorkersOption = None,
    strict: StrictOption = False,
    resume: Annotated[
        bool, Option("--resume", "-r", help="Go on from the last checkpoint, if there is one")
    ] = False,
    cpu: CpuOption = False,
) -> None:
    """
    Adapt an encoder to raw text. With a teacher of larger pieces it learns to say of its own, such
    as characters, what the teacher says of the same text; without one it learns to guess hidden
    pieces. The texts are in OUT/text then, and OUT/config.cfg is for `spacy hetner pretrain`, with
    several processes too. Values of it are replaced as there: `--pretraining.precision bf16`.
    """
    try:
        from ..pretraining.adapt import TEXT, write_adaptation
        from ..pretraining.train import check_unused, pretrain
    except ImportError as error:
        raise ValueError(Errors.HE209.format(reason=error)) from error
    overrides = {"pretraining.seed": seed, **parse_config_overrides(list(ctx.args))}
    if not resume:
        check_unused(out)
    is_chinese = language_code(lang) == "zh"
    config = write_adaptation(
        out,
        overrides,
        student=student,
        teacher=teacher,
        by_token=is_chinese if by_token is None else by_token,
        whole_words="jieba" if is_chinese else "tokens",
        has_dev=dev > 0,
    )
    counts = collect_texts(
        text,
        out / TEXT,
        make_engine("local", workers=workers),
        lang=lang,
        per_character=per_character,
        exclude=exclude or (),
        overlap=overlap,
        dev=dev,
        seed=seed,
        strict=strict,
    )
    print(sources_table(counts))
    print(counts_table(counts, ("totals", "dropped", "places")))
    tell_outcome(pretrain(config, out, resume=resume, cpu=cpu, interactive=sys.stderr.isatty()))
