"""What is told of a run: a log of JSON lines, a bar, and any logger of spaCy's registry."""

import json
import math
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Type

from thinc.api import Config
from tqdm import tqdm

from ..errors import Errors
from ..files import replacing
from ..types import PathLike

STEP, EVALUATION, END = "step", "evaluation", "end"
"""The events that every log has; a run that is resumed has not ended."""


class RunLog:
    """The log of a run; a context manager, because bars and loggers have to be closed.

    path (PathLike): The file to write. Each line is an object with ``event`` and ``step``. Where a
        run is resumed, the lines behind ``resumed_step`` make room for those to come.
    logger (Optional[Callable]): What a function of spaCy's registry ``loggers`` returns. It sees a
        pipeline with one trainable pipe a loss.
    config (Mapping[str, Any]): The config that the logger is shown.
    losses (Sequence[str]), score (str): The losses, and the score that chooses the best weights.
    total_steps (int): Of the whole run.
    eval_frequency (int): Steps from one evaluation to the next, for the bars of loggers; 0: all.
    resumed_step (int): The last step of the checkpoint that the run goes on from; 0: none, the
        file starts anew.
    interactive (bool): Show a bar on stderr.
    enabled (bool): False in all processes of a run but one: they log nothing.

    Raises ValueError for a file that cannot be written (HE081), or with a line that is no event
    (HE213), and whatever the logger raises.
    """

    def __init__(
        self,
        path: PathLike,
        logger: Optional[Callable[..., Any]],
        config: Mapping[str, Any],
        losses: Sequence[str],
        score: str,
        *,
        total_steps: int,
        eval_frequency: int = 0,
        resumed_step: int = 0,
        interactive: bool = False,
        enabled: bool = True,
    ) -> None:
        self._enabled = enabled
        if not enabled:
            return
        path = Path(path)
        self._history = _History(losses, score)
        _rewind(path, resumed_step, self._history.add)
        self._history.step = resumed_step
        self._log_step: Optional[Callable[..., None]] = None
        with ExitStack() as opened:
            self._file = opened.enter_context(
                path.open("a", encoding="utf8", newline="\n", buffering=1)
            )
            if logger is not None:
                training = {
                    **config.get("training", {}),
                    "max_steps": total_steps,
                    "eval_frequency": eval_frequency or total_steps,
                    "score_weights": {score: 1.0},
                }
                shown = _Pipeline(Config({**config, "training": training}), losses)
                self._log_step, finalize = logger(shown, sys.stdout, sys.stderr)
                opened.callback(finalize)
            self._bar = opened.enter_context(
                tqdm(
                    total=total_steps,
                    initial=resumed_step,
                    unit="step",
                    dynamic_ncols=True,
                    disable=not interactive,
                )
            )
            self._opened = opened.pop_all()

    def step(
        self,
        step: int,
        epoch: float,
        losses: Mapping[str, float],
        *,
        pieces: int,
        seconds: float,
        rate: float,
    ) -> None:
        """Tell of a step, and of those since the one that was told of before.

        losses (Mapping[str, float]): Their means over these steps.
        pieces (int): What the encoder read in these steps, padding left out.
        seconds (float): How long they took.
        rate (float): The learning rate of the step.
        """
        if not self._enabled:
            return
        done = step - self._history.step
        told = {"losses": losses, "pieces": pieces, "seconds": seconds, "rate": rate}
        self.event(STEP, step, epoch=epoch, **told)
        shown = [f"{name} {loss:.4g}" for name, loss in losses.items()]
        if seconds > 0:
            shown.append(f"{pieces / seconds:,.0f} pieces/s")
        self._bar.set_postfix_str(", ".join(shown), refresh=False)
        self._bar.update(done)
        if self._log_step is not None:
            for _ in range(done):
                self._log_step(None)

    def evaluation(self, step: int, epoch: float, scores: Mapping[str, float]) -> None:
        """Tell of an evaluation after a step."""
        self.event(EVALUATION, step, epoch=epoch, scores=scores)
        if self._enabled and self._log_step is not None:
            self._bar.clear()  # else a logger would write on its line
            self._log_step(self._history.info(epoch, scores))
            self._bar.refresh()

    def event(self, name: str, step: int, **values: Any) -> None:
        """Tell of something else, such as why a run has ended: in the file only."""
        if self._enabled:
            line = plain({"event": name, "step": step, **values})
            self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._history.add(line)

    def close(self) -> None:
        """Close the file and the bar, and tell the logger that this is the end."""
        if self._enabled:
            self._opened.close()

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.close()


class _History:
    """What spaCy's loggers are told at an evaluation, gathered from the lines of a log."""

    def __init__(self, losses: Sequence[str], score: str) -> None:
        self.step = 0
        self._score = score
        self._pieces = 0
        self._seconds = 0.0
        self._results: List[Tuple[float, int]] = []
        self._steps = 0  # since the last evaluation, as are the sums
        self._sums = dict.fromkeys(losses, 0.0)
        self._means = dict(self._sums)

    def add(self, line: Mapping[str, Any]) -> None:
        """Take in the next line."""
        if line["event"] == STEP:
            done, self.step = line["step"] - self.step, line["step"]
            self._steps += done
            self._pieces += line["pieces"]
            self._seconds += line["seconds"]
            for name in self._sums:
                self._sums[name] += done * _number(line["losses"][name])
        elif line["event"] == EVALUATION:
            self._results.append((_number(line["scores"][self._score]), line["step"]))
            if self._steps:
                self._means = {name: total / self._steps for name, total in self._sums.items()}
            self._steps, self._sums = 0, dict.fromkeys(self._sums, 0.0)

    def info(self, epoch: float, scores: Mapping[str, float]) -> Dict[str, Any]:
        """What the training loop of spaCy tells a logger, after the line of the evaluation.

        Losses are means since the evaluation before, where spaCy's are sums. Words are the
        encoder's pieces. There is no ``output_path``: loggers would load it as a pipeline.
        """
        score, step = self._results[-1]
        return {
            "epoch": int(epoch),
            "step": step,
            "score": score,
            "other_scores": {name: float(value) for name, value in scores.items()},
            "losses": dict(self._means),
            "checkpoints": list(self._results),
            "seconds": int(self._seconds),
            "words": self._pieces,
        }


class _Pipeline:
    """What loggers ask of ``nlp``: a config, and which pipes have losses."""

    def __init__(self, config: Config, losses: Sequence[str]) -> None:
        pipe = SimpleNamespace(is_trainable=True)
        self.config = config
        self.pipe_names = list(losses)
        self.pipeline = [(name, pipe) for name in losses]


def _rewind(path: Path, step: int, take: Callable[[Dict[str, Any]], None]) -> None:
    """Cut a log back to a step, and take in what stays. A line that a kill cut off goes, too."""
    with replacing(path) as partial, partial.open("wb") as kept:
        if not step or not path.exists():
            return
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    line = json.loads(text)
                    if line["step"] <= step and line["event"] != END:
                        take(line)
                        kept.write(text)
                except (ValueError, KeyError, TypeError) as error:
                    place = f"{path}:{number}"
                    raise ValueError(Errors.HE213.format(place=place, reason=error)) from error


def plain(value: Any) -> Any:
    """As JSON: arrays and tensors as Python's numbers; null where JSON has no number for a value,
    such as the infinite loss of a run that diverged."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Optional[float]) -> float:
    return math.nan if value is None else float(value)
