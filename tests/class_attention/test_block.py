"""The attention block: golden numbers, and what separates it from its misreadings."""

import numpy
import pytest
import torch
from torch import nn

from spacy_hetner.class_attention.module import (
    MERGES,
    ClassAttentionBlock,
    ClassAttentionTagger,
    softmax_within,
)

WIDTH, HEADS, N = 8, 2, 6
PIECES = torch.tensor([[0, 4], [4, 6]])


def make_block(n_classes=3, merge="concat", axis="position", rescale=False, width=WIDTH):
    torch.manual_seed(0)
    block = ClassAttentionBlock(width, n_classes, HEADS, merge, axis, rescale, dropout=0.0)
    return block.double()


def make_inputs(n_classes=3):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randn(N, WIDTH, generator=generator, dtype=torch.float64)
    classes = torch.randn(n_classes, WIDTH, generator=generator, dtype=torch.float64)
    return tokens, classes, PIECES


def of_golden(case, merge, n_classes=None):
    """The golden block, its tokens without the padded one, and its classes."""
    block = make_block(n_classes or case["C"], merge, width=case["d"])
    block.heads = case["heads"]
    block.widen, block.narrow = nn.Linear(4, 8).double(), nn.Linear(8, 4).double()
    layers = case["block"]
    for layer, weight, bias in (
        (block.query, case["Wq"], case["bq"]),
        (block.key, case["Wk"], case["bk"]),
        (block.value, case["Wv"], case["bv"]),
        (block.dense, layers["Wo"], layers["bo"]),
        (block.attention_norm, layers["ln1_g"], layers["ln1_b"]),
        (block.widen, layers["W1"], layers["b1"]),
        (block.narrow, layers["W2"], layers["b2"]),
        (block.output_norm, layers["ln2_g"], layers["ln2_b"]),
    ):
        layer.weight.data = torch.tensor(weight, dtype=torch.float64)
        layer.bias.data = torch.tensor(bias, dtype=torch.float64)
    if merge == "concat":
        block.project.weight.data = torch.tensor(case["concat_proj_W"], dtype=torch.float64)
        block.project.bias.data = torch.tensor(case["concat_proj_b"], dtype=torch.float64)
    tokens = torch.tensor(case["H"], dtype=torch.float64)[: sum(case["mask"])]
    classes = torch.tensor(case["E"], dtype=torch.float64)[:n_classes]
    return block, tokens, classes, torch.tensor([[0, len(tokens)]])


def close(ours, theirs):
    numpy.testing.assert_allclose(ours.detach().numpy(), theirs, atol=1e-9)


def test_golden_weights(golden):
    case = golden("class_attention")
    block, tokens, classes, pieces = of_golden(case, "sum")
    weights = block.attend(tokens, classes, pieces)
    expected = numpy.array(case["weights_C_h_L"])[:, :, : len(tokens)]
    close(weights.permute(1, 2, 0), expected)


@pytest.mark.parametrize("merge", MERGES)
def test_golden_merges(golden, merge):
    case = golden("class_attention")
    block, tokens, classes, pieces = of_golden(case, merge)
    merged = block.merge_classes(block.attend(tokens, classes, pieces), block.value(tokens))
    expected = case["merge"]["concat_projected" if merge == "concat" else merge]
    close(merged, expected[: len(tokens)])


def test_golden_block(golden):
    case = golden("class_attention")
    block, tokens, classes, pieces = of_golden(case, "sum")
    close(block(tokens, classes, pieces), case["block"]["after_output"][: len(tokens)])


def test_a_single_class_still_weighs_positions(golden):
    """A softmax over the one key would be 1 everywhere, and the layer a copy of its values."""
    case = golden("class_attention")
    block, tokens, classes, pieces = of_golden(case, "sum", n_classes=1)
    values = block.value(tokens)
    weights = block.attend(tokens, classes, pieces)
    merged = block.merge_classes(weights, values)
    assert not torch.allclose(merged, values, atol=0.1)
    close(merged, numpy.array(case["single_class"]["per_class"])[0, : len(tokens)])
    close(weights.sum(0), numpy.ones((1, case["heads"])))


def test_weights_sum_to_one_over_each_piece():
    block, inputs = make_block(), make_inputs()
    weights = block.attend(*inputs)
    for start, end in PIECES.tolist():
        close(weights[start:end].sum(0), numpy.ones((3, HEADS)))


def test_no_piece_sees_another():
    block, (tokens, classes, pieces) = make_block(), make_inputs()
    whole = block(tokens, classes, pieces)
    close(whole[:4], block(tokens[:4], classes, pieces[:1]).detach().numpy())
    close(whole[4:], block(tokens[4:], classes, torch.tensor([[0, 2]])).detach().numpy())


