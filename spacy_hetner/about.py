"""The package's name and version, importable without anything else."""

__title__ = "spacy_hetner"
__version__ = "0.1.0"
