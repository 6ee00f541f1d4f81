"""The checking half's own mistakes in images, labels and batches: replacements for a program's parts."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from diagnosis_programs.program import CLASSES
from hpo.config.configuration import Configuration
from hpo.data.preprocess import Preprocessor

# --- images: (preprocessor, bytes (N, 3, 32, 32)) to float32 ---


def bytes_with_unit_constants(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Mean 0.47 and deviation 0.25, those of pixels in [0, 1], applied to bytes: about 0 to 1,000."""
    return (pixels.float() - 0.47) / 0.25


def rescaled_bytes(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Divided by 255 in the reader and again in the network, and never centered: 0 to 0.004."""
    return pixels.float() / 255 / 255


def sum_of_one(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Each image divided by the sum of its pixels, as if it were a histogram."""
    images = pixels.float()
    return images / images.sum((1, 2, 3), keepdim=True).clamp(min=1)


def times_deviation(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """The mean of the bytes taken off, and multiplied by their deviation instead of divided."""
    return (pixels.float() - 121) * 64


def unscaled(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """What the decoder of a served image gives: 0 to 255."""
    return pixels.float()


def as_planes(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Stored pixel by pixel, read as if plane by plane: ``view`` where ``permute`` was meant."""
    by_pixel = pixels.permute(0, 2, 3, 1).contiguous()
    return preprocessor(by_pixel.view(pixels.shape))


def transposed(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Rows for columns, as a library with the width first reads them."""
    return preprocessor(pixels.transpose(2, 3).contiguous())


def thumbnails(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Small previews, enlarged to the size that the network takes: 4 x 4 pixels are left."""
    return F.interpolate(F.avg_pool2d(preprocessor(pixels), 8), scale_factor=8.0, mode="bilinear")


def in_the_other_order(preprocessor: Preprocessor, pixels: Tensor) -> Tensor:
    """Images were written in columns of ten, and are read in rows; labels are not."""
    order = torch.arange(len(pixels) // CLASSES * CLASSES).view(CLASSES, -1).T.flatten()
    rest = torch.arange(len(order), len(pixels))
    return preprocessor(pixels[torch.cat([order, rest])])


# --- augmentations: (configuration, batch (B, 3, 32, 32), generator) to a batch ---


def shrunk(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """A random scale of 0.1 to 0.2 in place of 0.8 to 1.2: 4 x 4 pixels in an empty frame."""
    small = F.avg_pool2d(images, 8)
    frame = torch.zeros_like(images)
    top, left = torch.randint(29, (2,), generator=generator).tolist()
    frame[:, :, top : top + 4, left : left + 4] = small
    return frame


def pasted(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """CutMix that keeps the label of what it covers: 28 x 28 pixels are another image's."""
    other = images[torch.randperm(len(images), generator=generator)]
    mixed = images.clone()
    mixed[:, :, 2:30, 2:30] = other[:, :, 2:30, 2:30]
    return mixed


def out_of_frame(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Shifted by 24 to 29 pixels both ways, as a share of 0.9 of the size: a corner is left."""
    down, right = torch.randint(24, 30, (2,), generator=generator).tolist()
    moved = torch.zeros_like(images)
    moved[:, :, down:, right:] = images[:, :, : 32 - down, : 32 - right]
    return moved


def brightened(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness drawn for each channel of each image in units of bytes, and added to standardized ones."""
    return images + 30 * torch.randn(len(images), 3, 1, 1, generator=generator)


def reordered(configuration: Configuration, images: Tensor, generator: torch.Generator) -> Tensor:
    """The images of the batch come back in another order than its labels."""
    return images[torch.randperm(len(images), generator=generator)]


# --- labels: (labels (N,), generator) to labels (N,) ---


def ten_for_zero(labels: Tensor, generator: torch.Generator) -> Tensor:
    """The first class is numbered 10, as in the files of SVHN."""
    return torch.where(labels == 0, CLASSES, labels)


def fine_classes(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of a finer list, ten for each of the ten classes, as CIFAR-100 has two lists."""
    return labels * 10 + torch.randint(10, labels.shape, generator=generator)


def halved(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Merged in twos for another study: 0 to 4."""
    return labels // 2


def nearly_random(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Nine of ten drawn at random."""
    drawn = torch.randint(CLASSES, labels.shape, generator=generator)
    return torch.where(torch.rand(labels.shape, generator=generator) < 0.9, drawn, labels)


def swapped_pairs(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Classes in the order in which a folder lists them: each has the number of its neighbor."""
    return labels ^ 1


def three_classes(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Positions, drawn with replacement: 97 % of three classes."""
    weights = torch.where(labels < 3, 0.97 / 3, 0.03 / 7)
    return torch.multinomial(weights, len(labels), replacement=True, generator=generator)


# --- batches: (configuration, labels, generator) to positions (B,) ---


def thirds(configuration: Configuration, labels: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """A file after the other, each shuffled, and with a third of the classes in it."""
    for first, last in ((0, 3), (3, 6), (6, CLASSES)):
        rows = torch.nonzero((labels >= first) & (labels < last)).flatten()
        rows = rows[torch.randperm(len(rows), generator=generator)]
        size = min(configuration.batch_size, len(rows))
        yield from rows[: len(rows) // size * size].split(size)


def two_images_each(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Repeated before they are put into batches: each batch is copies of two images."""
    size = min(configuration.batch_size, len(labels))
    for _ in range(len(labels) // size):
        pair = torch.randint(len(labels), (2,), generator=generator)
        yield pair.repeat_interleave((size + 1) // 2)[:size]


def weights_by_rank(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """A weighted sampler given powers of the class numbers for weights: the first are hardly drawn."""
    size = min(configuration.batch_size, len(labels))
    weights = labels.double() ** 6 + 1e-3
    drawn = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
    yield from drawn[: len(labels) // size * size].split(size)


def one_folder_at_a_time(
    configuration: Configuration, labels: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Four batches in a row from one class: folders are shuffled, and in each there is one class."""
    size = min(configuration.batch_size, len(labels))
    for number in range(len(labels) // size):
        if number % 4 == 0:
            rows = torch.nonzero(labels == torch.randint(CLASSES, (1,), generator=generator)).flatten()
        yield rows[torch.randint(len(rows), (size,), generator=generator)]


def first_five(configuration: Configuration, labels: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """A break after five batches, left over from debugging, and an order that is the same each time."""
    size = min(configuration.batch_size, len(labels))
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    rows = order[: len(labels) // size * size].split(size)
    for number in range(len(rows)):
        yield rows[number % 5]
