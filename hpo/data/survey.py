"""What the user should know of decoded images before training or after prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from hpo.data.images import DecodedImage, Remark, RemarkKind
from hpo.files import path_text
from hpo.text import counted

_SHOWN = 3
_TEXTS: dict[RemarkKind, str] = {
    "frames": "several frames, of which only the first is used",
    "exif": "EXIF data that cannot be read, and may not be upright",
    "dark": "16 bits but use only the darkest quarter of them",
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


def _is_constant(image: DecodedImage) -> bool:
    return any(remark.kind == "constant" for remark in image.remarks)
