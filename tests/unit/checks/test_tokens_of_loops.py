"""Loops that predict tokens from tokens: what their model may see, and what it must not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter


def _warned(sitter: Babysitter) -> set[str]:
    assert not [each.message for each in sitter.findings if each.check == "babysitter"]
    return {each.check for each in sitter.findings if each.severity in ("warn", "fatal")}


class _Tokens(nn.Module):
    """Logits (B, T, 9) of a GRU, one way or both."""

    def __init__(self, both_ways: bool, is_flat: bool) -> None:
        super().__init__()
        self.is_flat = is_flat
        self.embedding = nn.Embedding(9, 12)
        self.gru = nn.GRU(12, 12, batch_first=True, bidirectional=both_ways)
        self.head = nn.Linear(24 if both_ways else 12, 9)

    def forward(self, tokens: Tensor) -> Tensor:
        logits = self.head(self.gru(self.embedding(tokens))[0])
        return logits.flatten(0, 1) if self.is_flat else logits


def _next_tokens(both_ways: bool, shift: int, is_flat: bool = False) -> Babysitter:
    text = (torch.randint(9, (200, 1)) + torch.arange(11) * torch.randint(1, 4, (200, 1))) % 9
    model = _Tokens(both_ways, is_flat)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    sitter = Babysitter(model, optimizer, task="language_model")
    for _ in range(3):
        for rows in torch.randperm(200).split(20):
            logits = model(text[rows, :-1])
            loss = F.cross_entropy(logits.view(-1, 9), text[rows, shift : 10 + shift].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
    sitter.after()
    return sitter


def test_a_causal_language_model_is_not_blamed() -> None:
    assert _warned(_next_tokens(both_ways=False, shift=1)) == set()


@pytest.mark.parametrize("is_flat", [False, True])
def test_a_language_model_that_sees_the_next_token_is_named(is_flat: bool) -> None:
    assert _next_tokens(both_ways=True, shift=1, is_flat=is_flat).verdict().cause == "label_leak"


def test_targets_that_are_not_shifted_are_named() -> None:
    verdict = _next_tokens(both_ways=False, shift=0).verdict()
    assert verdict.cause == "wrong_loss" and "not shifted" in verdict.text


class _Decoder(nn.Module):
    """Predicts each token from those before it, which it shifts itself."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = _Tokens(both_ways=False, is_flat=False)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        logits: Tensor = self.tokens(torch.cat([source[:, :1], target[:, :-1]], 1))
        return logits


def test_a_decoder_that_shifts_tokens_itself_is_not_blamed() -> None:
    text = (torch.randint(9, (200, 1)) + torch.arange(11) * torch.randint(1, 4, (200, 1))) % 9
    model = _Decoder()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    sitter = Babysitter(model, optimizer)
    for _ in range(3):
        for rows in torch.randperm(200).split(20):
            loss = F.cross_entropy(
                model(text[rows].flip(1)[:, 1:], text[rows, 1:]).flatten(0, 1), text[rows, 1:].flatten()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss)
    sitter.after()
    assert "visible_answer" not in _warned(sitter)
