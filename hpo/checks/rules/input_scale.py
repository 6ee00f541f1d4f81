"""Are the images centered and scaled, and the same way in training and validation?

Source: CS231n lecture 6, data preprocessing: zero-center, normalize, and treat validation images like
training images.
"""

from __future__ import annotations

import math

from hpo.checks.base import fatal, passed, warn
from hpo.checks.observations import Observations
from hpo.checks.remedies import fix
from hpo.config.thresholds import Thresholds
from hpo.records import Finding, Remedy, Severity

_CERTAIN = 8.0
"""Student's t above which the images of the two splits certainly differ."""


def input_scale(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Check that training images have a standard deviation and a mean that networks can work with."""
    assert seen.preflight is not None
    images = seen.preflight.images
    if not math.isfinite(images.std) or not math.isfinite(images.mean):
        message = "some pixels are not finite"
        return [_bad("fatal", images.std, limits.image_std_high, message, seen, 0.95)]
    if images.std == 0:
        message = f"every pixel of every image is {images.mean:.3g}"
        return [_bad("warn", 0.0, limits.image_std_low, message, seen, 0.95)]
    if images.std > limits.image_std_high:
        message = f"pixels have a standard deviation of {images.std:.3g}: scale them to about 1"
        return [_bad("warn", images.std, limits.image_std_high, message, seen, 0.9)]
    if images.std < limits.image_std_low:
        message = f"pixels have a standard deviation of {images.std:.2g}: they were scaled twice or too far"
        return [_bad("warn", images.std, limits.image_std_low, message, seen, 0.9)]
    offset = abs(images.mean) / images.std
    if offset > limits.image_offset:
        message = f"pixels have a mean of {images.mean:.3g}, {offset:.1f} standard deviations from 0"
        return [_bad("warn", offset, limits.image_offset, message, seen, 0.7)]
    message = f"pixels have mean {images.mean:.2f} and standard deviation {images.std:.2f}"
    return [passed("input_scale", images.std, limits.image_std_high, message)]


def _bad(
    severity: Severity, value: float, threshold: float, message: str, seen: Observations, confidence: float
) -> Finding:
    remedy = _remedy(seen)
    return (fatal if severity == "fatal" else warn)(
        "input_scale", value, threshold, message, remedy, cause="input_scale", confidence=confidence
    )


def _remedy(seen: Observations) -> Remedy:
    if seen.setup.settings.get("preprocessing", "standardize") != "standardize":
        return Remedy("use preprocessing: standardize", {"preprocessing": "standardize"})
    return fix(
        "scale_input",
        "subtract the training images' mean and divide by their standard deviation, exactly once",
    )


def split_difference(seen: Observations, limits: Thresholds) -> list[Finding]:
    """Compare validation images with training images, as passed in and as the loop fed them."""
    if seen.preflight is None:
        return []
    if abs(seen.preflight.split_t) > _CERTAIN:
        message = f"training and validation images look different (t = {seen.preflight.split_t:.0f})"
        return [_different(abs(seen.preflight.split_t), _CERTAIN, message, 0, 0.8)]
    pairs = []
    if seen.preflight.val_images is not None:
        train, val = seen.preflight.images, seen.preflight.val_images
        pairs.append((train.mean, train.std, val.mean, val.std, 0))
    learning = [each for each in seen.forwards if each.learning]
    evaluating = [each for each in seen.forwards if not each.learning]
    if learning and evaluating:
        pairs.append(
            (learning[0].mean, learning[0].std, evaluating[0].mean, evaluating[0].std, evaluating[0].step)
        )
    for mean, std, val_mean, val_std, step in pairs:
        found = _compare(mean, std, val_mean, val_std, step, limits)
        if found is not None:
            return [found]
    return []


def _compare(
    mean: float, std: float, val_mean: float, val_std: float, step: int, limits: Thresholds
) -> Finding | None:
    if std <= 0 or not all(map(math.isfinite, (mean, std, val_mean, val_std))):
        return None
    shift = abs(val_mean - mean) / std
    scale = max(val_std / std, std / max(val_std, 1e-12))
    if shift <= limits.split_shift and scale <= limits.split_scale:
        return None
    message = (
        f"training images have mean {mean:.3g} and standard deviation {std:.3g}, validation images "
        f"{val_mean:.3g} and {val_std:.3g}"
    )
    value, threshold = (
        (shift, limits.split_shift) if shift > limits.split_shift else (scale, limits.split_scale)
    )
    return _different(value, threshold, message, step, 0.9)


def _different(value: float, threshold: float, message: str, step: int, confidence: float) -> Finding:
    return warn(
        "split_difference",
        value,
        threshold,
        message,
        fix("same_normalization", "prepare validation images like training images, with the same statistics"),
        step=step,
        cause="train_val_mismatch",
        confidence=confidence,
    )
