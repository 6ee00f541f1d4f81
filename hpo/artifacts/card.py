"""The model card: what the network is, how good it is, on which images, and how to reproduce it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hpo.artifacts import bundle
from hpo.artifacts.metrics import Measured
from hpo.checks.causes import is_blame
from hpo.config.configuration import Configuration
from hpo.config.fields import setting
from hpo.text import counted, markdown
from hpo.training.views import views_name

MeasuredOn = Literal["val", "test"]
"""The split that a trial's value was measured on."""
_SPLITS: dict[MeasuredOn, str] = {"val": "validation", "test": "test"}


@dataclass(frozen=True)
class CardFacts:
    """The origin of a trained network."""

    study: str
    trial: int
    slot: int
    stage: str
    seed: int
    trials_finished: int
    """The study's finished trials at the time of the export."""
    is_best: bool
    searched: tuple[str, ...]
    parameters: int | None
    best_epoch: int
    measured_on: MeasuredOn
    look: int
    """The number of this evaluation on the study's test images, from 1; 0 if there was none."""
    recorded_accuracy: float | None
    dataset: str
    fingerprint: str
    train_images: int
    verdict: str | None
    device: str
    processor: str | None
    threads: int | None
    precision: str | None
    code_version: str | None
    package_versions: Mapping[str, str]
    retrained: bool
    """Whether its weights had not been saved, and were trained again to the same curve."""
    validation: str
    """What decides which images validate: drawn, given, groups or order."""
    no_program: str
    """Why there is no torch.export program; empty if there is one."""


def card(facts: CardFacts, configuration: Configuration, labels: tuple[str, ...], measured: Measured) -> str:
    """Return the text of README.md."""
    sections = (
        _head(facts, configuration, labels),
        _accuracy(facts, measured, int(configuration.eval_views)),
        _use(facts, configuration, labels),
        _data(facts, configuration, measured),
        _settings(facts, configuration),
        _repeat(facts),
        _files(facts),
    )
    return "\n\n".join(sections) + "\n"


def _head(facts: CardFacts, configuration: Configuration, labels: tuple[str, ...]) -> str:
    size = f", {counted(facts.parameters, 'parameter')}" if facts.parameters else ""
    classes = counted(len(labels), "class")
    model = markdown(configuration.model)
    return f"""# {facts.study}, trial {facts.trial}

An image classifier: {model}{size}, for images of {configuration.image_format.text} and {classes}
({markdown(", ".join(labels))})."""


def _accuracy(facts: CardFacts, measured: Measured, views: int) -> str:
    low, high = measured.interval
    split = _SPLITS[facts.measured_on]
    lines = [
        "## Accuracy",
        "",
        "| measured on | images | accuracy | 95 % interval |",
        "|---|---:|---:|---|",
        f"| {split} split | {measured.images:,} | {measured.accuracy:.4f} | {low:.4f} to {high:.4f} |",
        "",
        *_over_views(measured, views),
        "Measured with the files of this folder, in single precision, at export." + _recorded(facts),
        *_caveats(facts),
        "",
        f"| class | {split} accuracy |",
        "|---|---:|",
        *(f"| {markdown(label)} | {_share(share)} |" for label, share in measured.per_class.items()),
    ]
    return "\n".join(lines)


def _over_views(measured: Measured, views: int) -> list[str]:
    if measured.over_views is None:
        return []
    return [
        f"With predictions averaged over {views} mirrored and shifted copies of each image: "
        f"{measured.over_views:.4f}. `hpo predict` does not average.",
        "",
    ]


def _recorded(facts: CardFacts) -> str:
    return "" if facts.recorded_accuracy is None else f" The study recorded {facts.recorded_accuracy:.4f}."


def _caveats(facts: CardFacts) -> list[str]:
    lines = [_chosen(facts)]
    if facts.measured_on != "test":
        lines.append("It was not measured on test images.")
    if facts.verdict and is_blame(facts.verdict):
        lines.append(f"The checks found a problem in the training: {markdown(facts.verdict)}.")
    if facts.retrained:
        lines.append(
            "Its weights had not been saved: it was trained again for this folder, to the same curve."
        )
    return lines


def _chosen(facts: CardFacts) -> str:
    if facts.measured_on == "test":
        chosen = "Its settings were chosen without these images, from"
        if facts.look > 1:
            chosen = (
                f"This was evaluation {facts.look} of the study on these images: it is no longer unbiased. "
                "Its settings were chosen from"
            )
        return (
            f"{chosen} {counted(facts.trials_finished, 'trial')}. It was trained on training and "
            "validation images "
            "together."
        )
    if facts.is_best:
        return (
            f"This number also chose the trial from {facts.trials_finished:,} and its best epoch "
            f"({facts.best_epoch}): expect a slightly lower accuracy on other images."
        )
    return (
        f"This number also chose epoch {facts.best_epoch}: expect a slightly lower accuracy on other images."
    )


def _share(share: float | None) -> str:
    return "no images" if share is None else f"{share:.3f}"


