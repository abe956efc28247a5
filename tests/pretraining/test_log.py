"""The log of a run: its file, its bar, and loggers of spaCy's registry."""

import json
import math
import sys
from types import SimpleNamespace

import numpy
import pytest
import torch
from spacy import registry
from thinc.api import Config

from spacy_hetner.pretraining.log import RunLog

CONFIG = Config({"pretraining": {"seed": 1}, "training": {"logger": {"@loggers": "any"}}})
NUMBERS = {"total_steps": 6, "eval_frequency": 2}


def open_log(path, logger=None, losses=("typed", "pairs"), **options):
    return RunLog(path, logger, CONFIG, losses, "f", **{**NUMBERS, **options})


def tell(log, steps, evaluated=(2, 4, 6)):
    """Lines of 100 pieces and half a second each, whose losses are 1/step and 10."""
    for step in steps:
        losses = {"typed": 1 / step, "pairs": 10.0}
        log.step(step, step / 3, losses, pieces=100, seconds=0.5, rate=1e-4)
        if step in evaluated:
            log.evaluation(step, step / 3, {"f": step / 10, "p": 0.5})


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


class Recorder:
    """A logger that keeps what it is told."""

    def __init__(self):
        self.calls = []
        self.finalized = 0

    def __call__(self, nlp, stdout=sys.stdout, stderr=sys.stderr):
        self.nlp = nlp
        return self.calls.append, self.finalize

    def finalize(self):
        self.finalized += 1

    @property
    def infos(self):
        return [info for info in self.calls if info is not None]


def test_lines_are_as_told(tmp_path):
    path = tmp_path / "new" / "log.jsonl"
    with open_log(path) as log:
        tell(log, [1])
        log.evaluation(1, 0.5, {"f": 0.25})
        log.event("end", 1, reason="Zeit für heute")
    losses = {"typed": 1.0, "pairs": 10.0}
    step = {"pieces": 100, "seconds": 0.5, "rate": 1e-4}
    assert lines_of(path) == [
        {"event": "step", "step": 1, "epoch": 1 / 3, "losses": losses, **step},
        {"event": "evaluation", "step": 1, "epoch": 0.5, "scores": {"f": 0.25}},
        {"event": "end", "step": 1, "reason": "Zeit für heute"},
    ]
    assert "für" in path.read_text(encoding="utf8")


def test_a_line_is_there_when_it_was_told(tmp_path):
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        tell(log, [1])
        assert len(lines_of(path)) == 1


def test_numbers_of_any_kind_become_json(tmp_path):
    path = tmp_path / "log.jsonl"
    with open_log(path, losses=["typed"]) as log:
        values = {"pieces": numpy.int64(5), "seconds": numpy.float32(0.5), "rate": 1}
        log.step(1, 0, {"typed": torch.tensor(math.inf)}, **values)
        log.event("other", 1, array=numpy.array([1.0, math.nan]), pair=(1, None), text="x")
    step, other = lines_of(path)
    assert step["losses"] == {"typed": None}
    assert (step["pieces"], step["seconds"]) == (5, 0.5)
    assert other == {
        "event": "other", "step": 1, "array": [1.0, None], "pair": [1, None], "text": "x"
    }  # fmt: skip


@pytest.mark.parametrize("cut_off", [b"", b'{"event": "st', b"\0\0\0"])
@pytest.mark.parametrize("resumed,kept", [(4, 6), (5, 7), (6, 9), (7, 9)])
def test_resumed_log_goes_on_after_its_checkpoint(tmp_path, resumed, kept, cut_off):
    path = tmp_path / "log.jsonl"
    with open_log(path) as log:
        tell(log, range(1, 7))
    whole = path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        file.write(cut_off)
    with open_log(path, resumed_step=resumed) as log:
        log.event("resumed", resumed)
    expected = [*whole[:kept], b'{"event": "resumed", "step": %d}\n' % resumed]
    assert path.read_bytes().splitlines(keepends=True) == expected
    assert list(tmp_path.iterdir()) == [path]


def test_resumed_run_logs_what_an_unbroken_one_does(tmp_path):
    whole, broken = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl"
    expected, first, second = Recorder(), Recorder(), Recorder()
    with open_log(whole, expected) as log:
        tell(log, range(1, 7))
    with open_log(broken, first) as log:
        tell(log, range(1, 5))
    with open_log(broken, second, resumed_step=3) as log:
        tell(log, range(4, 7))
    assert broken.read_bytes() == whole.read_bytes()
    assert first.infos[:1] + second.infos == expected.infos


