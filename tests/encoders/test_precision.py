"""Half precision: where it is computed, how gradients are scaled, and what is told elsewhere.

Float16 is computed on the processor here, which torch can do: only the question whether a device
is fit for it is answered differently.
"""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import numpy
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from thinc.api import Model, Optimizer, PyTorchGradScaler, fix_random_seed

from spacy_hetner.encoders import module as module_file
from spacy_hetner.encoders import shim as shim_file
from spacy_hetner.encoders.module import supports_bf16, supports_fp16
from spacy_hetner.encoders.spacy_adapter import torch_encoder

CPU = torch.device("cpu")
TEXTS = ["a lake near Oslo", "the old mayor met 3 friends"]
Gradients = Dict[str, numpy.ndarray]


def wrapper_of(nlp: Language) -> Model:
    return nlp.get_pipe("transformer").model.layers[0]


def weights_of(nlp: Language) -> Dict[str, torch.Tensor]:
    transformer = torch_encoder(nlp.get_pipe("transformer").model).transformer
    return {name: value.clone() for name, value in transformer.state_dict().items()}


def make_fit_for_fp16(patch: pytest.MonkeyPatch) -> None:
    """Let this processor count as a device for fp16; of thinc's scaler, one check is in the way."""

    def scale(self: Any, tensor: torch.Tensor, *args: Any) -> torch.Tensor:
        return tensor * self._scale

    for file in (module_file, shim_file):
        patch.setattr(file, "supports_fp16", lambda device: True)
    patch.setattr(PyTorchGradScaler, "_scale_tensor", scale)


@pytest.fixture
def fp16_device(monkeypatch: pytest.MonkeyPatch) -> None:
    make_fit_for_fp16(monkeypatch)


def learn(nlp: Language, examples: List[Example], optimizer: Optimizer) -> float:
    """One step as of spaCy's training loop, where accumulate_gradient is 2: the tagger's loss."""
    losses: Dict[str, float] = {}
    for example in examples:
        nlp.update([example], sgd=False, losses=losses)
    for _, pipe in nlp.pipeline:
        pipe.finish_update(optimizer)
    return losses["tagger"]


def gradients_of(nlp: Language, passes: int = 1, size: float = 1e-3) -> Gradients:
    """What reaches the optimizer from so many equal passes of one step; nothing is learned.

    size: of the gradients of token vectors.
    """
    encoder = nlp.get_pipe("transformer").model
    transformer: Any = torch_encoder(encoder).transformer
    for part in transformer.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        if hasattr(part, "dropout_prob"):
            part.dropout_prob = 0.0
    found: Gradients = {}

    def keep(key: Tuple[int, str], weights: Any, gradient: Any) -> Tuple[Any, Any]:
        found[key[1]] = gradient.copy()
        return weights, gradient

    docs = [nlp.make_doc(text) for text in TEXTS]
    d_vectors = size * numpy.random.RandomState(0).randn(sum(map(len, docs)), 32)
    for _ in range(passes):
        _, backprop = encoder.begin_update(docs)
        backprop(d_vectors.astype("float32"))
    encoder.finish_update(keep)
    assert len(found) > 30
    return found


def cosine(one: numpy.ndarray, other: numpy.ndarray) -> float:
    return float((one * other).sum() / (numpy.linalg.norm(one) * numpy.linalg.norm(other)))


# float16, where there is a device for it


@pytest.mark.usefixtures("fp16_device")
def test_float16_is_computed_and_float32_returned(pipeline: Callable[..., Language]) -> None:
    seen: List[torch.dtype] = []
    nlp = pipeline(precision="fp16")
    transformer: Any = torch_encoder(nlp.get_pipe("transformer").model).transformer
    transformer.encoder.layer[0].attention.self.query.register_forward_hook(
        lambda _, inputs, output: seen.append(output.dtype)
    )
    half, full = nlp(TEXTS[0]).tensor, pipeline()(TEXTS[0]).tensor
    assert seen == [torch.float16]
    assert half.dtype == full.dtype == numpy.float32
    assert not numpy.array_equal(half, full)
    assert cosine(half, full) > 0.999


