"""Draws that depend on nothing but a seed, a salt and the name of what is drawn.

No state of a random generator is carried along, so neither the order of the records, nor how they
are cut into shards, nor the number of processes changes what is drawn.
"""

import hashlib
import json
import math
from typing import Iterable, Union

import numpy

from .errors import Errors

_MANTISSA = 53


def uniform(ids: Iterable[str], *, seed: int, salt: str) -> numpy.ndarray:
    """A number in [0, 1) for each id, the same wherever and whenever it is asked for.

    seed (int): Chooses the run: another seed, other numbers for everything.
    salt (str): Chooses the draw within a run: another salt, independent numbers for the same ids.
    RETURNS (numpy.ndarray): float64 ``(n,)``, multiples of 2 to the -53.
    """
    # JSON ends where it ends: no seed, salt and id can be mistaken for others.
    start = hashlib.blake2b(json.dumps([int(seed), salt]).encode("ascii"), digest_size=8)
    digests = bytearray()
    for identity in ids:
        hashed = start.copy()
        hashed.update(identity.encode("utf8", "surrogatepass"))
        digests += hashed.digest()
    whole = numpy.frombuffer(bytes(digests), dtype=">u8")
    return (whole >> numpy.uint64(64 - _MANTISSA)) * 2.0**-_MANTISSA


def poisson(rates: Union[float, numpy.ndarray], u: numpy.ndarray) -> numpy.ndarray:
    """Poisson draws by inversion: the smallest k whose cumulative probability exceeds u.

    Takes as many steps as the largest draw; meant for rates up to some thousands.

    rates (float or numpy.ndarray): Expected values, finite and >= 0, of the shape of u or one.
    u (numpy.ndarray): Numbers in [0, 1), as ``uniform`` gives them.
    RETURNS (numpy.ndarray): int64, of the shape of u.

    Raises ValueError (HE139) for a rate or a u outside of its range.
    """
    shape = numpy.shape(u)
    left = numpy.asarray(u, dtype="float64").ravel()
    means = numpy.broadcast_to(numpy.asarray(rates, dtype="float64"), shape).ravel()
    _check("rate", means, (means >= 0) & numpy.isfinite(means), "a finite number >= 0")
    _check("u", left, (left >= 0) & (left < 1), "in [0, 1)")
    counts = numpy.zeros(left.size, dtype="int64")
    places = numpy.arange(left.size)
    cumulated, log_factorial = numpy.exp(-means), 0.0
    stays = left >= cumulated
    while stays.any():
        places, left, means = places[stays], left[stays], means[stays]
        before = cumulated[stays]
        counts[places] += 1
        k = int(counts[places[0]])
        log_factorial += math.log(k)
        # In logarithms, because exp(-rate) is 0 from a rate of 746 on.
        cumulated = before + numpy.exp(k * numpy.log(means) - means - log_factorial)
        # Past the mode, a sum that no longer grows never will: rounding may end it just below 1.
        stays = (left >= cumulated) & ((cumulated > before) | (k <= means))
    return counts.reshape(shape)


def _check(name: str, values: numpy.ndarray, fine: numpy.ndarray, expected: str) -> None:
    if not fine.all():
        wrong = float(values[~fine].flat[0])
        raise ValueError(Errors.HE139.format(name=name, value=wrong, expected=expected))
