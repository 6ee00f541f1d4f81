from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hpo.data.cifar10 import import_torchvision
from hpo.errors import UserError

import_torchvision()  # transformers imports it: without this it fails where torch is the CPU build
transformers = pytest.importorskip("transformers", reason="the extra transformers is not installed")
pytest.importorskip("accelerate", reason="the extra transformers is not installed")

from hpo.integrations.transformers import BabysitterCallback  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # warnings are of the library

_SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def rows() -> list[dict[str, torch.Tensor]]:
    """Return 256 texts of 8 tokens, most of which say the class."""
    torch.manual_seed(0)
    labels = torch.randint(4, (256,))
    tokens = torch.randint(4, 40, (256, 8))
    tokens[:, 1:6] = labels[:, None]
    return [{"input_ids": text, "labels": label} for text, label in zip(tokens, labels, strict=True)]


def _classifier() -> Any:
    torch.manual_seed(1)
    sizes = _SIZES | {"hidden_dropout_prob": 0.0}
    return transformers.BertForSequenceClassification(
        transformers.BertConfig(vocab_size=40, max_position_embeddings=8, num_labels=4, **sizes)
    )


def _train(
    model: Any,
    rows: list[dict[str, torch.Tensor]],
    callback: BabysitterCallback,
    folder: Path,
    optimizer: torch.optim.Optimizer | None = None,
    **arguments: Any,
) -> None:
    settings = {"num_train_epochs": 3, "per_device_train_batch_size": 8, "learning_rate": 1e-2}
    transformers.Trainer(
        model,
        transformers.TrainingArguments(
            str(folder),
            eval_strategy="epoch",
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            **(settings | arguments),
        ),
        train_dataset=rows[:192],
        eval_dataset=rows[192:],
        callbacks=[callback],
        optimizers=(optimizer, None),
    ).train()


def test_sound_classifier_is_healthy(
    rows: list[dict[str, torch.Tensor]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callback, model = BabysitterCallback(), _classifier()
    _train(model, rows, callback, tmp_path)
    seen = callback.babysitter.seen
    assert callback.verdict().cause == "healthy"
    assert "hpo: healthy" in capsys.readouterr().err
    assert [(each.epoch, each.step) for each in seen.curve] == [(1, 24), (2, 48), (3, 72)]
    assert (seen.setup.epochs, seen.setup.steps_per_epoch, seen.val_images) == (3, 24, 64)
    assert seen.curve[-1].val_accuracy > 0.9
    assert seen.curve[-1].val_loss < 0.5
    assert len(seen.loss_graphs) == 3
    assert seen.audits[0].loss == pytest.approx(seen.audits[0].cross_entropy, rel=1e-3)
    assert not model._forward_hooks


def test_optimizer_of_another_model_is_named(rows: list[dict[str, torch.Tensor]], tmp_path: Path) -> None:
    callback = BabysitterCallback()
    optimizer = torch.optim.AdamW(_classifier().parameters(), lr=1e-2)
    _train(_classifier(), rows, callback, tmp_path, optimizer)
    assert callback.verdict().cause == "frozen_parameters"
    assert "the optimizer lacks them" in callback.verdict().text


def test_accumulated_batches_are_one_step(rows: list[dict[str, torch.Tensor]], tmp_path: Path) -> None:
    callback = BabysitterCallback()
    _train(_classifier(), rows, callback, tmp_path, gradient_accumulation_steps=2)
    seen = callback.babysitter.seen
    assert (seen.steps, seen.optimizer_steps) == (36, 36)
    assert seen.losses[0] == pytest.approx(1.39, abs=0.1)
    assert [each.check for each in callback.babysitter.findings if each.cause == "stale_gradients"] == []


def test_language_model_is_not_blamed(tmp_path: Path) -> None:
    torch.manual_seed(1)
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 8, "bos_token_id": 0, "eos_token_id": 0}
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=20, **sizes))
    texts = (torch.randint(20, (256, 1)) + torch.arange(8)) % 20
    callback = BabysitterCallback()
    _train(model, [{"input_ids": each, "labels": each} for each in texts], callback, tmp_path)
    found = callback.babysitter.findings
    assert [each.check for each in found if each.severity in ("warn", "fatal")] == []
    assert callback.babysitter.seen.steps == 72


def test_impossible_option_is_an_error() -> None:
    with pytest.raises(UserError, match="classes: 0 is not a whole number"):
        BabysitterCallback(classes=0)
    with pytest.raises(UserError, match="no training has begun"):
        BabysitterCallback().verdict()
