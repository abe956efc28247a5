"""An encoder adapted to raw text: its texts collected, and the config of the run over them.

With a teacher the encoder learns to read the pieces it has (piece alignment), without one it gets
used to the texts (masked language modelling).
"""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional

from thinc.api import Config

from ..corpora.text_store import PARTS
from ..files import replacing
from ..types import PathLike
from .settings import SECTION, read_config, resolve_settings

TEXT, CONFIG = "text", "config.cfg"
"""In the folder of a run: the collected texts, and the config that they are learned by."""

_ALIGNMENT: Dict[str, Any] = {
    "objective": {
        "@misc": "spacy_hetner.PieceAlignment.v1",
        "teacher": "${paths.teacher}",
    },
    "sampler": {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 1536},
    "optimizer": {"@misc": "spacy_hetner.AdamW.v1", "learn_rate": 3e-4},
    "schedule": {"@misc": "spacy_hetner.WarmupLinear.v1", "warmup": 0.05},
}
_MASKING: Dict[str, Any] = {
    "objective": {"@misc": "spacy_hetner.MaskedLanguageModelling.v1"},
    "sampler": {"@misc": "spacy_hetner.BucketSampler.v1", "batch_pieces": 2048},
    "optimizer": {"@misc": "spacy_hetner.AdamW.v1", "learn_rate": 5e-5},
    "schedule": {"@misc": "spacy_hetner.WarmupLinear.v1", "warmup": 0.1},
}


def write_adaptation(
    output: PathLike,
    overrides: Mapping[str, Any],
    *,
    student: PathLike,
    teacher: Optional[PathLike] = None,
    by_token: bool = False,
    whole_words: str = "tokens",
    has_dev: bool = True,
) -> Config:
    """Write ``output/config.cfg``, which ``pretrain`` takes with the texts in ``output/text``.

    overrides (Mapping[str, Any]): Values of the config, such as ``pretraining.seed``.
    student (PathLike): The encoder folder to start from.
    teacher (Optional[PathLike]): The encoder folder whose vectors are learned; None: hidden pieces
        are.
    by_token (bool): Cut each token on its own, as for Chinese by the character.
    whole_words (str): Without a teacher: what is hidden together, see
        ``make_masked_language_modelling``.
    has_dev (bool): Whether there is a part to evaluate on.
    RAISES (ValueError): As ``resolve_settings``.
    """
    texts = Path(output) / TEXT
    paths = {"encoder": student, "teacher": teacher, "train": texts / PARTS[0]}
    taught = _MASKING if teacher is None else _ALIGNMENT
    objective = {**taught["objective"], "by_token": by_token}
    if teacher is None:
        del paths["teacher"]
        objective["whole_words"] = whole_words
    section = {
        **{name: f"${{paths.{name}}}" for name in ("encoder", "train")},
        "dev": str(texts / PARTS[1]) if has_dev else None,
        "max_epochs": 1,
        "eval_frequency": 500 if has_dev else 0,
        "checkpoint_frequency": 100,
        "logger": {"@loggers": "spacy.ConsoleLogger.v1", "progress_bar": False},
        **taught,
        "objective": objective,
    }
    config = Config({"paths": {name: str(path) for name, path in paths.items()}, SECTION: section})
    path = Path(output) / CONFIG
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        Config().from_str(config.to_str(), overrides=dict(overrides)).to_disk(partial)
    written = read_config(path, {})
    resolve_settings(written)
    return written
