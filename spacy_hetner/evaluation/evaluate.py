"""Evaluate a pipeline on annotated data: every score that the package knows, in one pass."""

from pathlib import Path
from typing import Iterable, List, Optional, Set, Union

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from ..errors import Errors
from .metrics import CandidateScores, SpanScores
from .report import Report
from .scorers import get_group, pair_spans


def evaluate_model(
    model_path: Union[str, Path],
    data_path: Union[str, Path],
    *,
    spans_key: str = "entities",
    candidates_key: str = "candidates",
    gold_tokens: bool = True,
    batch_size: Optional[int] = None,
    gpu_id: int = -1,
) -> Report:
    """Run a saved pipeline over annotated data and score it.

    model_path (Union[str, Path]): A pipeline's folder, or the name of an installed one.
    data_path (Union[str, Path]): Annotated docs (``.spacy``) or records (``.parquet``).
    spans_key (str): The group of labelled spans, predicted and gold.
    candidates_key (str): The group of candidates, measured against the gold of ``spans_key``.
    gold_tokens (bool): Give the pipeline the reference's tokens; otherwise it tokenises the text
        itself, and spans that its tokens cannot express count as missed. The text of data that
        does not say where blanks are has one after every token.
    batch_size (Optional[int]): Documents a batch; by default the pipeline's own setting.
    gpu_id (int): The GPU to use, -1 for the CPU.
    RETURNS (Report): All scores.
    RAISES: HE092 if there is nothing to compare, HE093 if the pipeline does not load, HE094 if
        the data cannot be read, HE095 if the GPU cannot be used.
    """
    # The data's name is checked first: loading a pipeline takes much longer.
    data_path = _check_data(data_path)
    nlp = load_pipeline(model_path, gpu_id)
    examples = _read_examples(nlp, data_path, spans_key, gold_tokens)
    pairs = ((example.predicted, example.reference) for example in examples)
    tally = _Tally(spans_key, candidates_key)
    for predicted, reference in nlp.pipe(pairs, as_tuples=True, batch_size=batch_size):
        tally.add(predicted, reference)
    # A document is counted wherever it has gold; a section is left out only where the pipeline
    # writes nothing of its kind in any document.
    scored = spans_key in tally.gold_groups
    spans = tally.spans if scored and spans_key in tally.predicted_groups else None
    candidates = tally.candidates if scored and candidates_key in tally.predicted_groups else None
    ents = tally.ents if tally.ents.documents and tally.predicted_ents else None
    if spans is None and candidates is None and ents is None:
        raise ValueError(
            Errors.HE092.format(
                path=data_path,
                documents=tally.documents,
                gold=", ".join(sorted(tally.gold_groups)),
                predicted=", ".join(sorted(tally.predicted_groups)),
                key=spans_key,
            )
        )
    return Report(
        model=str(model_path),
        data=str(data_path),
        documents=tally.documents,
        tokens=tally.tokens,
        gold_tokens=gold_tokens,
        spans_key=spans_key,
        candidates_key=candidates_key,
        spans=spans,
        candidates=candidates,
        ents=ents,
    )


class _Tally:
    """Counts of one pass over the documents."""

    def __init__(self, spans_key: str, candidates_key: str) -> None:
        self.spans_key = spans_key
        self.candidates_key = candidates_key
        self.documents = 0
        self.tokens = 0
        self.gold_groups: Set[str] = set()
        self.predicted_groups: Set[str] = set()
        self.predicted_ents = False
        self.spans = SpanScores()
        self.candidates = CandidateScores()
        self.ents = SpanScores()

    def add(self, predicted: Doc, reference: Doc) -> None:
        self.documents += 1
        self.tokens += len(reference)
        self.gold_groups.update(reference.spans)
        self.predicted_groups.update(predicted.spans)
        # spaCy takes an empty doc for annotated.
        self.predicted_ents |= len(predicted) > 0 and predicted.has_annotation("ENT_IOB")
        if self.spans_key in reference.spans:
            gold = get_group(reference, self.spans_key)
            entities = get_group(predicted, self.spans_key)
            candidates = get_group(predicted, self.candidates_key)
            self.spans.add(pair_spans(predicted, reference, entities, gold))
            self.candidates.add(pair_spans(predicted, reference, candidates, gold))
        if len(reference) and reference.has_annotation("ENT_IOB"):
            self.ents.add(pair_spans(predicted, reference, predicted.ents, reference.ents))


def _check_data(data_path: Union[str, Path]) -> Path:
    path = Path(data_path)
    if path.suffix not in (".spacy", ".parquet"):
        reason = "its name ends in neither .spacy nor .parquet"
        raise ValueError(Errors.HE094.format(path=path, reason=reason))
    if not path.is_file():
        raise ValueError(Errors.HE094.format(path=path, reason="there is no such file"))
    return path


def load_pipeline(model_path: Union[str, Path], gpu_id: int = -1) -> Language:
    """Load a pipeline, on a GPU where gpu_id >= 0; RAISES (ValueError): HE093, HE095."""
    if gpu_id >= 0:
        try:
            spacy.require_gpu(gpu_id)
        except ValueError as error:
            raise ValueError(Errors.HE095.format(gpu_id=gpu_id, reason=error)) from error
    try:
        return spacy.load(model_path)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(Errors.HE093.format(path=model_path, reason=error)) from error


def _read_examples(
    nlp: Language, path: Path, spans_key: str, gold_tokens: bool
) -> Iterable[Example]:
    if path.suffix == ".parquet":
        create_corpus = spacy.registry.readers.get("spacy_hetner.RecordCorpus.v1")
        return create_corpus(str(path), spans_key=spans_key, gold_tokens=gold_tokens)(nlp)
    # Not by way of records: these hold one group of spans, and a DocBin's may have any name.
    make_predicted = _copy_tokens if gold_tokens else _tokenise
    return (Example(make_predicted(nlp, doc), doc) for doc in _read_docs(nlp, path))


def _read_docs(nlp: Language, path: Path) -> List[Doc]:
    try:
        return list(DocBin().from_disk(path).get_docs(nlp.vocab))
    except Exception as error:  # zlib, msgpack and DocBin itself each raise their own
        raise ValueError(Errors.HE094.format(path=path, reason=error)) from error


def _copy_tokens(nlp: Language, reference: Doc) -> Doc:
    words = [token.text for token in reference]
    spaces = [bool(token.whitespace_) for token in reference]
    return Doc(nlp.vocab, words=words, spaces=spaces)


def _tokenise(nlp: Language, reference: Doc) -> Doc:
    return nlp.make_doc(reference.text)
