"""Checkpoints: what is resumed is what was left, and nothing is ever there in part."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from pretraining.toy_learner import copy_weights, equal, make_learner, train

from spacy_hetner.files import clear_partial
from spacy_hetner.pretraining import checkpoints
from spacy_hetner.pretraining.average import Average
from spacy_hetner.pretraining.checkpoints import (
    find_checkpoints,
    load_checkpoint,
    prune,
    read_checkpoint,
    save_checkpoint,
    step_of,
)
from spacy_hetner.pretraining.optimizer import AdamW

FILES = ["average.safetensors", "model.safetensors", "optimizer.safetensors", "state.json"]
SETTINGS = AdamW(learn_rate=1e-3, layer_decay=0.9, head_rate=2.0)


def small_optimizer(*shape, kind=torch.optim.AdamW, **settings):
    """An optimizer that has taken a step."""
    weight = torch.nn.Parameter(torch.ones(shape or 3))
    optimizer = kind([weight], **{"lr": 0.1, **settings})
    weight.sum().backward()
    optimizer.step(lambda: weight.sum())
    return optimizer


def save_small(folder, step, **changes):
    content = {"model": {"w": torch.full((2,), float(step))}, "progress": {"step": step}}
    return save_checkpoint(folder, step, **{"optimizer": small_optimizer(), **content, **changes})


def states(optimizer):
    """All of an optimizer's state, to be compared: torch cannot compare two of these."""
    saved = optimizer.state_dict()
    tensors = {f"{i}.{k}": v for i, s in saved["state"].items() for k, v in s.items()}
    return tensors, saved["param_groups"]


@pytest.mark.parametrize("tied", [False, True])
def test_resumed_training_is_equal_bit_by_bit(tiny_encoder, tmp_path, tied):
    straight = make_learner(tiny_encoder, tied=tied)
    optimizer, average = SETTINGS.make(straight), Average(0.99, straight)
    losses = []
    for step in range(10):
        SETTINGS.set_rate(optimizer, 1 - step / 10)
        losses.append(train(straight, optimizer, step, step + 1))
        average.update(straight, step)
        if step == 4:
            path = save_checkpoint(
                tmp_path,
                5,
                model=straight.state_dict(),
                optimizer=optimizer,
                average=average.tensors(),
                progress={"step": 5},
            )
    assert sorted(file.name for file in path.iterdir()) == FILES

    resumed = make_learner(tiny_encoder, seed=99, tied=tied)
    assert not equal(copy_weights(resumed), copy_weights(straight))
    own_optimizer, own_average = SETTINGS.make(resumed), Average(0.99, resumed)
    checkpoint = load_checkpoint(path, own_optimizer)
    resumed.load_state_dict(checkpoint.model)
    own_average.load(checkpoint.average)
    for step in range(checkpoint.progress["step"], 10):
        SETTINGS.set_rate(own_optimizer, 1 - step / 10)
        assert torch.equal(train(resumed, own_optimizer, step, step + 1), losses[step])
        own_average.update(resumed, step)

    assert equal(copy_weights(resumed), copy_weights(straight))
    assert equal(own_average.tensors(), average.tensors())
    assert equal(states(own_optimizer)[0], states(optimizer)[0])
    assert states(own_optimizer)[1] == states(optimizer)[1]
    if tied:
        embeddings = resumed.transformer.get_input_embeddings().weight
        assert resumed.head["pieces"].weight.data_ptr() == embeddings.data_ptr()


def test_all_is_read_as_it_was_written(tmp_path):
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    model = {
        "whole": base,
        "tied": base,
        "turned": base.T,
        "part": base[1:, ::2],
        "half": base.bfloat16(),
        "whole numbers": torch.arange(3),
        "none": torch.zeros(0, 2),
        "one": torch.tensor(3.5),
    }
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 7}
    progress = {"step": 3, "scores": {"f": 0.1 + 0.2}, "best": None, "text": "\u5317\u4eac"}
    path = save_small(tmp_path, 3, model=model, scaler=scaler, progress=progress)
    checkpoint = read_checkpoint(path)
    assert equal(checkpoint.model, model)
    assert checkpoint[1:] == (None, scaler, progress)
    assert checkpoint.model["tied"].data_ptr() != checkpoint.model["whole"].data_ptr()


