"""``spacy hetner ...``: one file a command, each a thin function over a plain one.

spaCy imports this module when its own command line starts, whichever command was asked for.
"""

from typing import Any

from spacy.cli._util import app as spacy_app
from typer import Typer
from typer.core import TyperGroup
from wasabi import msg

from ..errors import is_coded
from .adapt import adapt_cli
from .annotate import annotate_cli
from .attention import attention_cli
from .changes import changes_cli
from .coarse_to_fine import coarse_to_fine_cli
from .convert import convert_cli
from .encoder import encoder_app
from .evaluate import evaluate_cli
from .fewshot import fewshot_cli
from .gazetteer import gazetteer_app
from .labels import labels_cli
from .pretrain import pretrain_cli
from .project_entities import project_entities_cli
from .text import text_cli
from .wiki import wiki_app


class _CodedErrors(TyperGroup):
    """Tells the user an error that was written for them without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ValueError as err:
            if not is_coded(err):
                raise
            msg.fail(str(err), exits=1)


app = Typer(
    name="hetner",
    help="Nested entities, dictionaries, Chinese: encoders, corpora, knowledge, evaluation",
    cls=_CodedErrors,
    no_args_is_help=True,
)
_OVERRIDES = {"allow_extra_args": True, "ignore_unknown_options": True}
app.command("convert")(convert_cli)
app.command("evaluate")(evaluate_cli)
app.command("attention")(attention_cli)
app.command("annotate")(annotate_cli)
app.command("text")(text_cli)
app.command("project-entities")(project_entities_cli)
app.command("labels")(labels_cli)
app.command("changes")(changes_cli)
app.command("pretrain", context_settings=_OVERRIDES)(pretrain_cli)
app.command("coarse-to-fine", context_settings=_OVERRIDES)(coarse_to_fine_cli)
app.command("fewshot", context_settings=_OVERRIDES)(fewshot_cli)
encoder_app.command("adapt", context_settings=_OVERRIDES)(adapt_cli)
app.add_typer(encoder_app)
app.add_typer(gazetteer_app)
app.add_typer(wiki_app)
spacy_app.add_typer(app)
