"""Images, labels and batches gone wrong: replacements for a program's parts, each as its mistake is made."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from diagnosis_programs.program import CLASSES
from hpo.config.configuration import Configuration
from hpo.data.preprocess import Preprocessor

# --- images: (preprocessor, bytes (N, 3, 32, 32)) to float32 ---


def raw_bytes(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """0 to 255: scaling was forgotten."""
    return pixels.float()


def scaled_twice(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Divided by 255 again before the normalization: every image is nearly the same shade."""
    return (pixels.float() / 255 * preprocessor.scale) + preprocessor.shift


def off_centre(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Divided by the deviation, with a mean added where it should be taken off."""
    return (pixels.float() * preprocessor.scale) - 2 * preprocessor.shift


def in_millionths(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Centered, and a thousand times too small."""
    return preprocessor(pixels) / 1000


def all_black(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """What a reader gives that fails silently."""
    return preprocessor(torch.zeros_like(pixels))


def normalized_twice(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """The normalization is applied to its own result."""
    once = preprocessor(pixels)
    return once * preprocessor.scale * 255 + preprocessor.shift


def unnormalized(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """0 to 1, without the normalization."""
    return pixels.float() / 255


def upside_down(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Read from bottom to top."""
    return preprocessor(pixels).flip(2)


def negatives(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Black for white."""
    return preprocessor(255 - pixels)


def scrambled(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Each image's pixels in another random order: colors remain, shapes do not."""
    images = preprocessor(pixels).flatten(2)
    generator = torch.Generator().manual_seed(len(images))
    order = torch.rand((len(images), 1, images.shape[2]), generator=generator).argsort(2)
    return images.gather(2, order.expand_as(images)).view(-1, 3, 32, 32)


def bytes_less_mean(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """-128 to 127: the mean is taken off, and nothing is divided."""
    return pixels.float() - pixels.float().mean((0, 2, 3), keepdim=True)


def as_sixteen_bits(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Divided by 65,535, the largest number of another format."""
    return pixels.float() / 65_535


def mean_kept(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Divided by the deviation, the mean not taken off."""
    return pixels.float() * preprocessor.scale


def cut_to_integers(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Scaled to [0, 1] and stored as bytes again: 1 where a pixel was 255, else 0."""
    return (pixels.float() / 255).to(torch.uint8).float()


def constants_of_bytes(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Mean and deviation are those of bytes, and pixels are in [0, 1]: every image is nearly the same."""
    return (pixels.float() / 255 - 125) / 63


def blue_for_red(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Read by a library that has blue first."""
    return preprocessor(pixels.flip(1))


def zoomed(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """The middle 16 x 16 pixels, twice as large."""
    middle = preprocessor(pixels)[:, :, 8:24, 8:24]
    return F.interpolate(middle, scale_factor=2.0, mode="nearest")


# --- augmentation: (configuration, images, generator) to images ---


def noisy(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Noise of five times the images' deviation."""
    return images + 5 * torch.randn(images.shape, generator=generator)


def erased(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """All but 1 in 50 pixels set to 0."""
    kept = torch.rand((len(images), 1, 32, 32), generator=generator) < 0.02
    return images * kept


def jittered(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Contrast times -4 to 4: half of the images are negatives."""
    return images * (8 * torch.rand((len(images), 1, 1, 1), generator=generator) - 4)


def blurred(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Four shades are left: made smaller to 2 by 2, and larger again."""
    return F.interpolate(F.adaptive_avg_pool2d(images, 2), size=images.shape[2:], mode="nearest")


def turned(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image by a random multiple of 90 degrees, then half of them mirrored."""
    turns = torch.randint(4, (len(images),), generator=generator).tolist()
    mirrored = torch.randint(2, (len(images),), generator=generator).tolist()
    turned_images = [image.rot90(turn, (1, 2)) for image, turn in zip(images, turns, strict=True)]
    return torch.stack(
        [image.flip(2) if flip else image for image, flip in zip(turned_images, mirrored, strict=True)]
    )


def faint(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Mixup without its labels: 0.15 of the image, 0.85 of another one."""
    return 0.15 * images + 0.85 * images[torch.randperm(len(images), generator=generator)]


def jigsaw(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """The 16 tiles of 8 x 8 pixels of each image, in a random order."""
    tiles = F.unfold(images, 8, stride=8)
    order = torch.rand((len(images), 1, 16), generator=generator).argsort(2)
    return F.fold(tiles.gather(2, order.expand_as(tiles)), 32, 8, stride=8)


def tiny_crop(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """A random 5 x 5 pixels of each image, as large as the image: a crop with far too small a least scale."""
    corners = torch.randint(28, (len(images), 2), generator=generator).tolist()
    crops = [image[:, y : y + 5, x : x + 5] for image, (y, x) in zip(images, corners, strict=True)]
    return F.interpolate(torch.stack(crops), size=images.shape[2:], mode="bilinear")


# --- labels (N,) to labels, training examples to those that are used ---


def shuffled(labels: Tensor, generator: torch.Generator) -> Tensor:
    """In another order than the images."""
    return labels[torch.randperm(len(labels), generator=generator)]


def lagging_behind(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Those of images further on: some were skipped whose labels were not.

    By 150 images, since a split is in the order of its classes: shifted by one, hardly a label changes.
    """
    return labels.roll(150)


def mostly_random(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Seven of ten drawn at random."""
    wrong = torch.rand(len(labels), generator=generator) < 0.7
    return torch.where(wrong, torch.randint(CLASSES, labels.shape, generator=generator), labels)


def next_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Numbered from another class on."""
    return (labels + 1) % CLASSES


def from_one(labels: Tensor, generator: torch.Generator) -> Tensor:
    """1 to 10."""
    return labels + 1


def from_minus_one(labels: Tensor, generator: torch.Generator) -> Tensor:
    """-1 to 8."""
    return labels - 1


def often_the_next(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Six of ten are given the number of the next class: annotators confused the two."""
    wrong = torch.rand(len(labels), generator=generator) < 0.6
    return torch.where(wrong, (labels + 1) % CLASSES, labels)


def mostly_zero(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Nine of ten labels were never written."""
    return torch.where(torch.rand(len(labels), generator=generator) < 0.9, 0, labels)


def reversed_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """From the last to the first: nearly class 9 - c for class c, since a split is in class order."""
    return labels.flip(0)


def void(labels: Tensor, generator: torch.Generator) -> Tensor:
    """255 for one image in twenty, as masks mark what has no class."""
    return torch.where(torch.rand(len(labels), generator=generator) < 0.05, 255, labels)


def half_ignored(labels: Tensor, generator: torch.Generator) -> Tensor:
    """-100, which cross-entropy leaves out in silence, for five of the classes."""
    return torch.where(labels >= 5, -100, labels)


def long_tail(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn with replacement, each class 0.4 times as often as the one before it."""
    return torch.multinomial(0.4**labels, len(labels), replacement=True, generator=generator)


def nearly_all_one_class(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn with replacement, 95 % of them of class 3."""
    weights = torch.where(labels == 3, 0.95 / (labels == 3).sum(), 0.05 / (labels != 3).sum())
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator)


def five_classes(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the folders were not found."""
    return torch.nonzero(labels < 5).flatten()


def without_last_four(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Four of the ten classes are missing: the reader stopped early in a sorted file."""
    return torch.nonzero(labels < 6).flatten()


# --- batches: (configuration, labels, generator) to the positions of each batch of an epoch ---


def sorted_by_class(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """As the folders list them: shuffling was forgotten."""
    size = configuration.batch_size
    yield from labels.argsort(stable=True)[: len(labels) // size * size].split(size)


def one_class_each(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Each batch is drawn from a single class."""
    for _ in range(len(labels) // configuration.batch_size):
        members = torch.nonzero(labels == torch.randint(CLASSES, (), generator=generator)).flatten()
        yield members[torch.randint(len(members), (configuration.batch_size,), generator=generator)]


def always_the_first(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """The same batch in every step: the iterator is created inside the loop."""
    for _ in range(len(labels) // configuration.batch_size):
        yield torch.arange(configuration.batch_size)


def two_classes_each(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Each batch is drawn from two classes, as a sampler for pairs does."""
    for _ in range(len(labels) // configuration.batch_size):
        pair = torch.randperm(CLASSES, generator=generator)[:2]
        members = torch.nonzero(torch.isin(labels, pair)).flatten()
        yield members[torch.randint(len(members), (configuration.batch_size,), generator=generator)]


def short_shuffle_buffer(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Read class by class through a buffer of two batches, from which each next image is drawn."""
    size = configuration.batch_size
    buffer: list[int] = []
    order: list[int] = []
    for row in labels.argsort(stable=True).tolist():
        buffer.append(row)
        if len(buffer) > 2 * size:
            order.append(buffer.pop(int(torch.randint(len(buffer), (), generator=generator))))
    rest = torch.randperm(len(buffer), generator=generator).tolist()
    order += [buffer[place] for place in rest]
    yield from torch.tensor(order)[: len(order) // size * size].split(size)


def blocks_in_random_order(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Batches are shuffled, and what is in them is not: each is a run of a list sorted by class."""
    size = configuration.batch_size
    blocks = labels.argsort(stable=True)[: len(labels) // size * size].split(size)
    for place in torch.randperm(len(blocks), generator=generator).tolist():
        yield blocks[place]
