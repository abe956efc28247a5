"""Named entity recognition from heterogeneous knowledge, as spaCy components."""

from .about import __version__

__all__ = ["__version__"]