def test_rescaled_weights_sum_to_the_length():
    tokens, classes, pieces = make_inputs()
    plain, rescaled = (make_block(rescale=r).attend(tokens, classes, pieces) for r in (False, True))
    close(rescaled[:4], (4 * plain[:4]).detach().numpy())
    close(rescaled[4:], (2 * plain[4:]).detach().numpy())


def test_the_other_axis_is_a_softmax_over_classes():
    weights = make_block(axis="class").attend(*make_inputs())
    close(weights.sum(1), numpy.ones((N, HEADS)))


def test_no_class_embedding_weighs_all_positions_alike():
    block, (tokens, classes, pieces) = make_block(), make_inputs()
    block.key.bias.data.zero_()
    weights = block.attend(tokens, torch.zeros_like(classes), pieces)
    close(weights[:4], numpy.full((4, 3, HEADS), 1 / 4))
    close(weights[4:], numpy.full((2, 3, HEADS), 1 / 2))


ORDER = [2, 0, 1]


@pytest.mark.parametrize("merge", MERGES)
def test_the_order_of_classes_is_immaterial(merge):
    """For concat, once the blocks of its projection stand in the same order."""
    block, (tokens, classes, pieces) = make_block(merge=merge), make_inputs()
    weights = block.attend(tokens, classes, pieces)
    close(block.attend(tokens, classes[ORDER], pieces), weights[:, ORDER].detach().numpy())
    before = block(tokens, classes, pieces)
    if merge == "concat":
        parts = block.project.weight.data.split(WIDTH, dim=1)
        block.project.weight.data = torch.cat([parts[i] for i in ORDER], dim=1)
    close(block(tokens, classes[ORDER], pieces), before.detach().numpy())


def test_a_sum_forgets_which_class_a_weight_is_of():
    """Two sets of weights with equal sums give the same, but not to a projection."""
    values = make_inputs()[0]
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(N, 3, HEADS, generator=generator, dtype=torch.float64)
    shuffled = weights.flip(1)
    for merge, same in (("sum", True), ("mean", True), ("concat", False)):
        block = make_block(merge=merge)
        first, second = (block.merge_classes(w, values) for w in (weights, shuffled))
        assert torch.allclose(first, second) == same


def test_both_residuals():
    """Without attention and feed-forward layer the block only norms its input, twice."""
    block, (tokens, classes, pieces) = make_block(), make_inputs()
    for layer in (block.dense, block.narrow):
        layer.weight.data.zero_()
        layer.bias.data.zero_()
    norm = nn.LayerNorm(WIDTH, eps=1e-12).double()
    close(block(tokens, classes, pieces), norm(norm(tokens)).detach().numpy())


def test_dropout_on_the_weights_and_both_sublayers():
    block, (tokens, classes, pieces) = make_block(merge="sum"), make_inputs()
    block.dropout = Counted(0.5)
    dropped = block(tokens, classes, pieces)
    assert [tuple(shape) for shape in block.dropout.shapes] == [
        (N, 3, HEADS),
        (N, WIDTH),
        (N, WIDTH),
    ]
    block.eval()
    first, second = (block(tokens, classes, pieces) for _ in range(2))
    assert torch.equal(first, second) and not torch.allclose(first, dropped)


class Counted(nn.Dropout):
    """Dropout that remembers what it was given."""

    def __init__(self, p):
        super().__init__(p)
        self.shapes = []

    def forward(self, values):
        self.shapes.append(values.shape)
        return super().forward(values)


@pytest.mark.parametrize("n_classes", [1, 4, 8])
def test_as_many_parameters_as_one_transformer_layer(n_classes):
    block = ClassAttentionBlock(768, n_classes, 12, "sum", "position", False, 0.1)
    assert sum(p.numel() for p in block.parameters()) == 7_087_872
    plain = nn.TransformerEncoderLayer(768, 12, 4 * 768)
    assert sum(p.numel() for p in plain.parameters()) == 7_087_872


@pytest.mark.parametrize("trained", [False, True])
def test_class_embeddings_are_frozen_unless_asked_for(trained):
    tagger = ClassAttentionTagger(
        WIDTH, 5, 2, 1, True, 1.0, HEADS, "sum", "position", False, trained, 0.0
    )
    tagger.classes.data.normal_()
    tokens = torch.randn(N, WIDTH)
    tagger(tokens, PIECES, PIECES)[0].square().sum().backward()
    assert (tagger.classes.grad is not None) == trained
    assert tagger.block.key.weight.grad is not None


def test_softmax_of_large_numbers():
    logits = torch.tensor([[1e4], [1e4], [-1e4], [3.0]])
    weights = softmax_within(logits, torch.tensor([3, 1]))
    assert weights.tolist() == [[0.5], [0.5], [0.0], [1.0]]
