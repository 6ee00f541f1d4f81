"""What the graph behind a loss shows, before and after backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F

from hpo.checks.loss_facts import LossFacts, LossTerm, Normalization
from hpo.checks.measure.loss_graph import loss_facts

LAYER = nn.Linear(3, 4)
ONE = nn.Linear(3, 1)
INPUTS = torch.randn(8, 3)
LABELS = torch.randint(4, (8,))
TRUTH = torch.rand(8)


def logits() -> Tensor:
    """Outputs (8, 4)."""
    return LAYER(INPUTS)


def values() -> Tensor:
    """Outputs (8, 1)."""
    return ONE(INPUTS)


def read(loss: Tensor, *made: object) -> LossFacts:
    """The same facts before and after backward, which frees the tensors of the graph."""
    before = loss_facts(loss, 0, made)
    loss.backward()
    assert before is not None and loss_facts(loss, 0, made) == before
    return before


TWICE: dict[str, tuple[Callable[[], Tensor], str]] = {
    "cross-entropy": (lambda: F.cross_entropy(logits().softmax(1), LABELS), "softmax"),
    "sigmoids": (lambda: F.cross_entropy(logits().sigmoid(), LABELS), "sigmoid"),
    "tokens": (
        lambda: F.cross_entropy(logits().reshape(2, 4, 4).softmax(-1).transpose(1, 2), LABELS.view(2, 4)),
        "softmax",
    ),
    "two classes": (lambda: F.binary_cross_entropy_with_logits(values().sigmoid()[:, 0], TRUTH), "sigmoid"),
    "two sigmoids": (lambda: F.binary_cross_entropy(values().sigmoid().sigmoid()[:, 0], TRUTH), "sigmoid"),
    "a sum": (lambda: values().square().mean() + F.cross_entropy(logits().softmax(1), LABELS), "softmax"),
    "a teacher": (
        lambda: F.kl_div((logits().softmax(1) / 2).log_softmax(1), torch.rand(8, 4), reduction="batchmean"),
        "softmax",
    ),
    "a policy": (
        lambda: -(Categorical(logits=logits().softmax(1)).log_prob(LABELS) * TRUTH).sum(),
        "softmax",
    ),
    "once": (lambda: F.cross_entropy(logits(), LABELS), ""),
    "probabilities": (lambda: F.binary_cross_entropy(values().sigmoid()[:, 0], TRUTH), ""),
    "own probabilities": (
        lambda: -(Categorical(logits().softmax(1)).log_prob(LABELS) * TRUTH).sum(),
        "",
    ),
    "log twice": (lambda: F.cross_entropy(logits().log_softmax(1), LABELS), ""),
    "experts": (
        lambda: F.cross_entropy(logits().softmax(1)[:, :1] * logits(), LABELS),
        "",
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_second_softmax_is_seen_where_outputs_reach_the_loss(name: str) -> None:
    loss, expected = TWICE[name]
    assert read(loss()).twice == expected


def test_what_a_likelihood_gets_in_place_of_logarithms() -> None:
    assert read(F.nll_loss(logits().softmax(1), LABELS)).missing_log == "probabilities"
    assert read(F.nll_loss(logits(), LABELS)).missing_log == "logits"
    assert read(F.nll_loss(logits().log_softmax(1), LABELS)).missing_log == ""
    assert read(F.nll_loss(logits().softmax(1).log(), LABELS)).missing_log == ""
    assert read(F.cross_entropy(logits(), LABELS, label_smoothing=0.1)).missing_log == ""


def test_the_axis_of_log_softmax_must_be_that_of_the_classes() -> None:
    assert read(F.nll_loss(logits().log_softmax(0), LABELS)).wrong_axis == Normalization(0, (8, 4))
    assert read(F.nll_loss(logits().log_softmax(-1), LABELS)).wrong_axis is None
    tokens = logits().reshape(2, 4, 4).log_softmax(-1).reshape(8, 4)
    assert read(F.nll_loss(tokens, LABELS)).wrong_axis is None
    pixels = logits().reshape(2, 2, 2, 4).permute(0, 3, 1, 2)
    assert read(F.cross_entropy(pixels, LABELS.reshape(2, 2, 2))).wrong_axis is None


BROADCAST: dict[str, tuple[Callable[[], Tensor], tuple[tuple[int, ...], ...]]] = {
    "mse": (lambda: F.mse_loss(values(), TRUTH), ((8, 1), (8, 8))),
    "by hand": (lambda: ((values() - TRUTH) ** 2).mean(), ((8, 1), (8, 8))),
    "l1": (lambda: F.l1_loss(values()[:, 0], TRUTH[:, None]), ((8,), (8, 8))),
    "weights": (lambda: (TRUTH * (values() - 1).abs()).mean(), ((8, 1), (8, 8))),
    "quantiles": (
        lambda: torch.maximum(*(share * (TRUTH[:, None, None] - logits()) for share in (0.1, -0.9))).mean(),
        ((8, 4), (8, 8, 4)),
    ),
    "fits": (lambda: F.mse_loss(values(), TRUTH[:, None]), ()),
    "a pair each": (lambda: (values() - values().T).relu().mean(), ()),
    "asked for": (lambda: (values()[:, 0].unsqueeze(1) - TRUTH).abs().mean(), ()),
    "a parameter": (lambda: F.mse_loss(values() + ONE.bias, TRUTH[:, None]), ()),
    "three shares": (lambda: ((values() - TRUTH[:, None]) * torch.tensor([0.1, 0.5, 0.9])).mean(), ()),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("name", BROADCAST)
def test_outputs_that_the_loss_broadcasts_over_the_batch(name: str) -> None:
    loss, expected = BROADCAST[name]
    assert read(loss()).broadcast == expected


@pytest.mark.filterwarnings("ignore:Using a target size")
def test_an_axis_that_the_model_adds_is_not_asked_for_by_the_loss() -> None:
    made = logits().sum(1).unsqueeze(1)
    assert read(F.mse_loss(made, TRUTH), made.grad_fn).broadcast == ((8, 1), (8, 8))


def test_the_terms_of_a_sum_with_their_signs() -> None:
    assert read(-F.mse_loss(values()[:, 0], TRUTH)).terms == (LossTerm("mse", -1, False),)
    both = F.cross_entropy(logits(), LABELS) - 0.1 * values().square().mean()
    assert set(read(both).terms) == {LossTerm("nll", 1, False), LossTerm("square", -1, True)}
    turned = values().relu().neg().mean().neg() - (values() - 1).norm()
    assert set(read(turned).terms) == {LossTerm("norm", -1, False), LossTerm("relu", 1, False)}
    assert read(1 - values().norm()).terms == (LossTerm("norm", -1, True),)
    residual = (values()[:, 0] - TRUTH).square().mean() + (TRUTH - values()[:, 0]).pow(2).mean()
    assert read(residual).terms == (LossTerm("squared_error", 1, False),)
    reward = (Categorical(logits=logits()).log_prob(LABELS) * TRUTH).sum()
    assert read(reward).terms == (LossTerm("log_softmax", 1, True),)
    assert read(-(logits().log_softmax(1).gather(1, LABELS[:, None]).mean())).terms == (
        LossTerm("log_softmax", -1, False),
    )
    assert read((logits() * values()).sum()).terms == (LossTerm("other", 1, False),)


def test_softmax_in_the_network_is_listed_with_its_axis() -> None:
    shares = logits().softmax(0)
    assert read(F.mse_loss(shares @ torch.ones(4, 1), TRUTH[:, None])).normalizations == (
        Normalization(0, (8, 4)),
    )


def test_a_loss_without_a_graph_shows_nothing() -> None:
    assert loss_facts(torch.tensor(1.0), 0) is None


def test_distances_as_logits_of_a_likelihood() -> None:
    codes, centers = logits(), LAYER(torch.randn(5, 3))
    own = torch.randint(5, (8,))
    apart = [torch.cdist(codes, centers), ((codes[:, None] - centers[None]) ** 2).sum(2)]
    for distance in (apart[0] ** 2 / 0.5, apart[1]):
        assert loss_facts(F.cross_entropy(distance, own), 0).far_is_likely  # type: ignore[union-attr]
        assert not loss_facts(F.cross_entropy(-distance, own), 0).far_is_likely  # type: ignore[union-attr]
    assert not loss_facts(F.cross_entropy(codes @ centers.T, own), 0).far_is_likely  # type: ignore[union-attr]


def test_clipped_policy_objectives_have_their_bound_for_a_term() -> None:
    old, gain = torch.randn(8), torch.randn(8)

    def ratio() -> Tensor:
        return (logits().log_softmax(1)[:, 0] - old).exp()

    first, second = ratio(), ratio()
    lower = -torch.min(first * gain, first.clamp(0.8, 1.2) * gain).mean()
    upper = torch.max(-gain * second, -gain * second.clamp(0.8, 1.2)).mean()
    assert read(lower).terms == (LossTerm("lower_bound", -1, False),)
    assert read(upper).terms == (LossTerm("upper_bound", 1, False),)
    twins = torch.min(values(), values()).mean()
    assert read(twins).kinds() == {"other"}


def test_log_probabilities_by_hand_are_log_probabilities() -> None:
    likeness, mask = logits(), torch.ones(8, 4)
    by_hand = likeness - (likeness.exp() * mask).sum(1, keepdim=True).log()
    assert read((mask * by_hand).sum(1).mean()).kinds() == {"log_softmax"}