def test_what_was_read_needs_no_file(tmp_path):
    optimizer = small_optimizer(2000)
    path = save_small(tmp_path, 1, optimizer=optimizer, model={"w": torch.ones(2000)})
    other = small_optimizer(2000, lr=0.5)
    model = load_checkpoint(path, other).model
    for file in path.iterdir():
        file.write_bytes(bytes(file.stat().st_size))  # what is mapped would change
    assert equal(model, {"w": torch.ones(2000)})
    assert equal(states(other)[0], states(optimizer)[0])


@pytest.mark.parametrize(
    "kind,settings",
    [
        (torch.optim.SGD, {}),  # no state, or None
        (torch.optim.SGD, {"momentum": 0.9}),
        (torch.optim.Adam, {"amsgrad": True, "betas": (0.8, 0.9)}),
        (torch.optim.Rprop, {}),
        (torch.optim.ASGD, {}),
        (torch.optim.Adafactor, {}),
    ],
)
def test_other_optimizers(tmp_path, kind, settings):
    optimizer = small_optimizer(3, 2, kind=kind, **settings)
    path = save_small(tmp_path, 1, optimizer=optimizer)
    other = small_optimizer(3, 2, kind=kind, **{**settings, "lr": 0.7})
    load_checkpoint(path, other)
    assert equal(states(other)[0], states(optimizer)[0])
    assert states(other)[1] == states(optimizer)[1]


def test_optimizers_that_cannot_be_saved(tmp_path):
    optimizer = small_optimizer(kind=torch.optim.SGD)
    optimizer.state[optimizer.param_groups[0]["params"][0]]["before"] = [torch.zeros(3)]
    with pytest.raises(ValueError, match=r"HE207.*SGD"):
        save_small(tmp_path, 1, optimizer=optimizer)
    with pytest.raises(ValueError, match=r"HE207.*AdamW"):
        save_small(tmp_path, 1, optimizer=small_optimizer(lr=torch.tensor(0.1)))
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("files", range(4))
def test_killed_between_files(tmp_path, monkeypatch, files):
    """As killed for good, for nothing is cleared away."""
    save_small(tmp_path, 1)
    left = iter(range(files))

    def killing(write):
        def wrapped(*args):
            if next(left, None) is None:
                raise Killed
            write(*args)

        return wrapped

    with monkeypatch.context() as patches:
        patches.setattr(shutil, "rmtree", lambda *_, **__: None)
        for name in ("save_file", "write_json"):
            patches.setattr(checkpoints, name, killing(getattr(checkpoints, name)))
        with pytest.raises(Killed):
            save_small(tmp_path, 2, average={"w": torch.zeros(2)})
    assert [step_of(path) for path in find_checkpoints(tmp_path)] == [1]
    assert len(list(tmp_path.iterdir())) == 2
    clear_partial(tmp_path)
    assert list(tmp_path.iterdir()) == find_checkpoints(tmp_path)
    save_small(tmp_path, 2)
    assert [step_of(path) for path in find_checkpoints(tmp_path)] == [1, 2]


