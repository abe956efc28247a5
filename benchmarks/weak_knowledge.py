"""What recognition without annotation learns from: dictionaries and texts, as two stores.

``entities`` has entities without types, which CoFEE calls D_g, ``distant`` those of them that the
dictionaries have, with their labels: D_s. CoFEE takes both from the links of an encyclopedia. For
E-commerce there is no Chinese dump of one: the texts of the training part, without their
annotation, stand in for it, with nouns in the place of links. For Twitter 2015 they are links of
English Wikipedia, and to D_s come tweets in which the dictionaries' names are found anywhere.

What dictionaries E-commerce gets was chosen on dev, by matching them there: four lists of brands,
of 33,000 entries, are left out, since one in fifteen of their matches is a brand. With them and
reviews of goods for texts, a tagger trained on the labels had F 7.
"""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence

from pretrain import DUMPS, in_random_order

from spacy_hetner.candidates.entities import NounEntities
from spacy_hetner.corpora.distant import annotate, label_texts
from spacy_hetner.corpora.free_text import TextLayout
from spacy_hetner.corpora.readers.columns import read_columns
from spacy_hetner.corpora.records import Ledger, Record
from spacy_hetner.corpora.stores import read_stores, write_parquet
from spacy_hetner.engine.make import make_engine
from spacy_hetner.files import replacing_folder, write_json
from spacy_hetner.gazetteers.build import build_gazetteer
from spacy_hetner.gazetteers.gazetteer import Gazetteer
from spacy_hetner.gazetteers.source import Source
from spacy_hetner.sampling import uniform
from spacy_hetner.wiki.build import AnchorCorpus, build_wiki

MIN_LENGTH = 2
"""Of a name, in characters: single characters are words of their own more often than names."""
PARTS = ("entities", "distant")
PART, FACTS, TEXTS = "part.parquet", "facts.json", "texts.parquet"


class Knowledge(NamedTuple):
    """Of a data set: dictionaries by label, the first of which wins; how they are normalised; raw
    texts, as a file of a mirror and the key that they stand under, none for the tokens of an
    annotated corpus, whose tags are not read; queries by name."""

    lang: str
    names: Mapping[str, Sequence[Mapping[str, Any]]]
    normalize: Sequence[str]
    texts: str
    key: Optional[str]
    queries: str


def _lists(folder: str, *names: str) -> List[Dict[str, Any]]:
    return [{"path": f"gazetteers/{folder}/{name}"} for name in names]


KNOWLEDGE = {
    "ecommerce": Knowledge(
        "zh",
        {
            "HC": [
                *_lists("ecommerce", *(f"product{number}.dic" for number in (1, 2, 3))),
                {"path": "dsner/EC.dict/Product"},
            ],
            "HP": [{"path": "dsner/EC.dict/Brand"}],
        },
        ("width", "case"),
        "ecommerce/train.txt.bieos",
        None,
        "zh",
    ),
    "twitter2015": Knowledge(
        "en",
        {
            "PER": _lists("lexiconner/dictionary", "person.txt"),
            "ORG": [
                *_lists("lexiconner/dictionary", "organization.txt"),
                {"path": "gazetteers/sp500/constituents.csv", "text_column": "Security"},
            ],
            "LOC": [
                *_lists("lexiconner/dictionary", "location.txt"),
                {"path": "gazetteers/world_cities/world-cities.csv", "text_column": "name"},
            ],
        },
        (),
        "unlabelled/en_tweets_emoji/train_text.txt.xz",
        "",
        "en",
    ),
}


class Stores(NamedTuple):
    """Folders of records and of the gazetteer, and what is in them, see ``describe``."""

    entities: Path
    distant: Path
    names: Path
    facts: Dict[str, Any]


def make_stores(data: str, mirror: Path, work: Path, sentences: int, share: float) -> Stores:
    """Make what a data set's runs learn from, unless it is there.

    sentences (int): Drawn from all; 0 takes them all. Larger draws have the smaller ones in them.
    share (float): Of the names of the dictionaries; larger shares have the smaller ones in them.
    """
    known, work = KNOWLEDGE[data], work / data
    names = make_names(known, mirror, work, share)
    folder = work / f"n{sentences}-{names.name}"
    if not (folder / FACTS).is_file():
        with replacing_folder(folder) as new:
            make = _from_nouns if known.lang == "zh" else _from_links
            make(known, mirror, work, names, sentences, new)
            parts = {part: describe(read_stores([new / part])) for part in PARTS}
            write_json(new / FACTS, {"names": count_names(names), **parts})
    facts = json.loads((folder / FACTS).read_text(encoding="utf8"))
    return Stores(*(folder / part for part in PARTS), names, facts)