def _use(facts: CardFacts, configuration: Configuration, labels: tuple[str, ...]) -> str:
    form = configuration.image_format
    shape = f"(N, {form.channels}, {form.height}, {form.width})"
    example = f"""```
hpo predict . cat.png more/*.jpg --top 3
```

```python
model = hpo.load_exported(".")
probabilities = model.probabilities(images)    # {shape} uint8 -> (N, {len(labels)})
```"""
    alone = f"""

Without hpo, with PyTorch alone:

```python
program = torch.export.load("{bundle.PROGRAM}").module()
probabilities = program(images).softmax(1)     # {shape} uint8, N of any size, on a CPU
```"""
    return (
        "## Use\n\n"
        f"Images are {'RGB' if form.channels == 3 else 'gray'}, {form.height} x {form.width}, unscaled "
        "bytes; preprocessing is part of the network. `hpo predict` converts other images as for training: "
        f"upright, transparent pixels white, resized ({form.resize}).\n\n"
        + example
        + (f"\n\nThere is no {bundle.PROGRAM}: {markdown(facts.no_program)}" if facts.no_program else alone)
        + "\n\nUse it for images like those it was trained on. It assigns one of its classes to every image, "
        "however different, and its probabilities are not calibrated."
    )


def _data(facts: CardFacts, configuration: Configuration, measured: Measured) -> str:
    held_out = f"test: all {counted(measured.images, 'image')} of its test split; nothing was chosen by them"
    if facts.measured_on == "val" and facts.validation == "given":
        held_out = f"validation: {counted(measured.images, 'image')}, its own validation split"
    elif facts.measured_on == "val":
        held_out = f"validation: {counted(measured.images, 'other image')} of its training split, "
        held_out += _HELD_OUT[facts.validation].format(seed=facts.seed)
    return f"""## Data

- data set: {facts.dataset}; SHA-256 of its classes, labels and pixels `{facts.fingerprint}`
- training: {counted(facts.train_images, "image")} of its training split
- {held_out}
- preprocessing: {configuration.preprocessing}, fitted to the training images
- augmentation while training: {configuration.augmentation}"""


_HELD_OUT = {
    "drawn": "stratified by class, drawn at random\n  from the study's seed ({seed})",
    "groups": "whole groups, chosen\n  from the study's seed ({seed})",
    "order": "the latest ones",
}


def _settings(facts: CardFacts, configuration: Configuration) -> str:
    values = configuration.applicable()
    searched = [name for name in facts.searched if values.get(name) is not None]
    rows = "\n".join(f"| {name} | {markdown(setting(values[name]))} |" for name in searched)
    table = f"| searched | value |\n|---|---|\n{rows}\n\n" if rows else ""
    return f"## Settings\n\n{table}All others are in `{bundle.CONFIGURATION}`."


def _repeat(facts: CardFacts) -> str:
    where = "\n".join(
        f"- {name}: {markdown(str(value))}"
        for name, value in {
            "device": facts.device,
            "processor": facts.processor,
            "threads": facts.threads,
            "precision": facts.precision,
            "hpo": facts.code_version,
            **facts.package_versions,
        }.items()
        if value is not None
    )
    return f"""## How to reproduce it

With the study's database, `hpo repeat {facts.study} {facts.trial}` trains it again and compares every epoch.
It is slot {facts.slot} of stage {facts.stage}; the study's seed is {facts.seed}. It was trained with

{where}"""


def _files(facts: CardFacts) -> str:
    files = {
        bundle.WEIGHTS: "the weights, under PyTorch's names",
        bundle.PREPROCESSING: "what preprocessing learned from the training images",
        bundle.PROGRAM: "preprocessing and network as a torch.export program",
        bundle.CONFIGURATION: "every hyperparameter",
        bundle.LABELS: "the names of the classes, in the order of the outputs",
        bundle.METRICS: "the numbers above",
        bundle.MANIFEST: "format, versions and checksums",
    }
    if facts.no_program:
        del files[bundle.PROGRAM]
    rows = "\n".join(f"| `{name}` | {what} |" for name, what in files.items())
    return f"## Files\n\n| file | what it is |\n|---|---|\n{rows}"


def metrics_document(
    facts: CardFacts, measured: Measured, program_accuracy: float | None, views: int
) -> dict[str, Any]:
    """Return the content of metrics.json."""
    split = facts.measured_on
    over_views = {} if measured.over_views is None else {views_name(views, split): measured.over_views}
    return {
        f"{split}_accuracy": measured.accuracy,
        **over_views,
        f"{split}_accuracy_interval_95": measured.interval,
        f"{split}_loss": measured.loss,
        f"{split}_images": measured.images,
        f"{split}_accuracy_recorded": facts.recorded_accuracy,
        f"{split}_accuracy_of_program": program_accuracy,
        "per_class": measured.per_class,
        "made_by": {name: value for name, value in asdict(facts).items() if name not in _ELSEWHERE},
    }


_ELSEWHERE = ("recorded_accuracy", "no_program")