def test_process_killed_between_files(tmp_path):
    save_small(tmp_path, 1)
    code = """
import os, signal, sys
import torch
from spacy_hetner.pretraining import checkpoints
checkpoints.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))])
checkpoints.save_checkpoint(sys.argv[1], 2, model={}, optimizer=optimizer, progress={})
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [step_of(path) for path in find_checkpoints(tmp_path)] == [1]
    clear_partial(tmp_path)
    assert list(tmp_path.iterdir()) == find_checkpoints(tmp_path)


def test_full_disk(tmp_path):
    resource = pytest.importorskip("resource")
    save_small(tmp_path, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
        with pytest.raises(ValueError, match=r"HE081.*step-0000002"):
            save_small(tmp_path, 2, model={"w": torch.zeros(1 << 16)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == find_checkpoints(tmp_path)


def test_a_step_saved_again_is_the_later_one(tmp_path):
    save_small(tmp_path, 1, average={"w": torch.zeros(2)})
    path = save_small(tmp_path, 1, progress={"step": 1, "again": True})
    assert read_checkpoint(path).progress["again"]
    assert list(tmp_path.iterdir()) == [path]
    assert sorted(file.name for file in path.iterdir()) == FILES[1:]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "missing"])
def test_damaged_file(tmp_path, name, damage):
    path = save_small(tmp_path, 1, average={"w": torch.zeros(2)})
    content = (path / name).read_bytes()
    if damage == "missing":
        (path / name).unlink()
    else:
        changed = {"cut": content[:-3], "empty": b"", "noise": b"\xff" * len(content)}[damage]
        (path / name).write_bytes(changed)
    optimizer = small_optimizer(lr=0.5)
    before = states(optimizer)
    with pytest.raises(ValueError, match=rf"HE205.*{name}") as error:
        load_checkpoint(path, optimizer)
    assert "Delete its folder" in str(error.value)
    assert states(optimizer)[1] == before[1]
    if name != "optimizer.safetensors":
        with pytest.raises(ValueError, match=rf"HE205.*{name}"):
            read_checkpoint(path)


@pytest.mark.parametrize("change", [{"format": 2}, {"optimizer": {}}, {"optimizer": None}, None])
def test_state_of_another_kind(tmp_path, change):
    path = save_small(tmp_path, 1)
    state = json.loads((path / "state.json").read_text(encoding="utf8"))
    (path / "state.json").write_text(json.dumps(change and {**state, **change}), encoding="utf8")
    with pytest.raises(ValueError, match=r"HE205.*state.json"):
        read_checkpoint(path)


def test_optimizer_of_other_parameters(tiny_encoder, tmp_path):
    learner = make_learner(tiny_encoder)
    path = save_small(tmp_path, 1, optimizer=SETTINGS.make(learner))
    with pytest.raises(ValueError, match=r"HE206.*optimizer.*group 1 there, .*query.weight here"):
        load_checkpoint(path, AdamW().make(learner))
    del learner.head["labels"].bias
    learner.head["labels"].register_parameter("bias", None)
    with pytest.raises(ValueError, match=r"HE206.*group 9 there, nothing here"):
        load_checkpoint(path, SETTINGS.make(learner))
    with pytest.raises(ValueError, match=r"HE206.*1 parameters here"):
        load_checkpoint(path, small_optimizer())


def test_only_checkpoints_are_found_in_their_order(tmp_path):
    assert find_checkpoints(tmp_path / "none") == []
    for step in (12_345_678, 200, 3):
        save_small(tmp_path, step)
    (tmp_path / "step-0000004").write_text("a file")
    for name in ("step-best", ".step-0000009.12.partial", "0000005", "step-0000006.old"):
        (tmp_path / name).mkdir()
    found = find_checkpoints(tmp_path)
    assert [path.name for path in found] == ["step-0000003", "step-0000200", "step-12345678"]
    assert [read_checkpoint(path).progress["step"] for path in found] == [3, 200, 12_345_678]


@pytest.mark.parametrize(
    "keep,best,left",
    [
        (2, None, [40, 50]),
        (2, 20, [20, 40, 50]),
        (2, 50, [40, 50]),
        (1, 40, [40, 50]),
        (9, 10, [10, 20, 30, 40, 50]),
        (0, 10, [10]),
        (2, 25, [40, 50]),
    ],
)
def test_prune_keeps_the_last_and_the_best(tmp_path, keep, best, left):
    for step in (10, 20, 30, 40, 50):
        save_small(tmp_path, step)
    (tmp_path / "notes.txt").write_text("kept")
    prune(tmp_path, keep, best)
    assert [step_of(path) for path in find_checkpoints(tmp_path)] == left
    assert len(list(tmp_path.iterdir())) == len(left) + 1


def test_no_pickle(tiny_encoder, tmp_path):
    learner = make_learner(tiny_encoder)
    optimizer = SETTINGS.make(learner)
    train(learner, optimizer, 0, 1)
    path = save_checkpoint(
        tmp_path,
        1,
        model=learner.state_dict(),
        optimizer=optimizer,
        average=Average(0.9, learner).tensors(),
        progress={},
    )
    assert {file.suffix for file in path.rglob("*")} == {".safetensors", ".json"}
    for file in path.glob("*.safetensors"):
        head = int.from_bytes(file.read_bytes()[:8], "little")
        assert json.loads(file.read_bytes()[8 : 8 + head])
