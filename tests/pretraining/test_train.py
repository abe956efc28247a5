"""Runs of one process: what they learn, keep and leave; cutting them off changes nothing."""

import json
import os
import signal

import pytest
import torch
from pretraining.conftest import losses, read_log
from safetensors.torch import load_file
from transformers import AutoModel

from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.engine.folder import locked
from spacy_hetner.pretraining import train as train_module
from spacy_hetner.pretraining.checkpoints import find_checkpoints, read_checkpoint, step_of
from spacy_hetner.pretraining.objectives.typed_tagging import TypedTagging
from spacy_hetner.pretraining.trainer import Trainer

NO_DROPOUT = {"objective.dropout": 0.0}


def weights(folder):
    return load_file(folder / "encoder" / "model.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_run_learns_and_leaves_an_encoder(run, tmp_path, tiny_encoder):
    outcome = run("a", max_epochs=8)
    assert outcome.finished and outcome.scores["f"] > 0.9
    values = list(losses(tmp_path / "a").values())
    assert values[-1] < 0.2 * values[0]
    stage = json.loads((outcome.encoder / "stage.json").read_text(encoding="utf8"))
    assert stage["scores"]["best"]["f"] == outcome.scores["f"]
    assert stage["steps"] == outcome.steps == len(values)
    trained = AutoModel.from_pretrained(outcome.encoder, add_pooling_layer=False)
    start = AutoModel.from_pretrained(tiny_encoder, add_pooling_layer=False)
    name = "encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(trained.state_dict()[name], start.state_dict()[name])
    head = json.loads((outcome.encoder / "head.json").read_text(encoding="utf8"))
    assert head["labels"] == ["band", "city", "person"]
    end = read_log(tmp_path / "a", "end")[0]
    assert end["finished"] and end["peak_memory_mb"] > 0 and end["pieces"] > 1000


def test_the_best_evaluation_is_kept(run, tmp_path, monkeypatch):
    scores = iter([0.2, 0.9, 0.3, 0.1, 0.2])
    monkeypatch.setattr(TypedTagging, "scores", lambda self, statistics: {"f": next(scores)})
    outcome = run("a", max_epochs=5, keep=1)
    evaluations = read_log(tmp_path / "a", "evaluation")
    assert outcome.best == evaluations[1]["step"] and outcome.scores == {"f": 0.9}
    kept = [step_of(path) for path in find_checkpoints(tmp_path / "a" / "checkpoints")]
    assert kept == [outcome.best, outcome.steps]
    best = read_checkpoint(find_checkpoints(tmp_path / "a" / "checkpoints")[0]).model
    for name, weight in weights(tmp_path / "a").items():
        assert torch.equal(weight, best[f"transformer.{name}"])


def test_patience_ends_a_run(run, monkeypatch):
    scores = iter([0.5, 0.4, 0.3, 0.2])
    monkeypatch.setattr(TypedTagging, "scores", lambda self, statistics: {"f": next(scores)})
    outcome = run("a", max_epochs=50, patience=2)
    again = run("a", max_epochs=50, patience=2, resume=True)
    assert outcome.finished and again.steps == outcome.steps


def test_without_dev_the_last_weights_are_kept(run, tmp_path):
    outcome = run("a", max_steps=5, dev=None)
    assert outcome.best is None and outcome.steps == 5 and outcome.scores == {}
    last = read_checkpoint(find_checkpoints(tmp_path / "a" / "checkpoints")[-1]).model
    assert all(torch.equal(w, last[f"transformer.{n}"]) for n, w in weights(tmp_path / "a").items())


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_run_that_is_cut_off_ends_the_same(run, tmp_path, monkeypatch, average):
    settings = {"max_epochs": 3, "checkpoint_frequency": 4, "average": average}
    straight = run("straight", **settings)
    plain = Trainer.step

    def dying(trainer, planned, number, *, stop):
        if number == 6:
            raise KeyboardInterrupt
        return plain(trainer, planned, number, stop=stop)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            run("cut", **settings)
    resumed = run("cut", resume=True, **settings)
    assert resumed.steps == straight.steps and resumed.scores == straight.scores
    assert losses(tmp_path / "cut") == losses(tmp_path / "straight")
    assert equal(weights(tmp_path / "cut"), weights(tmp_path / "straight"))


def test_the_average_is_what_is_scored_and_kept(run, tmp_path):
    run("a", max_epochs=2, average=0.99)
    last = read_checkpoint(find_checkpoints(tmp_path / "a" / "checkpoints")[-1])
    name = "encoder.layer.0.output.dense.weight"
    kept = weights(tmp_path / "a")[name]
    assert torch.equal(kept, last.average[f"transformer.{name}"])
    assert not torch.equal(kept, last.model[f"transformer.{name}"])


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_with_a_checkpoint(run, tmp_path, monkeypatch, kind):
    plain = Trainer.step

    def signalled(trainer, planned, number, *, stop):
        if number == 3:
            os.kill(os.getpid(), kind)
        return plain(trainer, planned, number, stop=stop)

    straight = run("straight", max_epochs=2)
    before = signal.getsignal(kind)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", signalled)
        stopped = run("cut", max_epochs=2)
    assert not stopped.finished and not stopped.encoder.exists()
    assert step_of(find_checkpoints(tmp_path / "cut" / "checkpoints")[-1]) == stopped.steps == 5
    assert signal.getsignal(kind) is before
    resumed = run("cut", max_epochs=2, resume=True)
    assert resumed.steps == straight.steps
    assert losses(tmp_path / "cut") == losses(tmp_path / "straight")


def test_a_finished_run_is_not_trained_again(run, tmp_path):
    first = run("a", max_epochs=1)
    with pytest.raises(ValueError, match="HE195"):
        run("a", max_epochs=1)
    written = (first.encoder / "model.safetensors").read_bytes()
    again = run("a", max_epochs=1, resume=True)
    assert again.steps == first.steps
    assert (again.encoder / "model.safetensors").read_bytes() == written


def test_a_second_ctrl_c_ends_it_at_once(run, monkeypatch):
    plain = Trainer.step

    def signalled(trainer, planned, number, *, stop):
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return plain(trainer, planned, number, stop=stop)

    monkeypatch.setattr(Trainer, "step", signalled)
    with pytest.raises(KeyboardInterrupt):
        run("a")


def test_of_equal_scores_the_last_is_kept(run, monkeypatch):
    monkeypatch.setattr(TypedTagging, "scores", lambda self, statistics: {"f": 0.0})
    outcome = run("a", max_epochs=3)
    assert outcome.best == outcome.steps


def test_a_checkpoint_is_written_once(run, tmp_path, monkeypatch):
    """Though the end of an epoch and the frequency of checkpoints fall on one step."""
    written = []
    plain = Trainer.save
    monkeypatch.setattr(Trainer, "save", lambda *args: written.append(args[2]) or plain(*args))
    outcome = run("a", max_epochs=2, checkpoint_frequency=1)
    assert written == list(range(1, outcome.steps + 1))
    lines = read_log(tmp_path / "a", "evaluation")
    assert [line["epoch"] for line in lines] == [1, 2]


def test_two_runs_cannot_share_a_folder(run, tmp_path):
    with locked(tmp_path / "a"), pytest.raises(ValueError, match="HE128"):
        run("a")


def test_a_finished_run_leaves_its_encoder_alone(run, tiny_encoder):
    """So that the runs which started from it can still be resumed."""
    first = run("a", max_steps=2)
    run("child", max_steps=1, encoder=str(first.encoder))
    written = (first.encoder / "stage.json").stat().st_mtime_ns
    run("a", max_steps=2, resume=True)
    assert (first.encoder / "stage.json").stat().st_mtime_ns == written
    assert run("child", max_steps=1, encoder=str(first.encoder), resume=True).finished


def test_settings_may_change_before_anything_is_learned(run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", lambda *args, **options: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run("a", max_steps=1)
    assert run(
        "a", max_steps=2, changes={"objective.max_pieces": 128, "objective.overlap": 0}
    ).finished


def test_defaults_that_are_written_out_are_no_change(run):
    run("a", max_steps=1)
    assert run("a", max_steps=1, resume=True, patience=0, average=0.0).finished


def test_a_type_map_that_changed_is_a_change(run, tmp_path):
    types = tmp_path / "types.tsv"
    lines = "person\tone\ncity\tone\nband\t{}\n"
    types.write_text(lines.format("one"), encoding="utf8")
    run("a", max_steps=1, changes={"objective.types": str(types)})
    types.write_text(lines.format("two"), encoding="utf8")
    with pytest.raises(ValueError, match="HE193"):
        run("a", max_steps=1, changes={"objective.types": str(types)}, resume=True)


def test_everything_is_readable_by_others(run, tmp_path):
    outcome = run("a", max_steps=1)
    modes = {path.stat().st_mode & 0o777 for path in outcome.encoder.iterdir()}
    (tmp_path / "plain").touch()
    assert modes == {(tmp_path / "plain").stat().st_mode & 0o777}


def test_seeds_differ_and_repeat(run, tmp_path):
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        run(name, max_steps=6, seed=seed)
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


def test_loss_is_the_mean_over_the_tokens_of_a_step(run, tmp_path, calm_encoder):
    """However these are cut into batches: all of the corpus is one step here."""
    for name, accumulate, density in [("one", 1, 0.0), ("many", 1000, 0.9)]:
        batches = {"sampler.batch_pieces": 10**6, "sampler.min_density": density}
        run(
            name,
            max_steps=1,
            accumulate=accumulate,
            encoder=str(calm_encoder),
            changes={**NO_DROPOUT, **batches},
        )
    assert losses(tmp_path / "one")[1] == pytest.approx(losses(tmp_path / "many")[1], abs=1e-5)


@pytest.mark.parametrize(
    "settings, code",
    [
        ({"max_epochs": 0}, "HE190"),
        ({"nonsense": 1}, "HE192"),
        ({"train": None}, "HE192"),
        ({"precision": "fp16"}, "HE197"),
        ({"precision": "half"}, "HE004"),
        ({"accumulate": 0}, "HE078"),
        ({"patience": 1, "dev": ""}, "HE201"),
        ({"processes": 2}, "HE196"),
    ],
)
def test_settings_that_make_no_sense(run, settings, code):
    with pytest.raises(ValueError, match=code):
        run("a", **settings)


def test_the_folder_of_another_run_is_refused(run):
    run("a", max_steps=2)
    with pytest.raises(ValueError, match=r"HE193.*max_steps"):
        run("a", max_steps=3, resume=True)


@pytest.mark.parametrize("part", ["train", "dev"])
def test_data_without_sentences_is_refused(run, tmp_path, part):
    empty = tmp_path / "empty.parquet"
    write_parquet([Record([], [])] if part == "dev" else [Record(["a"], [])], empty)
    with pytest.raises(ValueError, match="HE194.*dev" if part == "dev" else "HE200"):
        run("a", max_steps=1, **{part: str(empty)})


def test_how_a_run_is_logged_may_change(run):
    run("a", max_steps=2)
    assert run("a", max_steps=2, resume=True, keep=5).finished


def test_a_loss_that_is_no_number_ends_the_run(run, monkeypatch):
    plain = train_module.Trainer.step

    def broken(trainer, planned, number, *, stop):
        result = plain(trainer, planned, number, stop=stop)
        return result._replace(losses=result.losses * float("nan"))

    monkeypatch.setattr(train_module.Trainer, "step", broken)
    with pytest.raises(ValueError, match=r"HE199.*step 1"):
        run("a", max_steps=2)


def test_bf16_learns_as_well(run, recwarn):
    outcome = run("a", max_epochs=8, precision="bf16")
    assert outcome.scores["f"] > 0.9
    for warning in recwarn:
        assert "HW145" in str(warning.message)
