"""No neural network: scikit-learn's gradient boosting on handwritten digits, cross-validated.

    hpo run with_scikit_learn.yaml

PyTorch is not imported. The best configurations are confirmed in five folds; `trial.fold` is held out.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import StratifiedKFold

import hpo


def run(trial: hpo.Trial) -> None:
    """Train one configuration: `rounds_each` trees per class and epoch."""
    images, labels = load_digits(return_X_y=True)
    folds = StratifiedKFold(trial.folds or 5, shuffle=True, random_state=0)
    train, held_out = list(folds.split(images, labels))[trial.fold or 0]
    train = train[: int(len(train) * trial.data_share)]
    # With warm_start a fit adds trees to those that are there.
    model = trial.restore().get("model") or HistGradientBoostingClassifier(
        learning_rate=trial["learning_rate"],
        max_leaf_nodes=trial["leaves"],
        l2_regularization=trial["l2"],
        max_features=trial["features"],
        warm_start=True,
        early_stopping=False,
        random_state=trial.seed,
    )
    for epoch in trial.epochs():
        model.set_params(max_iter=epoch * trial["rounds_each"])
        model.fit(images[train], labels[train])
        shares = model.predict_proba(images[held_out])
        trial.save(model=model)
        trial.report(
            val_accuracy=accuracy_score(labels[held_out], np.argmax(shares, 1)),
            val_loss=log_loss(labels[held_out], shares),
        )
