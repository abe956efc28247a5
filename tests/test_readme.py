"""The code in README.md runs as it stands: only paths and names are put in place."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.training import Example
from thinc.api import Adam, fix_random_seed
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf8")
ENCODER, PACKAGE = "encoders/minilm-l6-en", "en_hetner_genia"


def blocks(language: str) -> List[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


@pytest.fixture(scope="module")
def wide_encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One random layer over the tiny encoder's vocabulary, as wide as the encoders to build."""
    folder = tmp_path_factory.mktemp("encoders") / "wide"
    shutil.copytree(tiny_encoder, folder)
    tiny = BertConfig.from_pretrained(str(tiny_encoder))
    fix_random_seed(0)
    config = BertConfig(
        vocab_size=tiny.vocab_size,
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="module")
def scope(wide_encoder: Path) -> Dict[str, Any]:
    """The names that the first example leaves behind."""
    code = blocks("python")[0]
    assert code.count(ENCODER) == 1
    fix_random_seed(0)
    names: Dict[str, Any] = {}
    exec(compile(code.replace(ENCODER, str(wide_encoder)), "README.md", "exec"), names)
    return names


def test_there_are_three_examples() -> None:
    assert len(blocks("python")) == 3


def test_a_pipeline_is_composed_and_trained(scope: Dict[str, Any]) -> None:
    doc, group = scope["doc"], scope["doc"].spans["entities"]
    assert scope["nlp"].pipe_names[-3:] == [
        "hetner_span_proposer",
        "hetner_span_classifier",
        "hetner_resolver",
    ]
    assert {(s.start_char, s.end_char, s.label_) for s in group} == set(scope["spans"]["entities"])
    assert len(group.attrs["scores"]) == len(group)
    assert [ent.text for ent in doc.ents] == ["mayor of Bergen", "Ana Lima"]


def test_a_packaged_pipeline_is_loaded(
    scope: Dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = blocks("python")[1]
    assert code.count(f'"{PACKAGE}"') == 1
    text = re.search(r'nlp\("(.+)"\)', code)
    assert text
    # A pipeline that knows this very sentence, since its encoder knows nothing.
    nlp = scope["nlp"]
    doc = nlp.make_doc(text[1])
    whole, inner = doc[3:8], doc[3:7]
    spans = [(s.start_char, s.end_char, label) for s, label in ((whole, "DNA"), (inner, "protein"))]
    example = Example.from_dict(doc, {"spans": {"entities": spans}})
    trained = spacy.util.load_model_from_config(nlp.config, auto_fill=True)
    fix_random_seed(0)
    trained.initialize(lambda: [example])
    optimizer = Adam(5e-4)
    for _ in range(60):
        trained.update([example], sgd=optimizer)
    trained.to_disk(tmp_path / "pipeline")
    capsys.readouterr()
    exec(code.replace(PACKAGE, str(tmp_path / "pipeline")), {})
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"[01]\.\d\d", "score", line) for line in lines] == [
        f" score DNA {whole.text}",
        f"     score protein {inner.text}",
    ]


def test_candidates_of_another_component(
    scope: Dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    names = dict(scope)
    exec(blocks("python")[2].replace(ENCODER, scope["encoder"]["name"]), names)
    nlp = names["nlp"]
    assert nlp.pipe_names == ["transformer", "tok2vec", "short_spans", "hetner_span_classifier"]
    doc = nlp(names["text"])
    # Eight tokens: 8 + 7 + 6 + 5 spans of up to four.
    assert len(doc.spans["candidates"]) == 26 and "entities" in doc.spans
    assert nlp.get_pipe("hetner_span_classifier").labels == ("GPE", "PER", "TITLE")


def test_training_commands(
    tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convert, train, evaluate and package, with two steps of a tiny encoder."""
    (block,) = (block for block in blocks("sh") if "hetner evaluate" in block)
    for folder in ("assets", "configs", "scripts"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copytree(tiny_encoder, tmp_path / ENCODER)
    monkeypatch.chdir(tmp_path)
    build, *lines, package = block.strip().splitlines()
    assert build.endswith(f"encoder build minilm-l6-en {ENCODER}")
    assert "hetner" in spacy.registry.cli.get_all()  # which adds our commands, as spaCy does
    for line in lines:
        python, option, module, *words = shlex.split(line)
        assert (python, option, module) == ("python", "-m", "spacy")
        if words[0] == "train":
            words += ["--components.tok2vec.model.width", "32", "--training.max_steps", "2"]
            words += ["--training.eval_frequency", "2"]
        result = CliRunner().invoke(spacy_app, words)
        assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
    assert (tmp_path / "metrics.json").exists()
    python, *words = shlex.split(package)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert python == "python" and done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (tmp_path / "packages").glob("*.whl")
    assert wheel.name == "en_mine-0.1.0-py3-none-any.whl"
