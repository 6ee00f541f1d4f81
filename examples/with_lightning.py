"""A training with Lightning (`pip install 'hpo-babysitter[lightning]'`), by one callback.

hpo run with_lightning.yaml
"""

from __future__ import annotations

import lightning.pytorch as lightning
import torch
from plain_pytorch import network, pictures
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import hpo
from hpo.integrations.lightning import TrialCallback


class Classifier(lightning.LightningModule):
    """The network, its loss and its optimizer; nothing in it knows of hpo."""

    def __init__(self, lr: float, width: int, dropout: float) -> None:
        super().__init__()
        self.lr = lr
        self.net = network(width, dropout)

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        return cross_entropy(self.net(inputs), targets)

    def validation_step(self, batch, batch_idx):
        inputs, targets = batch
        outputs = self.net(inputs)
        self.log("val_loss", cross_entropy(outputs, targets))
        self.log("val_accuracy", (outputs.argmax(1) == targets).float().mean())

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=self.lr, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.8)]


def run(trial: hpo.Trial) -> None:
    """Train one configuration."""
    images, labels = pictures()
    train = DataLoader(TensorDataset(images[:1400], labels[:1400]), trial["batch_size"], shuffle=True)
    val = DataLoader(TensorDataset(images[1400:], labels[1400:]), batch_size=397)
    trainer = lightning.Trainer(
        max_epochs=trial.budget,
        callbacks=[TrialCallback(trial)],
        accelerator="gpu" if trial.device.startswith("cuda") else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    model = Classifier(trial["lr"], trial["width"], trial["dropout"])
    trainer.fit(model, train, val)
