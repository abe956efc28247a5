"""Weights as safetensors, losses as gradients of arrays."""

import numpy
import pytest
import srsly
import torch
from safetensors.torch import load

from spacy_hetner.classify.module import SpanClassifier
from spacy_hetner.locate.module import SpanProposer
from spacy_hetner.torch_bridge import deserialize_module, loss_and_gradients, serialize_module

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("saved", "blank"),
    [
        (SpanProposer(6, 5, 4, 0.3, "clamp", chunk=11), SpanProposer(2, 2, 2, 0.0, "sentinel")),
        (SpanClassifier(6, 5, 3, 0.3), SpanClassifier(2, 2, 0, 0.0)),
    ],
)
def test_a_module_comes_back_with_its_own_sizes(saved, blank):
    """The loading pipeline's module has other sizes; those of the message count."""
    loaded = deserialize_module(blank, serialize_module(saved), CPU)
    assert loaded is not blank and loaded.settings == saved.settings
    tokens, spans = torch.randn(4, 6), torch.tensor([[0, 1], [1, 4]])
    bounds = torch.tensor([[0, 4], [0, 4]])
    before, after = (m.eval()(tokens, spans, bounds) for m in (saved, loaded))
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_the_message_is_data_only():
    """Settings and safetensors: nothing in it is ever unpickled."""
    module = SpanClassifier(3, 3, 1, 0.0)
    message = srsly.msgpack_loads(serialize_module(module))
    assert set(message) == {"settings", "weights"}
    assert set(load(message["weights"])) == set(module.state_dict())


def test_weights_of_other_sizes_are_refused():
    message = srsly.msgpack_loads(serialize_module(SpanClassifier(3, 3, 1, 0.0)))
    message["settings"]["n_labels"] = 2
    with pytest.raises(RuntimeError, match="size mismatch"):
        deserialize_module(SpanClassifier(3, 3, 1, 0.0), srsly.msgpack_dumps(message), CPU)


def test_gradients_are_those_of_the_loss():
    a, b = numpy.array([1.0, 2.0], dtype="float32"), numpy.array([3.0], dtype="float32")
    value, (d_a, d_b) = loss_and_gradients(lambda x, y: (x**2).sum() * y.sum(), a, b)
    assert value == 15.0
    assert d_a.tolist() == [6.0, 12.0] and d_b.tolist() == [5.0]
    assert isinstance(d_a, numpy.ndarray) and d_a.dtype == "float32"


def test_inputs_that_a_loss_does_not_use_have_zero_gradients():
    a, b = numpy.ones(2, dtype="float32"), numpy.ones((3, 2), dtype="float32")
    value, (d_a, d_b) = loss_and_gradients(lambda x, y: x.sum(), a, b)
    assert value == 2.0 and d_a.tolist() == [1.0, 1.0]
    assert d_b.shape == (3, 2) and not d_b.any()
    value, (d_a,) = loss_and_gradients(lambda x: torch.tensor(4.0), a)
    assert value == 4.0 and d_a.tolist() == [0.0, 0.0]
