"""A registered corpus reader: records to training examples."""

import warnings
from typing import Callable, Iterable, Iterator, Optional

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..errors import Errors, Warnings
from .records import SPANS_KEY, Record, record_to_doc
from .sample import check_size, nested_order, sample_size
from .stores import read_stores


def create_record_corpus(
    path: Optional[str],
    *,
    spans_key: str = SPANS_KEY,
    gold_tokens: bool = True,
    limit: int = 0,
    max_length: int = 0,
    shuffle: bool = False,
    seed: int = 0,
    sample_count: int = 0,
    sample_share: float = 1.0,
    sample_seed: int = 0,
) -> Callable[[Language], Iterable[Example]]:
    """Registered as ``spacy_hetner.RecordCorpus.v1``: examples from a store of records.

    The reference of each example has all spans in ``doc.spans[spans_key]`` and the outermost in
    ``doc.ents``. Records without tokens are left out, as spaCy's own reader does. Of the docs in a
    DocBin the tokens, blanks, spans and ids are read, and nothing else: tags, lemmas and sentence
    starts are not.

    path (Optional[str]): A ``.parquet`` or ``.spacy`` file, or a folder of such.
    spans_key (str): Name of the span group with the gold spans, in the examples and in a DocBin.
    gold_tokens (bool): Give the pipeline the tokens of the corpus. Otherwise its own tokenizer
        cuts the text, and spans whose boundaries it does not find are lost.
    limit (int): Take the first so many examples; 0 takes all.
    max_length (int): Leave out records of more tokens, and warn once they are read (HW060); 0
        takes all.
    shuffle (bool): Give the records in another order each time, by row groups and within each.
        ``spacy train`` shuffles by itself unless it streams (``training.max_epochs = -1``).
    seed (int): Seed of the shuffling.
    sample_count (int): Draw so many at random, of what ``limit`` and ``max_length`` leave; 0 draws
        none. For few-shot experiments: of one seed, a larger sample holds all of the smaller ones,
        and it is exactly as large as asked for. The store is then read twice.
    sample_share (float): Draw a share of them instead, see ``sample_size``; 1.0 draws none.
    sample_seed (int): Seed of the draw.
    RETURNS (Callable[[Language], Iterable[Example]]): The reader.

    Raises ValueError for negative numbers (HE078) and sizes of a sample that are none (HE216,
    HE217); the reader raises it for an empty path (HE082), for fewer records than the sample is to
    have (HE215), and as ``read_stores`` does.
    """
    for name, value in (
        ("limit", limit),
        ("max_length", max_length),
        ("seed", seed),
        ("sample_seed", sample_seed),
    ):
        if value < 0:
            raise ValueError(Errors.HE078.format(name=name, low=0, value=value))
    count, share = check_size(sample_count, sample_share)
    rng = numpy.random.default_rng(seed) if shuffle else None

    def read(order: Optional[numpy.random.Generator] = None) -> Iterator[Record]:
        if not path:
            raise ValueError(Errors.HE082)
        return (r for r in read_stores([path], spans_key=spans_key, rng=order) if r.tokens)

    def read_chosen() -> Iterable[Record]:
        if not count and share == 1:
            return _chosen(read(rng), limit, max_length, str(path))
        # The first pass keeps no more than ids: the store may be large, and the sample is small.
        ids = (record.id for record in _chosen(read(), limit, max_length, str(path)))
        drawn = nested_order(ids, seed=sample_seed)
        kept = set(drawn[: sample_size(len(drawn), count=count, share=share)].tolist())
        fitting = (r for r in read() if not max_length or len(r.tokens) <= max_length)
        sample = [record for place, record in enumerate(fitting) if place in kept]
        return sample if rng is None else [sample[i] for i in rng.permutation(len(sample))]

    def read_examples(nlp: Language) -> Iterator[Example]:
        for record in read_chosen():
            reference = record_to_doc(record, nlp.vocab, spans_key)
            if gold_tokens:
                predicted = Doc(nlp.vocab, words=record.tokens, spaces=record.spaces)
            else:
                predicted = nlp.make_doc(reference.text)
            yield Example(predicted, reference)

    return read_examples


def _chosen(records: Iterable[Record], limit: int, max_length: int, path: str) -> Iterator[Record]:
    """The first ``limit`` records that are not too long; at the end tell how many are."""
    taken, too_long = 0, []
    for record in records:
        if max_length and len(record.tokens) > max_length:
            too_long.append(len(record.tokens))
            continue
        taken += 1
        yield record
        if taken == limit:
            break
    if too_long:
        warnings.warn(
            Warnings.HW060.format(
                lost=len(too_long),
                total=taken + len(too_long),
                path=path,
                limit=max_length,
                longest=max(too_long),
            ),
            stacklevel=2,
        )
