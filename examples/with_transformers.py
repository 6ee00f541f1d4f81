"""A training with Hugging Face's Trainer (`pip install 'hpo-babysitter[transformers]'`), by one callback.

    hpo run with_transformers.yaml

A small BERT learns from random weights which of four topics a text is about. With
`from_pretrained` and a tokenizer in place of the drawn texts it is the fine-tuning of a language model.
"""

from __future__ import annotations

import shutil
import tempfile

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

import hpo
from hpo.integrations.transformers import TrialCallback

WORDS, TOPICS, LENGTH = 200, 4, 16


def run(trial: hpo.Trial) -> None:
    """Train one configuration."""
    rows = texts(1280)
    size = trial["heads"] * 8
    config = BertConfig(
        vocab_size=WORDS, hidden_size=size, num_hidden_layers=trial["layers"],
        num_attention_heads=trial["heads"], intermediate_size=2 * size,
        max_position_embeddings=LENGTH, num_labels=TOPICS,
    )  # fmt: skip
    callback = TrialCallback(trial)
    folder = tempfile.mkdtemp()
    try:
        trainer = Trainer(
            BertForSequenceClassification(config),
            TrainingArguments(
                folder, num_train_epochs=trial.budget, seed=trial.seed, learning_rate=trial["lr"],
                weight_decay=trial["weight_decay"], warmup_steps=trial["warmup_steps"],
                per_device_train_batch_size=32, per_device_eval_batch_size=256, eval_strategy="epoch",
                save_strategy="no", report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
                use_cpu=trial.device == "cpu",
            ),
            train_dataset=rows[:1024],
            eval_dataset=rows[1024:],
            compute_metrics=accuracy,
            callbacks=[callback],
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=callback.checkpoint)
    finally:
        shutil.rmtree(folder)


def accuracy(evaluated):
    """Return the metrics of an evaluation."""
    logits, labels = evaluated
    return {"accuracy": float((np.argmax(logits, 1) == labels).mean())}


def texts(count: int) -> list[dict[str, torch.Tensor]]:
    """Return texts of random words, of which some are those of its topic."""
    draws = torch.Generator().manual_seed(0)
    topics = torch.randint(TOPICS, (count,), generator=draws)
    words = torch.randint(20 * TOPICS, WORDS, (count, LENGTH), generator=draws)
    own = 20 * topics[:, None] + torch.randint(20, (count, LENGTH), generator=draws)
    words = torch.where(torch.rand(count, LENGTH, generator=draws) < 0.3, own, words)
    return [{"input_ids": text, "labels": topic} for text, topic in zip(words, topics, strict=True)]