def test_new_run_begins_a_new_log(tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        with open_log(path) as log:
            tell(log, [1, 2])
    assert [line["step"] for line in lines_of(path)] == [1, 2, 2]


@pytest.mark.parametrize(
    "line",
    [
        "no JSON",
        "[]",
        '{"event": "step"}',
        '{"step": "1"}',
        '{"step": 1}',
        '{"event": "step", "step": 1, "pieces": 1, "seconds": 1, "losses": {"other": 1}}',
        '{"event": "evaluation", "step": 1, "scores": {"other": 1}}',
    ],
)
def test_log_of_something_else_is_left_as_it_is(tmp_path, line):
    path = tmp_path / "log.jsonl"
    text = f'{{"event": "other", "step": 0}}\n{line}\n'
    path.write_text(text)
    with pytest.raises(ValueError, match=r"HE213.*log\.jsonl:2 "):
        open_log(path, resumed_step=3)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_unwritable_log_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="HE081"):
        open_log(tmp_path / "file" / "log.jsonl")


def test_other_processes_log_nothing(tmp_path, capsys):
    recorder = Recorder()
    with open_log(tmp_path / "log.jsonl", recorder, interactive=True, enabled=False) as log:
        tell(log, [1, 2])
        log.event("end", 2)
    assert not list(tmp_path.iterdir()) and not recorder.calls and not recorder.finalized
    assert capsys.readouterr() == ("", "")


def test_bar_shows_losses_and_speed_on_terminals_only(tmp_path, capsys):
    with open_log(tmp_path / "log.jsonl", resumed_step=0, interactive=True) as log:
        tell(log, [2, 4, 6])
    shown = capsys.readouterr().err
    assert "6/6" in shown and "typed 0.1667, pairs 10, 200 pieces/s" in shown
    with open_log(tmp_path / "log.jsonl") as log:
        tell(log, [2, 4])
    assert capsys.readouterr().err == ""


def test_bar_of_a_resumed_run_goes_on(tmp_path, capsys):
    with open_log(tmp_path / "log.jsonl", resumed_step=4, interactive=True):
        pass
    assert "4/6" in capsys.readouterr().err


def test_loggers_see_a_pipeline_and_what_spacy_tells_them(tmp_path):
    recorder = Recorder()
    with open_log(tmp_path / "log.jsonl", recorder) as log:
        tell(log, range(1, 5))
    nlp = recorder.nlp
    assert [(name, pipe.is_trainable) for name, pipe in nlp.pipeline] == [
        ("typed", True),
        ("pairs", True),
    ]
    assert nlp.pipe_names == ["typed", "pairs"]
    training = {"max_steps": 6, "eval_frequency": 2, "score_weights": {"f": 1.0}}
    assert nlp.config.interpolate() == {
        "pretraining": {"seed": 1},
        "training": {"logger": {"@loggers": "any"}, **training},
    }
    assert CONFIG["training"] == {"logger": {"@loggers": "any"}}
    assert [info is None for info in recorder.calls] == [True, True, False] * 2
    assert recorder.infos[1] == {
        "epoch": 1,
        "step": 4,
        "score": 0.4,
        "other_scores": {"f": 0.4, "p": 0.5},
        "losses": {"typed": pytest.approx((1 / 3 + 1 / 4) / 2), "pairs": 10.0},
        "checkpoints": [(0.2, 2), (0.4, 4)],
        "seconds": 2,
        "words": 400,
    }
    assert recorder.finalized == 1


def test_loggers_are_told_of_every_step_of_those_logged(tmp_path):
    recorder = Recorder()
    with open_log(tmp_path / "log.jsonl", recorder, resumed_step=1) as log:
        tell(log, [4])
    assert [info is None for info in recorder.calls] == [True, True, True, False]


def test_means_are_over_steps_not_lines(tmp_path):
    recorder = Recorder()
    with open_log(tmp_path / "log.jsonl", recorder, losses=["typed"]) as log:
        for step, loss in [(1, 5.0), (4, 1.0)]:
            log.step(step, 0, {"typed": loss}, pieces=1, seconds=1, rate=1)
        log.evaluation(4, 0, {"f": 0.0})
    assert recorder.infos[0]["losses"] == {"typed": 2.0}


def test_evaluation_before_the_first_step(tmp_path):
    recorder = Recorder()
    with open_log(tmp_path / "log.jsonl", recorder) as log:
        log.evaluation(0, 0, {"f": 0.0})
    assert recorder.infos[0]["losses"] == {"typed": 0.0, "pairs": 0.0}


def test_logger_and_file_are_closed_when_a_run_fails(tmp_path):
    recorder = Recorder()
    log = open_log(tmp_path / "log.jsonl", recorder)
    with pytest.raises(KeyboardInterrupt), log:
        raise KeyboardInterrupt
    log.close()
    assert recorder.finalized == 1
    with pytest.raises(ValueError, match="closed"):
        log.event("end", 1)


def make_logger(name, **settings):
    return registry.get("loggers", name)(**settings)


