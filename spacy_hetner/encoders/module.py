"""The encoder as torch modules: rows of pieces in, one vector a token out."""

import warnings
from contextlib import AbstractContextManager
from typing import Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Tuple, cast

import numpy
import torch
from torch import Tensor, nn

from ..errors import Warnings
from .alignment import PieceBatch
from .batching import length_buckets

POOLINGS = ("first", "last", "mean", "max")
PRECISIONS = ("fp32", "bf16", "fp16")


def supports_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself; others imitate it, slower than float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return True
    known: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if known:
        return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    # An older torch knows less: of processors other than x86 nothing.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, bool)() for probe in probes)


def supports_fp16(device: torch.device) -> bool:
    """Whether "fp16" is computed in float16, with scaled gradients, and not in float32."""
    return device.type == "cuda"


def tell_precision(precision: str, device: torch.device) -> None:
    """Warn of a precision that a device does not have (HW144) or has to imitate (HW145)."""
    if precision == "fp16" and not supports_fp16(device):
        warnings.warn(Warnings.HW144.format(device=device), stacklevel=2)
    if precision == "bf16" and not supports_bf16(device):
        warnings.warn(Warnings.HW145.format(device=device), stacklevel=2)


def tells_parts_apart(transformer: nn.Module) -> bool:
    """Whether an encoder has vectors for the first and the second part of its input, as BERT."""
    return getattr(cast(Any, transformer).config, "type_vocab_size", 0) > 1


class PaddingUse(NamedTuple):
    """How much of the encoder's work was on real pieces, since the module was made."""

    real: int
    padded: int


class PieceEncoder(nn.Module):
    """A Hugging Face encoder over rows of pieces, in length buckets.

    The buckets are what a padded batch is not: at least ``min_density`` of what the encoder
    computes is real pieces, on any mix of lengths. ``layers`` > 1 averages the last so many hidden
    layers (Locate and Label's reference uses four). ``precision`` "bf16" and "fp16" run the encoder
    under autocast, the latter on CUDA only, and return float32.

    revision: grows where the weights have changed, so that what was computed can be kept.
    """

    def __init__(
        self, *, layers: int, precision: str, min_density: float, max_batch_pieces: int
    ) -> None:
        super().__init__()
        self.transformer: nn.Module | None = None
        self.tokenizer: Any = None
        self.layers = layers
        self.precision = precision
        self.min_density = min_density
        self.max_batch_pieces = max_batch_pieces
        self.padding_use = PaddingUse(0, 0)
        self.revision = 0

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def encode(
        self,
        rows: List[numpy.ndarray],
        begins: Optional[numpy.ndarray] = None,
        buckets: Optional[Iterable[numpy.ndarray]] = None,
    ) -> Iterator[Tuple[numpy.ndarray, Tensor]]:
        """Encode rows of piece ids, one bucket after the other.

        begins: where the second part of each row begins, int64 ``(n,)``; None: rows have one part.
        buckets: which rows are encoded at once, longest rows first; None: ``length_buckets``.
        Shape: each bucket is indices into the rows ``(b,)``, longest rows first, and float32 states
        ``(b, longest, width)``; those of padding mean nothing.
        """
        lengths = numpy.array([len(ids) for ids in rows], dtype="int64")
        if buckets is None:
            buckets = length_buckets(lengths, self.min_density, self.max_batch_pieces)
        for bucket in buckets:
            real, padded = int(lengths[bucket].sum()), len(bucket) * int(lengths[bucket[0]])
            self.padding_use = PaddingUse(
                self.padding_use.real + real, self.padding_use.padded + padded
            )
            parted = None if begins is None else begins[bucket]
            yield bucket, self._encode([rows[i] for i in bucket], lengths[bucket], parted)

    def _encode(
        self, rows: List[numpy.ndarray], lengths: numpy.ndarray, begins: Optional[numpy.ndarray]
    ) -> Tensor:
        """One padded batch, shape (rows, longest, width)."""
        assert self.transformer is not None
        longest = int(lengths[0])
        input_ids = numpy.zeros((len(rows), longest), dtype="int64")
        for row, ids in zip(input_ids, rows, strict=True):
            row[: len(ids)] = ids
        mask = numpy.arange(longest) < lengths[:, None]
        wanted: Dict[str, Any] = {"output_hidden_states": True} if self.layers > 1 else {}
        if begins is not None and tells_parts_apart(self.transformer):
            types = (numpy.arange(longest) >= begins[:, None]).astype("int64")
            wanted["token_type_ids"] = torch.from_numpy(types).to(self.device)
        with self._autocast():
            output = self.transformer(
                input_ids=torch.from_numpy(input_ids).to(self.device),
                # A batch without padding takes the attention kernel's faster path without a mask.
                attention_mask=None
                if mask.all()
                else torch.from_numpy(mask.astype("int64")).to(self.device),
                return_dict=True,
                **wanted,
            )
        if self.layers > 1:
            return torch.stack(output.hidden_states[-self.layers :]).float().mean(0)
        return output.last_hidden_state.float()

    def _autocast(self) -> AbstractContextManager[Any]:
        device = self.device
        half = self.precision == "fp16"
        return torch.autocast(
            device.type,
            dtype=torch.float16 if half else torch.bfloat16,
            enabled=supports_fp16(device) if half else self.precision == "bf16",
        )


class TokenEncoder(PieceEncoder):
    """An encoder pooled from pieces to tokens."""

    def __init__(self, *, pooling: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.pooling = pooling

    def forward(self, batch: PieceBatch) -> Tensor:
        """Encode a batch of docs.

        Shape: returns float32 ``(batch.n_tokens, width)``; a token without pieces is zero.
        """
        row_of_window = numpy.zeros(len(batch.window_ids), dtype="int64")
        outputs: List[Tensor] = []
        n_rows = 0
        for bucket, states in self.encode(batch.window_ids):
            windows, longest, _ = states.shape
            row_of_window[bucket] = n_rows + numpy.arange(windows) * longest
            n_rows += windows * longest
            outputs.append(states.flatten(0, 1))  # (windows * longest, width)
        rows = torch.from_numpy(row_of_window[batch.link_window] + batch.link_row).to(self.device)
        return self._pool(torch.cat(outputs)[rows], batch)

    def _pool(self, pieces: Tensor, batch: PieceBatch) -> Tensor:
        """Reduce linked piece vectors (n_links, width) to token vectors (n_tokens, width)."""
        link_token = batch.link_token
        if self.pooling in ("first", "last") and len(link_token):
            side = (
                numpy.diff(link_token, prepend=-1)
                if self.pooling == "first"
                else numpy.diff(link_token, append=batch.n_tokens)
            )
            chosen = side != 0
            pieces = pieces[torch.from_numpy(chosen).to(pieces.device)]
            link_token = link_token[chosen]
        if len(link_token) == batch.n_tokens and (numpy.diff(link_token) == 1).all():
            return pieces
        index = torch.from_numpy(link_token).to(pieces.device)
        zeros = pieces.new_zeros(batch.n_tokens, pieces.shape[1])
        if self.pooling == "max":
            return zeros.scatter_reduce(
                0, index[:, None].expand_as(pieces), pieces, "amax", include_self=False
            )
        sums = zeros.index_add(0, index, pieces)
        counts = torch.bincount(index, minlength=batch.n_tokens).clamp(min=1)
        return sums / counts[:, None]
