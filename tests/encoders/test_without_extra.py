"""Without the extra [transformers], what needs no transformer works, and the rest says so."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

SCRIPT = """
import json
import sys

for name in ("spacy_transformers", "transformers"):
    sys.modules[name] = None

import catalogue

installed = catalogue.AVAILABLE_ENTRY_POINTS


class WithoutSpacyTransformers:
    def select(self, group):
        points = installed.select(group=group)
        return [point for point in points if not point.value.startswith("spacy_transformers")]


catalogue.AVAILABLE_ENTRY_POINTS = WithoutSpacyTransformers()

import spacy

from spacy_hetner.encoders.hugging_face import load_tokenizer

get = spacy.registry.architectures.get
told = {}
for case, function in {
    "unknown": lambda: get("nope"),
    "encoder": lambda: get("spacy_hetner.Encoder.v1")("folder"),
    "listener": lambda: get("spacy_hetner.TokenRepresentation.v1")(16),
    "folder": lambda: load_tokenizer("folder"),
}.items():
    try:
        function()
    except Exception as err:
        told[case] = f"{type(err).__name__}: {err}"

cnn = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "width": 16,
    "depth": 1,
    "embed_size": 100,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
    "pretrained_vectors": None,
}
model = {
    "@architectures": "spacy_hetner.TokenRepresentation.v1",
    "width": 12,
    "encoder": cnn,
    "encoder_width": 16,
}
nlp = spacy.blank("en")
nlp.add_pipe("tok2vec", config={"model": model})
nlp.initialize()
told["own encoder"] = str(nlp("a lake").tensor.shape)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> Dict[str, str]:
    """What came of each case, in a process where the packages cannot be imported."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_representation_with_an_encoder_of_its_own_works(told: Dict[str, str]) -> None:
    assert told["own encoder"] == "(2, 12)"


def test_a_name_that_is_not_registered_is_told_as_such(told: Dict[str, str]) -> None:
    assert told["unknown"].startswith("RegistryError:") and "'nope'" in told["unknown"]
    assert "spacy_hetner.Encoder.v1" in told["unknown"]


@pytest.mark.parametrize(
    ("case", "code"), [("encoder", "HE038"), ("listener", "HE038"), ("folder", "HE142")]
)
def test_what_needs_the_extra_names_it(told: Dict[str, str], case: str, code: str) -> None:
    assert told[case].startswith(f"ValueError: [{code}]")
    assert "pip install 'spacy_hetner[transformers]'" in told[case]


WITHOUT_SPACY_TRANSFORMERS = """
import sys

sys.modules["spacy_transformers"] = None

from spacy_hetner.encoders.hugging_face import load_encoder, longest_input

print(longest_input(*load_encoder(sys.argv[1])))
"""


def test_an_encoder_is_read_without_spacy_transformers(tiny_encoder: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_SPACY_TRANSFORMERS, str(tiny_encoder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == "512\n", done.stderr
