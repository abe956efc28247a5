"""Token vectors are brought to a common scale by constants of the first batch trained on."""

import numpy
import pytest

from spacy_hetner.encoders.standardize import standardize

WIDTH = 6


@pytest.fixture
def batches():
    rng = numpy.random.default_rng(0)
    common = 5 * rng.standard_normal(WIDTH)
    return [
        [(common + 0.1 * rng.standard_normal((n, WIDTH))).astype("float32") for n in lengths]
        for lengths in ((7, 0, 30), (4, 9))
    ]


def test_vectors_pass_unchanged_before_training(batches):
    outputs = standardize().predict(batches[0])
    for output, vectors in zip(outputs, batches[0], strict=True):
        numpy.testing.assert_array_equal(output, vectors)


def test_the_first_batch_gets_zero_mean_and_unit_spread(batches):
    outputs, _ = standardize().begin_update(batches[0])
    assert [output.shape for output in outputs] == [(7, WIDTH), (0, WIDTH), (30, WIDTH)]
    rows = numpy.concatenate(outputs)
    numpy.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-5)
    assert rows.std() == pytest.approx(1, abs=1e-4)


def test_later_batches_do_not_change_the_constants(batches):
    model = standardize()
    first = model.begin_update(batches[0])[0]
    model.begin_update(batches[1])
    numpy.testing.assert_array_equal(model.predict(batches[0])[2], first[2])


def test_gradient_is_that_of_the_scaling(batches):
    model = standardize()
    outputs, backprop = model.begin_update(batches[0])
    (nudged,) = model.predict([batches[0][0] + 0.5])
    moved = (nudged - outputs[0]) / 0.5
    gradients = backprop([numpy.ones_like(output) for output in outputs])
    numpy.testing.assert_allclose(gradients[0], moved, rtol=1e-3)
    assert gradients[1].shape == (0, WIDTH)


def test_a_batch_that_has_no_spread_is_not_taken(batches):
    model = standardize()
    for useless in (batches[0][1], batches[0][0][:1], numpy.ones((5, WIDTH), dtype="float32")):
        (output,), backprop = model.begin_update([useless])
        numpy.testing.assert_array_equal(output, useless)
        numpy.testing.assert_array_equal(backprop([useless])[0], useless)
    model.begin_update(batches[0])
    assert model.has_param("mean")


def test_constants_are_saved(batches):
    model = standardize()
    model.begin_update(batches[0])
    loaded = standardize().from_bytes(model.to_bytes())
    for output, expected in zip(loaded.predict(batches[1]), model.predict(batches[1]), strict=True):
        numpy.testing.assert_array_equal(output, expected)
