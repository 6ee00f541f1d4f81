"""What the user should know of decoded images before training or after prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b, sha256

from hpo.data.images import DecodedImage, Remark, RemarkKind
from hpo.files import path_text
from hpo.text import counted

_SHOWN = 3
_TEXTS: dict[RemarkKind, str] = {
    "frames": "several frames, of which only the first is used",
    "exif": "EXIF data that cannot be read, and may not be upright",
    "dark": "16 bits but use only the darkest quarter of them",
    "alpha": "one light color, so that only the transparency is a picture: it is used as black on white",
    "constant": "a single color",
}


@dataclass
class Survey:
    """Counts the remarks on images."""

    _counts: dict[RemarkKind, int] = field(default_factory=dict)
    _examples: dict[RemarkKind, list[str]] = field(default_factory=dict)

    def add(self, path: str, remarks: tuple[Remark, ...]) -> None:
        """Count the remarks on an image."""
        for kind, detail in remarks:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            examples = self._examples.setdefault(kind, [])
            if len(examples) < _SHOWN:
                shown = path_text(path)
                examples.append(f"{shown} ({detail})" if detail else shown)

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each kind of remark, with the first files."""
        for kind, text in _TEXTS.items():
            count = self._counts.get(kind, 0)
            if count:
                more = f" and {count - _SHOWN:,} more" if count > _SHOWN else ""
                images = counted(count, "image has", "images have")
                yield f"{images} {text}: {', '.join(self._examples[kind])}{more}"


@dataclass
class ClassSurvey:
    """Finds classes whose images are all of a single color, or all the same."""

    _images: dict[str, int] = field(default_factory=dict)
    _constant: dict[str, int] = field(default_factory=dict)
    _digests: dict[str, set[bytes]] = field(default_factory=dict)

    def add(self, class_name: str, image: DecodedImage) -> None:
        """Count an image of a class."""
        self._images[class_name] = self._images.get(class_name, 0) + 1
        self._constant[class_name] = self._constant.get(class_name, 0) + _is_constant(image)
        digests = self._digests.setdefault(class_name, set())
        if len(digests) < 2:  # two different images are enough
            digests.add(sha256(image.pixels.tobytes()).digest())

    def sentences(self, part: str) -> Iterator[str]:
        """Yield a sentence for each such class of a part (train or test)."""
        for name, count in self._images.items():
            if count > 1 and len(self._digests[name]) == 1:
                yield f"class {name}: all {count:,} {part} images are the same picture"
            elif count > 1 and self._constant[name] == count:
                yield f"class {name}: each of its {count:,} {part} images is of a single color"


@dataclass
class SharedImages:
    """Finds images that are in two classes: which of them is right cannot be learned."""

    _first: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    """The class and the file of each picture, by a digest of its pixels."""
    _found: dict[tuple[str, str], dict[bytes, str]] = field(default_factory=dict)
    """For two classes, the pictures in both, each with its files."""

    def add(self, path: str, class_name: str, image: DecodedImage) -> None:
        """Compare an image with all earlier ones; those of a single color are left to ``ClassSurvey``."""
        if _is_constant(image):
            return
        digest = blake2b(image.pixels.tobytes(), digest_size=16).digest()
        first_class, first_path = self._first.setdefault(digest, (class_name, path))
        if first_class != class_name:
            pair = (min(first_class, class_name), max(first_class, class_name))
            files = f"{path_text(first_path)} and {path_text(path)}"
            self._found.setdefault(pair, {}).setdefault(digest, files)

    def sentences(self) -> Iterator[str]:
        """Yield a sentence for each two classes with the same images, most images first."""
        counts = Counter({pair: len(found) for pair, found in sorted(self._found.items())})
        for (one, other), count in counts.most_common(_SHOWN):
            example = next(iter(self._found[one, other].values()))
            yield f"{counted(count, 'image is', 'images are')} in both {one} and {other}, such as {example}"
        if len(counts) > _SHOWN:
            yield f"{counted(len(counts) - _SHOWN, 'other pair')} of classes share images, too"


def _is_constant(image: DecodedImage) -> bool:
    return any(remark.kind == "constant" for remark in image.remarks)
