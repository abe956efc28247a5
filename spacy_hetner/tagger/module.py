"""The plain token tagger as a torch module."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..encoders.batching import length_buckets
from ..sequences.head import ChainHead, ChainScores

MIN_DENSITY = 0.9
MAX_PADDED = 4096


class TokenTagger(nn.Module):
    """Dropout - Linear(width, n_tags) - CRF or softmax, where asked for after one more transformer
    layer (the 13-layer baseline of the Classification Attention paper)."""

    def __init__(
        self,
        width: int,
        n_tags: int,
        layers: int,
        crf: bool,
        transition_rate: float,
        dropout: float,
        extra_layer: bool,
        heads: int,
    ) -> None:
        super().__init__()
        self.settings = {
            "width": width,
            "n_tags": n_tags,
            "layers": layers,
            "crf": crf,
            "transition_rate": transition_rate,
            "dropout": dropout,
            "extra_layer": extra_layer,
            "heads": heads,
        }
        self.extra_layer = ExtraLayer(width, heads, dropout) if extra_layer else None
        self.dropout = nn.Dropout(dropout)
        self.head = ChainHead(width, n_tags, layers, crf, transition_rate)

    def forward(self, tokens: Tensor, pieces: Tensor, bounds: Tensor) -> ChainScores:
        """Shape: tokens (n_tokens, width); pieces (n_pieces, 2), half-open, all tokens in order:
        what the extra layer reads at once; bounds are not used."""
        if self.extra_layer is not None:
            tokens = self.extra_layer(tokens, pieces)
        return self.head(self.dropout(tokens))


class ExtraLayer(nn.Module):
    """One transformer layer as in BERT over pieces of a text, in batches of little padding."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, "gelu", layer_norm_eps=1e-12, batch_first=True
        )
        # Torch drops within the feed-forward part too, BERT does not.
        self.layer.dropout.p = 0.0

    def forward(self, tokens: Tensor, pieces: Tensor) -> Tensor:
        """Shape: tokens (n_tokens, width); pieces (n_pieces, 2). Returns (n_tokens, width)."""
        lengths = (pieces[:, 1] - pieces[:, 0]).cpu().numpy()
        parts = tokens.split(lengths.tolist())
        results = list(parts)
        for bucket in length_buckets(lengths, MIN_DENSITY, MAX_PADDED):
            padded = pad_sequence([parts[i] for i in bucket], batch_first=True)
            real = torch.arange(padded.shape[1]) < torch.from_numpy(lengths[bucket])[:, None]
            reread = self.layer(padded, src_key_padding_mask=~real.to(padded.device))
            for row, i in zip(reread, bucket, strict=True):
                results[i] = row[: int(lengths[i])]
        return torch.cat(results)
