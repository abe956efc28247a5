"""Word, part-of-speech and character features beside the encoder's vectors, as a torch module."""

from dataclasses import dataclass
from typing import List, Optional

import numpy
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

N_POS = 128  # spaCy's universal part-of-speech symbols lie below (symbols.POS + 18)


@dataclass
class TokenFeatures:
    """What is known of the tokens of a batch.

    doc_lengths: tokens of each doc, all >= 1; pos: int64 (n_tokens,); characters: code points of
    each token; vectors: float32 (n_tokens, width) static word vectors. A feature that the model
    does not use is None.
    """

    doc_lengths: List[int]
    pos: Optional[numpy.ndarray]
    characters: Optional[List[List[int]]]
    vectors: Optional[numpy.ndarray]


class FeatureEncoder(nn.Module):
    """[encoder; word; POS; characters] to one vector a token (Locate and Label, section 2.2).

    lstm_layers > 0: a bidirectional LSTM over the doc makes the vector, width / 2 a direction;
    otherwise a linear layer does. Characters: a bidirectional LSTM over each token's characters,
    averaged. Dropout is applied to each feature.
    """

    def __init__(
        self,
        *,
        encoder_width: int,
        width: int,
        vector_width: int,
        pos_width: int,
        char_width: int,
        char_buckets: int,
        lstm_layers: int,
        dropout: float,
        lstm_dropout: float,
    ) -> None:
        super().__init__()
        self.settings = {
            "encoder_width": encoder_width,
            "width": width,
            "vector_width": vector_width,
            "pos_width": pos_width,
            "char_width": char_width,
            "char_buckets": char_buckets,
            "lstm_layers": lstm_layers,
            "dropout": dropout,
            "lstm_dropout": lstm_dropout,
        }
        self.char_buckets = char_buckets
        self.dropout = nn.Dropout(dropout)
        self.pos = nn.Embedding(N_POS, pos_width) if pos_width else None
        self.chars = nn.Embedding(char_buckets, char_width) if char_width else None
        self.char_lstm = (
            nn.LSTM(char_width, char_width, bidirectional=True, batch_first=True)
            if char_width
            else None
        )
        total = encoder_width + vector_width + pos_width + 2 * char_width
        self.lstm: Optional[nn.LSTM] = None
        self.linear: Optional[nn.Linear] = None
        if lstm_layers:
            self.lstm = nn.LSTM(
                total, width // 2, num_layers=lstm_layers, bidirectional=True, batch_first=True
            )
            self.lstm_dropout = nn.Dropout(lstm_dropout)
        else:
            self.linear = nn.Linear(total, width)

    def forward(self, encoded: Tensor, features: TokenFeatures) -> Tensor:
        """Shape: encoded (n_tokens, encoder_width); returns (n_tokens, width)."""
        device = encoded.device
        parts = [encoded]
        if features.vectors is not None:
            parts.append(torch.from_numpy(features.vectors).to(device))
        if self.pos is not None and features.pos is not None:
            parts.append(self.pos(torch.from_numpy(features.pos).to(device)))
        if self.chars is not None and features.characters is not None:
            parts.append(self._characters(features.characters, device))
        joined = torch.cat([self.dropout(part) for part in parts], dim=1)
        if self.linear is not None:
            return self.linear(joined)
        assert self.lstm is not None
        docs = joined.split(features.doc_lengths)
        return self.lstm_dropout(_run_lstm(self.lstm, list(docs)))

    def _characters(self, characters: List[List[int]], device: torch.device) -> Tensor:
        """Mean of the character LSTM's states, (n_tokens, 2 * char_width)."""
        assert self.chars is not None and self.char_lstm is not None
        ids = [torch.tensor(token, device=device) % self.char_buckets for token in characters]
        states = _run_lstm(self.char_lstm, [self.chars(token) for token in ids])
        lengths = torch.tensor([len(token) for token in characters], device=device)
        owner = torch.repeat_interleave(torch.arange(len(ids), device=device), lengths)
        sums = states.new_zeros(len(ids), states.shape[1]).index_add(0, owner, states)
        return sums / lengths[:, None]


def _run_lstm(lstm: nn.LSTM, sequences: List[Tensor]) -> Tensor:
    """States of sequences of any lengths, concatenated again. Shape: (sum of lengths, width)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    packed = pack_padded_sequence(
        pad_sequence(sequences, batch_first=True), lengths, batch_first=True, enforce_sorted=False
    )
    states, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True)
    mask = torch.arange(states.shape[1]) < lengths[:, None]
    return states[mask.to(states.device)]
