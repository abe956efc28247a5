"""Moving averages against a loop in plain Python, and that weights come back as they were."""

import pytest
import torch
from pretraining.toy_learner import copy_weights, equal, make_learner, train
from torch import nn

from spacy_hetner.pretraining.average import Average
from spacy_hetner.pretraining.optimizer import AdamW


def small_module(dtype=torch.float32):
    module = nn.Linear(3, 2).to(dtype)
    module.register_buffer("seen", torch.tensor(1))
    return module


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_as_a_plain_loop(decay):
    torch.manual_seed(0)
    module = small_module()
    expected = module.weight.flatten().tolist()
    average = Average(decay, module)
    for step in range(30):
        nn.init.normal_(module.weight)
        average.update(module, step)
        stays = min(decay, (1 + step) / (10 + step))
        expected = [
            stays * old + (1 - stays) * new
            for old, new in zip(expected, module.weight.flatten().tolist(), strict=True)
        ]
    assert average.tensors()["weight"].flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_where_it_began_is_soon_forgotten():
    """Without the warm-up 0.999 ** 20 = 98 % of the first weights would be left."""
    module = small_module()
    nn.init.constant_(module.weight, 1.0)
    average = Average(0.999, module)
    nn.init.zeros_(module.weight)
    for step in range(20):
        average.update(module, step)
    assert average.tensors()["weight"].max() < 1e-4


def test_weights_that_stay_are_their_own_average():
    module = small_module()
    average = Average(0.9, module)
    for step in range(100):
        average.update(module, step)
    assert torch.equal(average.tensors()["weight"], module.weight)


def test_half_precision_is_averaged_in_full():
    module = small_module(torch.bfloat16)
    nn.init.constant_(module.weight, 1.0)
    average = Average(0.999, module)
    nn.init.constant_(module.weight, 1.0078125)  # the next number after 1
    average.update(module, 10**6)
    assert average.tensors()["weight"].dtype == torch.float32
    expected = torch.full((2, 3), 1.0078125 - 0.0078125 * 0.999)
    torch.testing.assert_close(average.tensors()["weight"], expected, rtol=0, atol=1e-7)
    with average.applied_to(module):
        assert module.weight.dtype == torch.bfloat16


def test_only_weights_are_averaged():
    assert Average(0.9, small_module()).tensors().keys() == {"weight", "bias"}


def test_applied_and_taken_back(tiny_encoder):
    learner = make_learner(tiny_encoder, tied=True)
    average = Average(0.9, learner)
    optimizer = AdamW().make(learner)
    train(learner, optimizer, 0, 2)
    average.update(learner, 1)
    own = copy_weights(learner)
    places = [weight.data_ptr() for weight in learner.parameters()]
    with average.applied_to(learner):
        applied = copy_weights(learner)
        assert torch.equal(applied["head.pieces.weight"], learner.head["pieces"].weight)
    for name, tensor in average.tensors().items():
        assert torch.equal(applied[name], tensor)
    assert not torch.equal(applied["head.labels.weight"], own["head.labels.weight"])
    assert torch.equal(
        applied["head.pieces.weight"], applied["transformer.embeddings.word_embeddings.weight"]
    )
    assert equal(copy_weights(learner), own)
    assert [weight.data_ptr() for weight in learner.parameters()] == places


def test_taken_back_after_an_error():
    module = small_module()
    average = Average(0.9, module)
    nn.init.zeros_(module.weight)
    with pytest.raises(KeyboardInterrupt), average.applied_to(module):
        assert module.weight.any()
        raise KeyboardInterrupt
    assert not module.weight.any()


def test_training_goes_on_as_if_it_had_not_been_applied(tiny_encoder):
    results = []
    for look in (False, True):
        learner = make_learner(tiny_encoder)
        optimizer, average = AdamW().make(learner), Average(0.9, learner)
        for step in range(3):
            train(learner, optimizer, step, step + 1)
            average.update(learner, step)
            if look:
                with average.applied_to(learner):
                    learner.state_dict()
        results.append((copy_weights(learner), average.tensors()))
    assert equal(results[0][0], results[1][0])
    assert equal(results[0][1], results[1][1])


def test_loaded_average_goes_on():
    torch.manual_seed(0)
    module = small_module()
    average = Average(0.9, module)
    nn.init.normal_(module.weight)
    average.update(module, 0)
    other = Average(0.9, module)
    other.load({name: tensor.clone() for name, tensor in average.tensors().items()})
    nn.init.normal_(module.weight)
    for one in (average, other):
        one.update(module, 1)
    assert equal(average.tensors(), other.tensors())


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": torch.zeros(2, 3)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(3)},
        {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(2)},
    ],
)
def test_averages_of_other_parameters(tensors):
    with pytest.raises(ValueError, match=r"HE206.*(bias|more)"):
        Average(0.9, small_module()).load(tensors)


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match=r"HE002.*average"):
        Average(decay, small_module())
