"""When passes are looked at, fingerprints of batches, and that a long loop is left alone between looks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpo import Babysitter
from hpo.checks.measure.looks import Looks, is_one_of
from hpo.checks.measure.memorize import memorize
from hpo.checks.measure.rows import fingerprints

STEPS = 480
"""More than the first ones, whose batches are all compared."""


def _reported(looks: Looks, count: int) -> Looks:
    for _ in range(count):
        looks.count()
    return looks


def test_looks_of_a_first_epoch_of_unknown_length_do_not_rest() -> None:
    assert _reported(Looks(), 100).until_next(100) == 0
    assert _reported(Looks(), 6000).until_next(6000) > 0


def test_looks_rest_until_the_end_of_an_epoch_at_most() -> None:
    looks = _reported(Looks(expected=5), 4)
    number = next(each for each in range(500, 600) if not any(map(looks.is_due, range(each, each + 6))))
    assert looks.until_next(number) == 1
    looks.count()
    assert looks.until_next(number) == 0  # the validation comes now
    looks.end_epoch()
    assert looks.until_next(number) == 5


@pytest.mark.parametrize(("epochs", "waits"), [(7, True), (8, False), (15, True), (16, False)])
def test_looks_see_the_validation_of_early_and_of_doubling_epochs(epochs: int, waits: bool) -> None:
    looks = Looks(expected=1, reports=1, of_epoch=1, epochs=epochs)
    number = next(each for each in range(500, 600) if not looks.is_due(each))
    assert (looks.until_next(number) == 0) is waits


def test_looks_find_the_last_steps_of_a_known_length_more_often() -> None:
    due = [step for step in range(400, 40_000) if Looks(total=40_000).is_due(step)]
    late = sum(step >= 36_000 for step in due)
    assert 36 <= late <= 44
    assert len(due) < 500


@pytest.mark.parametrize("length", [4, 7, 16, 50, 64])
def test_one_step_of_16_is_chosen_evenly_over_every_length_of_an_epoch(length: int) -> None:
    places = [step % length for step in range(16_000) if is_one_of(16, step)]
    counts = [places.count(place) for place in range(length)]
    assert max(counts) <= 1.3 * min(counts)


@pytest.mark.parametrize(
    "values",
    [
        torch.arange(24.0).view(6, 4),
        torch.arange(24.0)[3:24].view(7, 3),
        torch.arange(60.0).view(6, 10)[:, ::2],
        torch.arange(36, dtype=torch.uint8).view(6, 6),
        torch.arange(48, dtype=torch.bfloat16).view(6, 8),
        torch.arange(24).view(6, 4),
        torch.eye(6, dtype=torch.bool),
    ],
    ids=["words", "odd", "strided", "bytes", "halves", "integers", "flags"],
)
def test_fingerprints_are_equal_for_equal_rows_only(values: Tensor) -> None:
    whole = fingerprints([values])
    assert len(set(whole.tolist())) == len(values)
    moved = torch.cat([values.new_zeros(1), values.flatten()])[1:].view(values.shape)
    for part in (values[2:5], values[2:5].clone(), moved[2:5]):
        assert torch.equal(fingerprints([part]), whole[2:5])


def test_fingerprints_of_several_tensors_depend_on_their_order() -> None:
    one, other = torch.arange(8.0).view(2, 4), torch.arange(8.0, 16).view(2, 4)
    assert not torch.equal(fingerprints([one, other]), fingerprints([other, one]))


def test_memorize_gives_up_after_its_time() -> None:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    labels = torch.arange(8) % 2
    run = lambda model, inputs: model(inputs)  # noqa: E731
    assert memorize(model, optimizer, run, torch.zeros(8, 3), labels, seconds=0) is None
    found = memorize(model, optimizer, run, torch.zeros(8, 3), labels)
    assert found is not None
    assert found.steps == 60


def test_memorizing_that_is_given_up_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.checks.babysitter._MEMORIZING", 0.0)
    model = nn.Linear(3, 2)
    sitter = Babysitter(model, torch.optim.SGD(model.parameters(), lr=1e-6), classes=2)
    findings = sitter.before(torch.randn(8, 3), torch.arange(8) % 2)
    assert ["given up after 0 s" in each.message for each in findings if each.check == "overfit_small"] == [
        True
    ]
    assert "looks_at_input" not in {each.check for each in findings}


def _train(watched: bool, lengths: list[int], **arguments: Any) -> tuple[nn.Module, Babysitter, list[bool]]:
    """Train epochs of these lengths; return whether the model had a hook in each step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sitter = Babysitter(model, optimizer, checks="standard" if watched else "off", **arguments)
    hooked: list[bool] = []
    for length in lengths:
        for _ in range(length):
            inputs = torch.randn(16, 4)
            labels = (inputs[:, 0] > 0).long()
            optimizer.param_groups[0]["lr"] = 0.1 if len(hooked) < STEPS - 7 else 0.01
            hooked.append(bool(model._forward_hooks))
            loss = F.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sitter.step(loss, labels)
        with torch.no_grad():
            val_loss = float(F.cross_entropy(model(torch.randn(16, 4)), torch.arange(16) % 2))
        sitter.epoch(val_loss=val_loss)
    sitter.after()
    return model, sitter, hooked


def test_a_long_loop_has_no_hooks_between_looks_and_counts_its_steps() -> None:
    _, sitter, hooked = _train(True, [STEPS, 300])
    seen = sitter.seen
    assert not [each.message for each in sitter.findings if each.check == "babysitter"]
    assert all(hooked[:400])
    assert sum(hooked[STEPS + 10 :]) < 60
    assert seen.steps == seen.optimizer_steps == STEPS + 300
    assert [(rate.step, rate.lr) for rate in seen.updates.rates] == [(0, 0.1), (STEPS - 7, 0.01)]


def test_validation_in_training_mode_is_seen_in_a_long_loop() -> None:
    _, sitter, _ = _train(True, [STEPS, 60, 60, 45, 60])
    assert sitter.seen.data is not None
    seen = [(each.epoch, each.passes, each.in_training_mode) for each in sitter.seen.data.validations]
    # The fourth epoch ends sooner than expected, and the next one is expected to be as short.
    assert seen == [(1, 1, 1), (3, 1, 1), (5, 1, 1)]
    assert "validation_mode" in {each.check for each in sitter.findings}


def test_a_long_loop_trains_bit_for_bit_as_without_a_babysitter() -> None:
    plain, watched = (_train(watched, [STEPS, 100])[0] for watched in (False, True))
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one, other)


def test_layers_of_a_huge_network_have_hooks_in_the_first_pass_only() -> None:
    layers = [nn.Linear(2, 2) for _ in range(1001)]
    model = nn.Sequential(*layers[:1], nn.ModuleList(layers[1:-1]), layers[-1])
    model.forward = lambda x: layers[-1](layers[0](x))  # type: ignore[method-assign]
    sitter = Babysitter(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert not layers[0]._forward_pre_hooks
    loss = model(100 * torch.randn(8, 2)).square().mean()
    loss.backward()
    sitter.step(loss)
    sitter.after()
    assert not layers[0]._forward_pre_hooks
    assert sitter.seen.data is not None
    assert [each.layer for each in sitter.seen.data.inputs] == ["0", "2"]
