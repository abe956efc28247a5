"""Which weight gets which rate and which decay, by hand on a tiny BERT."""

import pytest
import torch
from pretraining.toy_learner import make_learner, train
from torch import nn

from spacy_hetner.pretraining.optimizer import AdamW, make_adamw, measure_depths


def settings_of(optimizer):
    """For each parameter the settings of its group."""
    return {
        name: group
        for group in optimizer.param_groups
        for name, _ in zip(group["param_names"], group["params"], strict=True)
    }


def test_rates_by_hand(tiny_encoder):
    learner = make_learner(tiny_encoder)
    settings = AdamW(learn_rate=1e-3, head_rate=10.0, layer_decay=0.5)
    groups = settings_of(settings.make(learner))
    assert groups.keys() == dict(learner.named_parameters()).keys()
    expected = {
        "transformer.embeddings.word_embeddings.weight": 1e-3 / 8,
        "transformer.embeddings.LayerNorm.bias": 1e-3 / 8,
        "transformer.encoder.layer.0.attention.self.query.weight": 1e-3 / 4,
        "transformer.encoder.layer.0.output.LayerNorm.weight": 1e-3 / 4,
        "transformer.encoder.layer.1.output.dense.weight": 1e-3 / 2,
        "transformer.pooler.dense.weight": 1e-3,
        "head.labels.weight": 1e-2,
        "head.labels.bias": 1e-2,
    }
    for name, rate in expected.items():
        assert groups[name]["lr"] == groups[name]["initial_lr"] == pytest.approx(rate)


def test_biases_and_norms_do_not_decay(tiny_encoder):
    learner = make_learner(tiny_encoder)
    groups = settings_of(AdamW(weight_decay=0.3).make(learner))
    plain = {name for name, group in groups.items() if group["weight_decay"] == 0.0}
    assert plain == {name for name in groups if name.endswith("bias") or "LayerNorm" in name}
    assert {groups[name]["weight_decay"] for name in groups.keys() - plain} == {0.3}


def test_as_few_groups_as_there_are_settings(tiny_encoder):
    learner = make_learner(tiny_encoder)
    assert len(AdamW().make(learner).param_groups) == 2
    assert len(AdamW(weight_decay=0.0).make(learner).param_groups) == 1
    # Embeddings, two layers, the top, the head; each with and without weight decay.
    assert len(AdamW(layer_decay=0.9, head_rate=3.0).make(learner).param_groups) == 10


def test_settings_reach_torch(tiny_encoder):
    optimizer = make_adamw(beta1=0.8, beta2=0.98, eps=1e-6).make(make_learner(tiny_encoder))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert {(group["betas"], group["eps"]) for group in optimizer.param_groups} == {
        ((0.8, 0.98), 1e-6)
    }


def test_frozen_weights_are_left_out(tiny_encoder):
    learner = make_learner(tiny_encoder)
    learner.transformer.embeddings.requires_grad_(False)
    groups = settings_of(AdamW().make(learner))
    assert groups and not any("embeddings" in name for name in groups)


def test_tied_weights_are_one_parameter_at_the_bottom(tiny_encoder):
    groups = settings_of(AdamW(layer_decay=0.5).make(make_learner(tiny_encoder, tied=True)))
    assert "head.pieces.weight" not in groups
    rate = groups["transformer.embeddings.word_embeddings.weight"]["lr"]
    assert rate == pytest.approx(5e-5 / 8)


def test_the_rate_of_a_step(tiny_encoder):
    settings = AdamW(learn_rate=1e-3, layer_decay=0.5)
    learner = make_learner(tiny_encoder)
    optimizer = settings.make(learner)
    for factor in (0.5, 0.0, 0.25):
        assert settings.set_rate(optimizer, factor) == factor * 1e-3
        for group in settings_of(optimizer).values():
            assert group["lr"] == factor * group["initial_lr"]
    settings.set_rate(optimizer, 0.0)
    before = learner.head["labels"].weight.clone()
    train(learner, optimizer, 0, 1)
    assert torch.equal(learner.head["labels"].weight, before)
    settings.set_rate(optimizer, 1.0)
    train(learner, optimizer, 1, 2)
    assert not torch.equal(learner.head["labels"].weight, before)


def test_rate_and_decay_are_those_of_adam_by_hand():
    """The first step of Adam goes by the rate, whatever the gradient; decay goes by the weight."""
    learner = nn.Module()
    learner.transformer = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(1, 1)])})
    learner.head = nn.Linear(1, 1)
    for weight in learner.parameters():
        nn.init.constant_(weight, 2.0)
        weight.grad = torch.full_like(weight, 7.0)
    AdamW(1e-2, head_rate=3.0, layer_decay=0.5, weight_decay=0.1).make(learner).step()
    layer = learner.transformer["layers"][0]
    assert layer.weight.item() == pytest.approx(2 - 5e-3 * 0.1 * 2 - 5e-3)
    assert layer.bias.item() == pytest.approx(2 - 5e-3)
    assert learner.head.weight.item() == pytest.approx(2 - 3e-2 * 0.1 * 2 - 3e-2)
    assert learner.head.bias.item() == pytest.approx(2 - 3e-2)


@pytest.mark.parametrize(
    "name,depth",
    [
        ("transformer.embeddings.word_embeddings.weight", 0),  # BERT
        ("transformer.embeddings_project.weight", 0),  # ELECTRA
        ("transformer.encoder.embedding_hidden_mapping_in.weight", 0),  # ALBERT
        ("transformer.encoder.rel_embeddings.weight", 0),  # DeBERTa
        ("transformer.encoder.relative_attention_bias.weight", 0),  # MPNet
        ("transformer.shared.weight", 0),  # T5
        ("transformer.wte.weight", 0),  # GPT-2
        ("transformer.encoder.layer.0.output.dense.bias", 1),
        ("transformer.encoder.layer.3.attention.self.query.weight", 4),
        ("transformer.transformer.layer.3.ffn.lin1.weight", 4),  # DistilBERT
        ("transformer.layers.3.mlp.Wi.weight", 4),  # ModernBERT
        ("transformer.encoder.block.3.layer.0.SelfAttention.q.weight", 4),  # T5
        ("transformer.encoder.block.3.layer.0.SelfAttention.relative_attention_bias.weight", 4),
        ("transformer.h.3.attn.c_attn.weight", 4),
        ("transformer.encoder.layer.11.output.dense.weight", 12),
        ("transformer.final_norm.weight", 13),
        ("transformer.encoder.final_layer_norm.weight", 13),
        ("transformer.pooler.dense.weight", 13),
        ("head.layers.0.weight", 13),
        ("head.embeddings.weight", 13),
    ],
)
def test_depth_of_a_name(name, depth):
    deepest = "transformer.encoder.layer.11.output.dense.weight"
    assert measure_depths([name, deepest])[name] == depth


def test_layer_decay_needs_layers():
    learner = nn.Module()
    learner.transformer = nn.Embedding(3, 2)
    learner.head = nn.Linear(2, 2)
    assert AdamW().make(learner)
    with pytest.raises(ValueError, match=r"HE208.*0\.9.*Embedding"):
        AdamW(layer_decay=0.9).make(learner)


@pytest.mark.parametrize(
    "settings",
    [
        {"learn_rate": -1e-5},
        {"head_rate": -1.0},
        {"layer_decay": 1.1},
        {"weight_decay": float("nan")},
        {"beta1": 1.0},
        {"beta2": 1.0},
        {"eps": -1e-8},
    ],
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=f"HE002.*{next(iter(settings))}"):
        make_adamw(**settings)
