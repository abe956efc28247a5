"""A learner over a tiny encoder, and steps to train it by, for all tests of the trainer's parts."""

from pathlib import Path
from typing import Any, Dict

import torch
from torch import Tensor, nn
from transformers import AutoModel

from spacy_hetner.pretraining.objectives.objective import Learner

LABELS = 3
PIECES = 50


class ToyLearner(Learner):
    """A label for each piece; ``tied`` adds a score for each piece of the vocabulary, by the same
    weights as embed it."""

    def __init__(self, transformer: nn.Module, *, tied: bool = False) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = nn.ModuleDict({"labels": nn.Linear(transformer.config.hidden_size, LABELS)})
        if tied:
            embeddings = transformer.get_input_embeddings().weight
            self.head["pieces"] = nn.Linear(*reversed(embeddings.shape), bias=False)
            self.head["pieces"].weight = embeddings

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        vectors = self.transformer(input_ids=tensors["ids"]).last_hidden_state
        logits = self.head["labels"](vectors).flatten(0, 1)
        loss = nn.functional.cross_entropy(logits, tensors["labels"].flatten(), reduction="sum")
        return {"toy": loss}


def make_learner(folder: Path, *, seed: int = 0, **settings: Any) -> ToyLearner:
    """A learner whose encoder is read from a folder and whose head is random."""
    torch.manual_seed(seed)
    return ToyLearner(AutoModel.from_pretrained(folder), **settings)


def train(learner: ToyLearner, optimizer: torch.optim.Optimizer, first: int, last: int) -> Tensor:
    """Take the steps from ``first`` to before ``last``, each random by its number alone.

    RETURNS: the losses.
    """
    losses = []
    learner.train()
    for step in range(first, last):
        torch.manual_seed(step)
        tensors = {
            "ids": torch.randint(5, PIECES, (2, 8)),
            "labels": torch.randint(LABELS, (2, 8)),
        }
        loss = learner(tensors)["toy"]
        losses.append(loss.detach())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return torch.stack(losses)


def copy_weights(module: nn.Module) -> Dict[str, Tensor]:
    """The weights of a module as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def equal(some: Dict[str, Any], other: Dict[str, Any]) -> bool:
    """Whether values are of the same types and the same, tensors bit by bit."""
    return some.keys() == other.keys() and all(map(_same, some.values(), map(other.get, some)))


def _same(one: Any, another: Any) -> bool:
    if type(one) is not type(another):
        return False
    if isinstance(one, Tensor):
        return one.dtype == another.dtype and torch.equal(one, another)
    return one == another
