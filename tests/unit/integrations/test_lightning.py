from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpo.data.cifar10 import import_torchvision
from hpo.errors import UserError
from tests.unit.integrations.conftest import Loader

import_torchvision()  # Lightning imports it: without this it fails where torch is the CPU build
lightning = pytest.importorskip("lightning.pytorch", reason="the extra lightning is not installed")

from hpo.integrations.lightning import BabysitterCallback  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings are of the library

Loaders = tuple[Loader, Loader]


class _Module(lightning.LightningModule):  # type: ignore[name-defined]
    def __init__(self, net: nn.Module, *, by_itself: bool, manual: bool, zeroes: bool) -> None:
        super().__init__()
        self.net = net
        self.by_itself = by_itself
        self.zeroes = zeroes
        self.automatic_optimization = not manual

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)

    def run(self, images: torch.Tensor) -> torch.Tensor:
        return self(images) if self.by_itself else self.net(images)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        images, labels = batch
        loss = F.cross_entropy(self.run(images), labels)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            if self.zeroes:
                optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        images, labels = batch
        self.log("val_loss", F.cross_entropy(self.run(images), labels))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.02, momentum=0.9)


def _fit(
    network: nn.Module,
    loaders: Loaders,
    callback: BabysitterCallback,
    *,
    by_itself: bool = True,
    manual: bool = False,
    zeroes: bool = True,
    **trainer: Any,
) -> None:
    lightning.Trainer(
        max_epochs=2,
        callbacks=[callback],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **trainer,
    ).fit(_Module(network, by_itself=by_itself, manual=manual, zeroes=zeroes), *loaders)


@pytest.mark.parametrize("by_itself", [True, False])
def test_sound_module_is_healthy(
    network: nn.Sequential, loaders: Loaders, capsys: pytest.CaptureFixture[str], by_itself: bool
) -> None:
    callback = BabysitterCallback()
    _fit(network, loaders, callback, by_itself=by_itself)
    seen = callback.babysitter.seen
    assert callback.verdict().cause == "healthy"
    assert "hpo: healthy" in capsys.readouterr().err
    assert [(each.epoch, each.step) for each in seen.curve] == [(1, 30), (2, 60)]
    assert (seen.setup.epochs, seen.setup.steps_per_epoch, seen.val_images) == (2, 30, 96)
    assert seen.preflight is not None
    assert len(seen.audits) == len(seen.loss_graphs) == 3
    images, labels = loaders[1].dataset[:]
    with torch.no_grad():
        logits = network(images)
    assert seen.curve[-1].val_loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-3)
    assert seen.curve[-1].val_accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert not network._forward_hooks


def test_missing_zero_grad_is_named(network: nn.Sequential, loaders: Loaders) -> None:
    callback = BabysitterCallback()
    _fit(network, loaders, callback, manual=True, zeroes=False)
    assert callback.verdict().cause == "stale_gradients"


def test_softmax_before_the_loss_is_named(network: nn.Sequential, loaders: Loaders) -> None:
    callback = BabysitterCallback()
    _fit(nn.Sequential(network, nn.Softmax(1)), loaders, callback)
    assert callback.verdict().cause == "softmax_twice"


def test_accumulated_batches_are_one_step(network: nn.Sequential, loaders: Loaders) -> None:
    callback = BabysitterCallback()
    _fit(network, loaders, callback, accumulate_grad_batches=3)
    seen = callback.babysitter.seen
    assert (seen.steps, seen.optimizer_steps) == (20, 20)
    assert seen.losses[0] == pytest.approx(1.4, abs=0.3)  # undivided
    assert [each.check for each in callback.babysitter.findings if each.cause == "stale_gradients"] == []


def test_hopeless_training_stops(loaders: Loaders) -> None:
    class Lost(nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images.flatten(1)) * float("nan")

    callback = BabysitterCallback(stop=True)
    _fit(Lost(108, 4), loaders, callback)
    assert callback.babysitter.seen.steps == 20


def test_impossible_option_is_an_error() -> None:
    with pytest.raises(UserError, match="task: 'poetry' is unknown"):
        BabysitterCallback(task="poetry")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no training has begun"):
        BabysitterCallback().verdict()