def make_names(known: Knowledge, mirror: Path, work: Path, share: float) -> Path:
    """The gazetteer with a share of the names, as a folder."""
    folder = work / f"names{share:g}"
    if folder.is_dir():
        return folder
    sources = [
        Source(**{**one, "path": mirror / one["path"]}, label=label)
        for label, lists in known.names.items()
        for one in lists
    ]
    whole, _ = build_gazetteer(
        sources,
        conflict="first",
        priority=list(known.names),
        normalize=known.normalize,
        min_length=MIN_LENGTH,
    )
    drawn = uniform(whole.surfaces, seed=0, salt="names") < share
    kept = {
        surface: whole.labels_of(entry)
        for entry, surface in enumerate(whole.surfaces)
        if drawn[entry]
    }
    chosen = Gazetteer(kept, labels=list(known.names), normalize=known.normalize)
    chosen.to_disk(folder)
    return folder


def count_names(names: Path) -> Dict[str, int]:
    """How many names of a gazetteer have each label."""
    gazetteer = Gazetteer.from_disk(names)
    found = (label for entry in range(len(gazetteer)) for label in gazetteer.labels_of(entry))
    return dict(Counter(found))


def _from_nouns(
    known: Knowledge, mirror: Path, work: Path, names: Path, sentences: int, new: Path
) -> None:
    """Nouns of texts, and those of the dictionaries."""
    texts = mirror / known.texts
    if known.key is None:
        write_parquet(_without_labels(texts), work / TEXTS)
        texts = work / TEXTS
    label_texts(
        [texts],
        work / "nouns",
        NounEntities("lac", max_words=2),
        make_engine(),
        lang=known.lang,
        per_character=True,
        layout=TextLayout("jsonl", known.key) if known.key else TextLayout(),
    )
    drawn = _draw(read_stores([work / "nouns"]), sentences)
    write_parquet(drawn, new / PARTS[0] / PART)
    _annotate(new / PARTS[0], new / PARTS[1], names, known, "spans")


def _without_labels(columns: Path) -> Iterable[Record]:
    """The tokens of an annotated corpus, numbered."""
    records = read_columns([columns], Ledger(), scheme="BIOES", separator="tab")
    return (
        replace(
            record, spans=[], spaces=[False] * len(record.tokens), id=f"{columns.name}:{number}"
        )
        for number, record in enumerate(records)
    )


def _from_links(
    known: Knowledge, mirror: Path, work: Path, names: Path, sentences: int, new: Path
) -> None:
    """Links of a dump, those of the dictionaries, and tweets with names of the dictionaries."""
    wiki, tweets = (work / f"{source}-{names.name}" for source in ("wiki", "tweets"))
    dumps = [mirror / dump for dump in DUMPS]
    build_wiki(dumps, wiki, make_engine(), lang=known.lang, anchored=AnchorCorpus(str(names)))
    linked = _draw(read_stores([wiki / "entities"]), sentences)
    write_parquet(linked, new / PARTS[0] / PART)
    drawn = {record.id for record in linked}
    _annotate(mirror / known.texts, tweets, names, known, "longest")
    labelled = [r for r in read_stores([wiki / "gazetteer"]) if r.spans and r.id in drawn]
    labelled += _draw(read_stores([tweets]), sentences)
    write_parquet(labelled, new / PARTS[1] / PART)


def _annotate(source: Path, out: Path, names: Path, known: Knowledge, matching: str) -> None:
    """Write the sentences in which something is an entry of the dictionaries."""
    annotate(
        [source], out, names, make_engine(), lang=known.lang, matching=matching, conflict="first"
    )


def _draw(records: Iterable[Record], count: int) -> List[Record]:
    return in_random_order(records)[: count or None]


def describe(records: Iterable[Record]) -> Dict[str, Any]:
    """Sentences, tokens, and spans by label."""
    labels: Counter[str] = Counter()
    sentences = tokens = 0
    for record in records:
        sentences += 1
        tokens += len(record.tokens)
        labels.update(span.label for span in record.spans)
    return {"sentences": sentences, "tokens": tokens, "labels": dict(labels)}
