"""Checks of settings that users write in a config, each with a coded error."""

from typing import Sequence

from .errors import Errors


def check_range(name: str, value: float, low: float, high: float) -> float:
    """RETURNS: the value as a float; RAISES (ValueError): HE002 outside [low, high]."""
    if not low <= value <= high:
        raise ValueError(Errors.HE002.format(name=name, low=low, high=high, value=value))
    return float(value)


def check_count(name: str, value: int, low: int) -> int:
    """RETURNS: the value; RAISES (ValueError): HE078 for no whole number, or one below low."""
    if int(value) != value or value < low:
        raise ValueError(Errors.HE078.format(name=name, low=low, value=value))
    return int(value)


def check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    """RETURNS: the value; RAISES (ValueError): HE004 where it is none of the choices."""
    if value not in choices:
        raise ValueError(Errors.HE004.format(name=name, value=value, choices=", ".join(choices)))
    return value


def check_heads(heads: int, width: int) -> int:
    """RETURNS: the number of attention heads; RAISES (ValueError): HE011, HE078."""
    if width % check_count("heads", heads, 1):
        raise ValueError(Errors.HE011.format(heads=heads, width=width))
    return heads