@pytest.mark.parametrize("size", [1e-3, 1e-7])  # Nothing of the latter is left without scaling.
@pytest.mark.usefixtures("fp16_device")
def test_scaled_gradients_arrive_as_they_are(
    pipeline: Callable[..., Language], size: float
) -> None:
    half = gradients_of(pipeline(precision="fp16"), size=size)
    full = gradients_of(pipeline(), size=size)
    assert set(half) == set(full)
    for name, gradient in full.items():
        if "key.bias" in name:  # It adds the same to all scores: its gradient is rounding.
            continue
        assert cosine(half[name], gradient) > 0.99, name
        length = numpy.linalg.norm(gradient)
        assert numpy.linalg.norm(half[name]) == pytest.approx(length, rel=0.05), name


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.filterwarnings(r"ignore:\[HW145\]")
@pytest.mark.usefixtures("fp16_device")
def test_passes_of_a_step_add_up(pipeline: Callable[..., Language], precision: str) -> None:
    once = gradients_of(pipeline(precision=precision))
    for name, gradient in gradients_of(pipeline(precision=precision), passes=3).items():
        numpy.testing.assert_allclose(gradient, 3 * once[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.usefixtures("fp16_device")
def test_an_overflow_leaves_the_encoder_and_halves_the_scale(
    pipeline: Callable[..., Language], tagged_examples: Callable[..., List[Example]]
) -> None:
    nlp = pipeline(precision="fp16", tagger=True)
    examples, optimizer = tagged_examples(nlp, TEXTS), nlp.resume_training()
    learn(nlp, examples, optimizer)  # A tagger starts at zero: the encoder has no gradient yet.
    scaler = wrapper_of(nlp).shims[0]._grad_scaler
    before, head = weights_of(nlp), nlp.get_pipe("tagger").model.to_bytes()
    scaler._scale.fill_(2.0**100)
    learn(nlp, examples, optimizer)
    assert all(torch.equal(value, before[name]) for name, value in weights_of(nlp).items())
    assert nlp.get_pipe("tagger").model.to_bytes() != head
    assert scaler._scale.item() == 2.0**99
    scaler._scale.fill_(2.0**10)
    learn(nlp, examples, optimizer)
    after = weights_of(nlp)
    assert all(value.isfinite().all() for value in after.values())
    assert not any(
        torch.equal(value, before[name]) for name, value in after.items() if "dense" in name
    )
    assert scaler._scale.item() == 2.0**10


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.filterwarnings(r"ignore:\[HW145\]")
@pytest.mark.usefixtures("fp16_device")
def test_a_tagger_learns_at_any_precision(
    pipeline: Callable[..., Language],
    tagged_examples: Callable[..., List[Example]],
    precision: str,
) -> None:
    fix_random_seed(0)
    nlp = pipeline(precision=precision, tagger=True)
    examples, optimizer = tagged_examples(nlp, TEXTS), nlp.resume_training()
    optimizer.learn_rate = 0.005
    history = [learn(nlp, examples, optimizer) for _ in range(30)]
    assert history[-1] < 0.2 * history[0]


# float16, where there is none


def test_only_cuda_is_for_fp16() -> None:
    assert supports_fp16(torch.device("cuda", 1))
    assert not any(supports_fp16(torch.device(name)) for name in ("cpu", "mps"))


@pytest.fixture
def saved_in_fp16(
    pipeline: Callable[..., Language],
    tagged_examples: Callable[..., List[Example]],
    tmp_path: Path,
) -> Path:
    """A pipeline that was trained in fp16, as if elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        make_fit_for_fp16(patch)
        nlp = pipeline(precision="fp16", tagger=True)
        for _ in range(2):
            learn(nlp, tagged_examples(nlp, TEXTS), nlp.resume_training())
        nlp.to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_was_trained_in_fp16_predicts_in_float32(saved_in_fp16: Path) -> None:
    with pytest.warns(UserWarning, match=r"\[HW144\].*'cpu'") as told:
        nlp = spacy.load(saved_in_fp16)
        found = [doc.tensor for doc in nlp.pipe(TEXTS)]
    assert len(told) == 1
    assert nlp.config["components"]["transformer"]["model"]["precision"] == "fp16"
    told_not = {"components.transformer.model.precision": "fp32"}
    full = spacy.load(saved_in_fp16, config=told_not)
    for text, vectors in zip(TEXTS, found, strict=True):
        numpy.testing.assert_allclose(full(text).tensor, vectors, rtol=1e-4, atol=1e-5)


def test_fp16_is_not_trained_without_cuda(
    make_pipeline: Callable[..., Language], tagged_examples: Callable[..., List[Example]]
) -> None:
    nlp = make_pipeline(precision="fp16", tagger=True)
    examples = tagged_examples(nlp, TEXTS)
    with pytest.warns(UserWarning, match=r"\[HW144\]") as told:
        nlp.initialize(lambda: examples)  # Labels can be collected on any machine.
    assert len(told) == 1
    with pytest.raises(ValueError, match=r"\[HE143\].*'cpu'.*'bf16' or 'fp32'"):
        nlp.update(examples)


def test_a_pipeline_loaded_without_cuda_can_be_trained_on_in_another_precision(
    saved_in_fp16: Path, tagged_examples: Callable[..., List[Example]]
) -> None:
    config = {"components.transformer.model.precision": "fp32"}
    nlp = spacy.load(saved_in_fp16, config=config)
    before = weights_of(nlp)
    learn(nlp, tagged_examples(nlp, TEXTS), nlp.resume_training())
    assert any(not torch.equal(value, before[name]) for name, value in weights_of(nlp).items())


# bfloat16


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
        ({"avx2": True, "avx512_bf16": False}, False),
        ({"architecture": "aarch64", "bf16": False}, False),
    ],
)
def test_torch_is_asked_what_the_processor_can(
    monkeypatch: pytest.MonkeyPatch, capabilities: Dict[str, Any], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert supports_bf16(CPU) is expected


@pytest.mark.parametrize("probe", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_an_older_torch_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch, probe: str) -> None:
    for name in ("get_capabilities", "_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert supports_bf16(CPU) is False
    monkeypatch.setattr(torch.cpu, probe, lambda: True, raising=False)
    assert supports_bf16(CPU) is True


@pytest.mark.parametrize("expected", [True, False])
def test_a_gpu_that_imitates_bfloat16_does_not_count(
    monkeypatch: pytest.MonkeyPatch, expected: bool
) -> None:
    entered: List[torch.device] = []

    def enter(device: torch.device) -> Any:
        entered.append(device)
        return nullcontext()

    def supported(including_emulation: bool = True) -> bool:
        return including_emulation or expected

    monkeypatch.setattr(torch.cuda, "device", enter)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    second = torch.device("cuda", 1)
    assert supports_bf16(second) is expected
    assert entered == [second]


def test_other_devices_are_taken_to_have_bfloat16() -> None:
    assert supports_bf16(torch.device("xpu"))


def test_an_imitated_bfloat16_is_told_once(
    make_pipeline: Callable[..., Language], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module_file, "supports_bf16", lambda device: False)
    nlp = make_pipeline(precision="bf16")
    with pytest.warns(UserWarning, match=r"\[HW145\].*'cpu'.*'fp32'") as told:
        nlp.initialize()
        assert all(doc.tensor.any() for doc in nlp.pipe(TEXTS))
    assert len(told) == 1
    plain = make_pipeline()
    plain.initialize()  # A warning would be an error.
