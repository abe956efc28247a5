"""The encoder folder of a run: loadable everywhere, whole or as before, and of known descent."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import spacy
import srsly
import torch
from safetensors.torch import load_file
from thinc.api import Config

from spacy_hetner.about import __version__
from spacy_hetner.encoders.folder import check_encoder_folder
from spacy_hetner.encoders.hugging_face import load_encoder
from spacy_hetner.engine.tables import identify
from spacy_hetner.pretraining import stage as stage_module
from spacy_hetner.pretraining.objectives.typed_tagging import TypedTagging
from spacy_hetner.pretraining.stage import (
    Stage,
    describe_encoder,
    lineage_of,
    read_stage,
    write_stage,
)

transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")

FACTS = {"labels": ["person", "town"]}
FILES = {
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "head.json",
    "head.safetensors",
    "stage.json",
    "README.md",
}


class Run:
    """What a run has in hand when it ends: here, an encoder whose weights were moved a bit."""

    def __init__(self, start, folder, **changes):
        self.start = start
        self.tokenizer, transformer = load_encoder(start)
        self.objective = TypedTagging(types=str(folder / "types.tsv"))
        self.learner = self.objective.learner(transformer, FACTS)
        self.shift = 0.125
        with torch.no_grad():
            for parameter in transformer.parameters():
                parameter += self.shift
        data = folder / "train.parquet"
        data.write_bytes(b"records")
        settings = {
            "name": "typed-tiny",
            "parent": describe_encoder(start),
            "objective": self.objective,
            "data": {
                "train": {
                    "files": identify(data),
                    "counts": {"totals": {"records": 12, "labelled tokens": 3456}},
                },
            },
            "config": {"pretraining": {"encoder": str(start), "train": [str(data)], "seed": 3}},
            "seed": 3,
            "steps": 400,
            "epochs": 1.5,
            "scores": {"best": {"step": 200, "f": 0.5}, "last": {"step": 400, "f": 0.25}},
            "precision": "fp32",
            "processes": 2,
        }
        self.stage = Stage(**{**settings, **changes})

    def write(self, folder):
        return write_stage(
            folder,
            tokenizer=self.tokenizer,
            learner=self.learner,
            head=self.objective.head_record(FACTS),
            stage=self.stage,
        )


@pytest.fixture
def run(tiny_encoder, tmp_path):
    return Run(tiny_encoder, tmp_path)


@pytest.fixture
def written(run, tmp_path):
    return run.write(tmp_path / "out" / "encoder")


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_stage(folder, **changes):
    path = folder / "stage.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_folder_is_an_encoder_with_its_head(run, written, tiny_encoder):
    assert set(files_of(written)) >= FILES
    assert check_encoder_folder(written) == written
    _, before = load_encoder(tiny_encoder)
    tokenizer, after = load_encoder(written)
    for name, weight in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], weight + run.shift)
    assert tokenizer.get_vocab() == run.tokenizer.get_vocab()
    head = load_file(written / "head.safetensors")
    assert set(head) == {"weight", "bias"}
    for name, weight in run.learner.head.state_dict().items():
        torch.testing.assert_close(head[name], weight, rtol=0, atol=0)
    assert json.loads((written / "head.json").read_text()) == run.objective.head_record(FACTS)


def test_weights_that_share_memory_are_all_in_the_file(run, tmp_path):
    run.learner.head.tied = run.learner.head.weight
    run.learner.head.register_buffer("part", run.learner.head.weight.detach()[:2])
    head = load_file(run.write(tmp_path / "encoder") / "head.safetensors")
    torch.testing.assert_close(head["tied"], head["weight"], rtol=0, atol=0)
    torch.testing.assert_close(head["part"], head["weight"][:2], rtol=0, atol=0)


def test_our_encoder_reads_the_folder(run, written):
    """What it makes of a token is the mean of what the encoder makes of its pieces."""
    nlp = spacy.blank("en")
    model = {"@architectures": "spacy_hetner.Encoder.v1", "name": str(written), "pooling": "mean"}
    nlp.add_pipe("transformer", config={"model": model})
    nlp.initialize()
    doc = nlp("Ada met Alan")
    vectors = torch.tensor(doc._.trf_data.model_output.last_hidden_state[0])
    run.learner.eval()
    pieces = run.tokenizer("Ada met Alan", return_tensors="pt")
    with torch.no_grad():
        expected = run.learner.transformer(**pieces).last_hidden_state[0]
    assert vectors.shape == (3, expected.shape[1])
    last = [i for i, word in enumerate(pieces.word_ids()) if word == 2]
    found = expected[last].mean(0)
    torch.testing.assert_close(vectors[2], found, rtol=1e-4, atol=1e-4)


def test_stage_tells_what_was_done(run, written, tiny_encoder):
    record = read_stage(written)
    digest = hashlib.sha256((written / "model.safetensors").read_bytes()).hexdigest()
    assert record["weights"] == {"model.safetensors": digest}
    assert record["objective"]["name"] == "typed_tagging"
    assert record["objective"]["settings"]["max_pieces"] == TypedTagging().max_pieces
    assert record["objective"]["about"] == TypedTagging.__doc__.splitlines()[0]
    assert record["data"]["train"]["counts"]["totals"]["labelled tokens"] == 3456
    (file,) = record["data"]["train"]["files"]
    assert (file["name"], file["bytes"], len(file["hash"])) == ("train.parquet", 7, 32)
    told = {name: record[name] for name in ("seed", "steps", "epochs", "precision", "processes")}
    assert told == {"seed": 3, "steps": 400, "epochs": 1.5, "precision": "fp32", "processes": 2}
    assert record["scores"] == dict(run.stage.scores)
    assert record["versions"] == {
        "spacy_hetner": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", record["time"])
    assert record["longest_input"] == 512


def test_parent_that_was_built_is_named_with_its_source(written, tiny_encoder):
    parent = read_stage(written)["parent"]
    digest = hashlib.sha256((tiny_encoder / "model.safetensors").read_bytes()).hexdigest()
    assert parent["name"] == tiny_encoder.name == "tiny"
    assert parent["weights"] == {"model.safetensors": digest}
    assert (parent["license"], parent["source"]) == ("MIT", "this package")


def test_stages_are_nested(written, tmp_path):
    second = Run(written, tmp_path, name="second").write(tmp_path / "second")
    third = Run(second, tmp_path, name="third").write(tmp_path / "third")
    lineage = lineage_of(read_stage(third))
    assert [record["name"] for record in lineage] == ["tiny", "typed-tiny", "second", "third"]
    assert lineage[1] == read_stage(written) and lineage[2] == read_stage(second)
    table = [
        line.split(" | ")
        for line in (third / "README.md").read_text().splitlines()
        if line.endswith("` |")
    ]
    rows = {row[0].lstrip("| "): row for row in table}
    for record in lineage:
        assert record["weights"]["model.safetensors"][:12] in rows[record["name"]][-1]
    assert rows["second"][1:4] == ["`typed_tagging`", "train.parquet", "400"]


def test_nothing_tells_where_on_the_machine_it_was_made(written, tmp_path, tiny_encoder):
    for name, content in files_of(written).items():
        for folder in (tmp_path, tiny_encoder.parent, Path(__file__).parent, Path.home()):
            assert f"{folder}/".encode() not in content, name
            assert f'{folder}"'.encode() not in content, name
    config = read_stage(written)["config"]["pretraining"]
    assert config == {"encoder": "tiny", "train": ["train.parquet"], "seed": 3}
    assert read_stage(written)["objective"]["settings"]["types"] == "types.tsv"


@pytest.mark.parametrize(
    "value,expected",
    [
        ("/home/me/corpus/train.parquet", "train.parquet"),
        (Path("/home/me/corpus"), "corpus"),
        (r"C:\Users\me\corpus", "corpus"),
        ("corpus/train.parquet", "corpus/train.parquet"),
        ("spacy_hetner.TypedTagging.v1", "spacy_hetner.TypedTagging.v1"),
        (["/data/a", {"b": "/data/c"}], ["a", {"b": "c"}]),
        (float("nan"), None),
        (None, None),
        (True, True),
    ],
)
def test_config_keeps_the_last_names_of_paths(run, value, expected):
    stage = Stage(**{**vars(run.stage), "config": {"value": value}})
    assert stage.to_dict()["config"] == {"value": expected}


def test_folder_of_an_earlier_run_is_replaced(run, written, tmp_path):
    (written / "left over").touch()
    Run(run.start, tmp_path, name="again").write(written)
    assert read_stage(written)["name"] == "again"
    assert not (written / "left over").exists()
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize("step", ["save_encoder", "save_file", "write_json", "write_card"])
def test_what_fails_leaves_the_folder_as_it_was(run, written, monkeypatch, step):
    def fail(*_, **__):
        raise OSError("no space left")

    before = files_of(written)
    monkeypatch.setattr(stage_module, step, fail)
    with pytest.raises(ValueError, match=r"HE081.*no space left"):
        run.write(written)
    assert files_of(written) == before
    assert list(written.parent.iterdir()) == [written]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from pretraining.test_stage import Run, stage_module

save = stage_module.save_file

def save_and_die(*args, **options):
    save(*args, **options)
    os.kill(os.getpid(), signal.SIGKILL)

stage_module.save_file = save_and_die
Run(Path(sys.argv[2]), Path(sys.argv[3])).write(sys.argv[4])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="knows no SIGKILL")
def test_killed_run_leaves_the_folder_as_it_was(run, written, tmp_path):
    before = files_of(written)
    tests = Path(__file__).parents[1]
    arguments = [str(path) for path in (tests, run.start, tmp_path, written)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert files_of(written) == before
    run.write(written)
    check_encoder_folder(written)


def test_folder_of_something_else_is_never_replaced(run, tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "thesis.txt").write_text("all of it")
    with pytest.raises(ValueError, match=r"HE211.*thesis\.txt"):
        run.write(tmp_path / "encoder")
    assert set(files_of(tmp_path / "encoder")) == {"thesis.txt"}
    with pytest.raises(ValueError, match="HE211"):
        run.write(tmp_path / "encoder" / "thesis.txt")


def test_empty_folder_is_taken(run, tmp_path):
    (tmp_path / "encoder").mkdir()
    check_encoder_folder(run.write(tmp_path / "encoder"))


def test_encoder_without_a_stage(tiny_encoder):
    assert read_stage(tiny_encoder) is None


@pytest.mark.parametrize(
    "text", ["no JSON", "[]", "{}", '{"name": 1}', '{"name": "x", "weights": []}', "\xff"]
)
def test_damaged_stage_is_told(written, text):
    (written / "stage.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"HE210.*stage\.json"):
        read_stage(written)
    with pytest.raises(ValueError, match="HE210"):
        describe_encoder(written)


def test_damaged_parent_within_a_stage_is_told(written):
    edit_stage(written, parent={"name": "x"})
    with pytest.raises(ValueError, match="HE210"):
        read_stage(written)


def test_card_of_a_built_encoder_that_is_damaged_is_told(tiny_encoder, tmp_path):
    copy = Path(shutil.copytree(tiny_encoder, tmp_path / "copy"))
    (copy / "encoder.json").write_text("{}")
    with pytest.raises(ValueError, match=r"HE210.*encoder\.json"):
        describe_encoder(copy)


def test_weights_that_were_changed_have_no_lineage(written, tiny_encoder):
    (written / "model.safetensors").write_bytes((tiny_encoder / "model.safetensors").read_bytes())
    with pytest.raises(ValueError, match="HE212"):
        describe_encoder(written)
    (written / "stage.json").unlink()
    assert describe_encoder(written)["name"] == "encoder"


def card_of(folder):
    front, body = (folder / "README.md").read_text(encoding="utf8")[4:].split("---\n", 1)
    return srsly.yaml_loads(front), body


def test_card_tells_what_stage_does(written):
    front, body = card_of(written)
    assert front == {
        "library_name": "transformers",
        "pipeline_tag": "feature-extraction",
        "base_model": "tiny",
        "tags": ["spacy_hetner", "named-entity-recognition", "typed_tagging"],
    }
    headings = ["typed-tiny", "What it was taught", "Lineage", "Data", "Scores"]
    assert re.findall("^#+ (.+)", body, re.M) == [*headings, "How to use it", "Limits"]
    assert "labelled tokens 3,456, records 12" in body
    assert "| best | 200 | 0.5000 |" in body and "| last | 400 | 0.2500 |" in body
    assert "400 steps (1.5 epochs) in fp32 on 2 process(es), seed 3" in body
    assert "at most 512 pieces" in body and "random weights, vocabulary from a text" in body


def test_card_knows_languages_of_the_base(run, tmp_path):
    parent = {**run.stage.parent, "languages": ["zh", "en"]}
    folder = Run(run.start, tmp_path, parent=parent).write(tmp_path / "encoder")
    assert card_of(folder)[0]["language"] == ["zh", "en"]


def test_card_of_an_encoder_of_unknown_descent_without_scores(run, tmp_path):
    parent = {"name": "mine: | x", "weights": {"model.safetensors": "0" * 64}}
    changes = {"parent": parent, "scores": {"best": {}, "last": {}}, "data": {}}
    front, body = card_of(Run(run.start, tmp_path, **changes).write(tmp_path / "encoder"))
    assert front["base_model"] == "mine: | x"
    assert r"| mine: \| x |" in body
    assert "not scored" in body and "which this card does not know" in body


def test_card_shortens_long_lists(run, tmp_path):
    files = [{"name": f"part-{i}.parquet", "bytes": 1, "hash": "0"} for i in range(20)]
    labels = {f"label{i}": i for i in range(300)}
    data = {"train": {"files": files, "counts": {"labels": labels, "dropped": {}}}}
    _, body = card_of(Run(run.start, tmp_path, data=data).write(tmp_path / "encoder"))
    assert "part-7.parquet" in body and "part-8.parquet" not in body and "and 12 more" in body
    assert "labels: label299 299, label298 298" in body and "and 292 more" in body
    assert "dropped: none" in body


def test_what_the_card_says_of_its_use_works(written):
    """Its config names the encoder, and its Python runs, with the folder in place of path/to."""
    _, body = card_of(written)
    body = body.replace("path/to/typed-tiny", str(written))
    config, code = (re.search(rf"```{kind}\n(.+?)```", body, re.S)[1] for kind in ("ini", "python"))
    assert Config().from_str(config) == {"paths": {"encoder": str(written)}}
    names = {}
    exec(code, names)
    assert names["vectors"].shape[0] == 1 and names["vectors"].shape[2] == 32
    assert isinstance(names["tokenizer"], transformers.PreTrainedTokenizerFast)
    expected = load_encoder(written).transformer.state_dict()
    for name, weight in expected.items():
        torch.testing.assert_close(names["encoder"].state_dict()[name], weight, rtol=0, atol=0)