@pytest.mark.parametrize(
    "name,settings",
    [
        ("spacy.ConsoleLogger.v1", {}),
        ("spacy.ConsoleLogger.v1", {"progress_bar": True}),
        ("spacy.ConsoleLogger.v2", {}),
        ("spacy.ConsoleLogger.v3", {}),
        ("spacy.ConsoleLogger.v3", {"progress_bar": "train"}),
        ("spacy.ConsoleLogger.v3", {"progress_bar": "eval"}),
    ],
)
@pytest.mark.parametrize("interactive", [False, True])
def test_console_loggers_print_their_table(tmp_path, capsys, name, settings, interactive):
    logger = make_logger(name, **settings)
    with open_log(tmp_path / "log.jsonl", logger, interactive=interactive) as log:
        tell(log, range(1, 5))
    header, rule, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["E", "#", "LOSS", "TYPED", "LOSS", "PAIRS", "F", "SCORE"]
    assert set(rule.split()) <= {"-" * n for n in range(1, 14)}
    assert [row.split() for row in rows] == [
        ["0", "2", "0.75", "10.00", "20.00", "0.20"],
        ["1", "4", "0.29", "10.00", "40.00", "0.40"],
    ]


def test_console_logger_writes_its_own_file(tmp_path):
    logger = make_logger("spacy.ConsoleLogger.v3", output_file=str(tmp_path / "own.jsonl"))
    with open_log(tmp_path / "log.jsonl", logger) as log:
        tell(log, [1, 2])
    assert lines_of(tmp_path / "own.jsonl") == [
        {
            "epoch": 0,
            "step": 2,
            "losses": {"typed": 0.75, "pairs": 10.0},
            "scores": {"f": 20.0},
            "score": 0.2,
        }
    ]


@pytest.fixture
def spacy_loggers():
    return pytest.importorskip("spacy_loggers", reason="needs spacy-loggers (extra [train])")


def test_chained_loggers(spacy_loggers, tmp_path, capsys):
    recorder = Recorder()
    logger = make_logger(
        "spacy.ChainLogger.v1",
        logger1=make_logger("spacy.ConsoleLogger.v1"),
        logger2=make_logger("spacy.PyTorchLogger.v1"),
        logger3=make_logger("spacy.LookupLogger.v1", patterns=["^words$", "^losses.typed$"]),
        logger4=recorder,
    )
    with open_log(tmp_path / "log.jsonl", logger) as log:
        tell(log, [1, 2])
    out = capsys.readouterr().out
    assert "LOSS TYPED" in out and "words -> 200\n" in out and "losses.typed -> 0.75\n" in out
    assert len(recorder.infos) == recorder.finalized == 1
    assert lines_of(tmp_path / "log.jsonl")[2]["scores"] == {"f": 0.2, "p": 0.5}


def test_logger_that_refuses_to_start(spacy_loggers, tmp_path):
    with pytest.raises(ValueError, match="No loggers"):
        open_log(tmp_path / "log.jsonl", make_logger("spacy.ChainLogger.v1"))


def test_weights_and_biases(spacy_loggers, tmp_path, monkeypatch):
    """The logger is the real one; what it sends is kept here in place of the service."""
    sent, logged = [], {}
    service = SimpleNamespace(
        init=lambda **values: sent.append(values) or SimpleNamespace(id="x"),
        log=logged.update,
        join=lambda: sent.append("end"),
    )
    monkeypatch.setitem(sys.modules, "wandb", service)
    logger = make_logger("spacy.WandbLogger.v5", project_name="p", model_log_interval=1)
    with open_log(tmp_path / "log.jsonl", logger) as log:
        tell(log, [1, 2])
    assert sent[0]["config"]["pretraining"] == {"seed": 1} and sent[1:] == ["end"]
    assert logged == {"score": 0.2, "f": 0.2, "p": 0.5, "loss_typed": 0.75, "loss_pairs": 10.0}


def test_mlflow(spacy_loggers, tmp_path, monkeypatch):
    """As for Weights & Biases."""
    parameters, metrics, ended = {}, {}, []
    service = SimpleNamespace(
        start_run=lambda **values: None,
        log_params=parameters.update,
        log_metric=metrics.__setitem__,
        log_metrics=metrics.update,
        log_artifact=None,
        end_run=lambda: ended.append(True),
    )
    monkeypatch.setitem(sys.modules, "mlflow", service)
    logger = make_logger("spacy.MLflowLogger.v2", log_custom_stats=["^words$"])
    with open_log(tmp_path / "log.jsonl", logger) as log:
        tell(log, [1, 2])
    assert parameters["pretraining.seed"] == 1 and parameters["training.max_steps"] == 6
    assert metrics.pop("words") == 200 and ended == [True]
    assert metrics == {"score": 0.2, "f": 0.2, "p": 0.5, "loss_typed": 0.75, "loss_pairs": 10.0}
