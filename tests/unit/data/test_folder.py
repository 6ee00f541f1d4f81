"""Image folders: what is read from them, and what is said about wrong ones."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo.data.cache import Bytes, DecodedSplit
from hpo.data.folder import FOLDER_HELP, folder_source
from hpo.errors import DataError

MakeClass = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path, make_class: MakeClass) -> Path:
    """Two classes, 20 training images each, 4 test images each."""
    for name in ("cat", "dog"):
        make_class(tmp_path / "train" / name, 20)
        make_class(tmp_path / "test" / name, 4)
    return tmp_path


def pixels(part: DecodedSplit) -> Bytes:
    return np.concatenate(list(part.chunks))


def test_train_and_test_folders(root: Path) -> None:
    source = folder_source(root)
    decoded = source.decode()
    assert source.classes == ("cat", "dog")
    assert source.count == 48
    assert source.origin == f"images in {root} (40 train, 8 test)"
    assert decoded.train.labels.tolist() == [0] * 20 + [1] * 20
    assert decoded.test.labels.tolist() == [0] * 4 + [1] * 4
    images = pixels(decoded.train)
    with Image.open(root / "train" / "dog" / "003.png") as image:
        assert np.array_equal(images[23], np.moveaxis(np.asarray(image), 2, 0))


def test_without_test_folder_a_tenth_of_each_class_is_held_out(tmp_path: Path, make_class: MakeClass) -> None:
    make_class(tmp_path / "train" / "cat", 30)
    make_class(tmp_path / "train" / "dog", 9)
    source = folder_source(tmp_path)
    decoded = source.decode()
    assert np.bincount(decoded.test.labels).tolist() == [3, 1]
    assert np.bincount(decoded.train.labels).tolist() == [27, 8]
    assert "no test images, so 10% of each class was held out" in source.origin
    everything = {image.tobytes() for part in (decoded.train, decoded.test) for image in pixels(part)}
    assert len(everything) == 39
    again = folder_source(tmp_path).decode()
    assert np.array_equal(pixels(again.test), pixels(folder_source(tmp_path).decode().test))


def test_adding_an_image_leaves_most_held_out_images_where_they_were(
    tmp_path: Path, make_class: MakeClass
) -> None:
    for name in ("cat", "dog"):
        make_class(tmp_path / name, 40)
    before = {image.tobytes() for image in pixels(folder_source(tmp_path).decode().test)}
    Image.new("RGB", (32, 32)).save(tmp_path / "cat" / "new.png")
    after = {image.tobytes() for image in pixels(folder_source(tmp_path).decode().test)}
    assert len(before & after) >= len(before) - 1


def test_class_folders_directly_in_the_root(tmp_path: Path, make_class: MakeClass) -> None:
    make_class(tmp_path / "cat", 10, suffix=".jpg")
    make_class(tmp_path / "dog" / "nested", 10, suffix=".JPG")
    source = folder_source(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.count == 20


def test_other_files_are_ignored(root: Path) -> None:
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / ".hidden.png").write_text("not an image")
    (root / "train" / ".git").mkdir()
    (root / "train" / "readme.md").write_text("")
    assert folder_source(root).count == 48


def test_signature_follows_the_files(root: Path) -> None:
    first = folder_source(root).signature
    assert folder_source(root).signature == first
    path = root / "train" / "cat" / "000.png"
    Image.new("RGB", (32, 32), "red").save(path)
    changed = folder_source(root).signature
    path.unlink()
    assert len({first, changed, folder_source(root).signature}) == 3


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1500])


def damage_replace(path: Path) -> None:
    path.write_text("<html>404</html>")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (damage_empty, "the file is empty"),
        (damage_truncate, "truncated"),
        (damage_replace, "a web page, such as a server's error message: download it again"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_images_are_named(
    root: Path, make_class: MakeClass, damage: Callable[[Path], None], reason: str, suffix: str
) -> None:
    make_class(root / "train" / "cat", 2, (64, 64), suffix)
    path = root / "train" / "cat" / f"001{suffix}"
    damage(path)
    with pytest.raises(DataError) as caught:
        list(folder_source(root).decode().train.chunks)
    message = str(caught.value)
    assert message.startswith(f"1 image cannot be used; repair or remove it:\n  {path}: ")
    assert reason in message and FOLDER_HELP not in message


def test_many_damaged_images_are_counted(root: Path) -> None:
    for path in (root / "train" / "dog").iterdir():
        path.write_bytes(b"x")
    with pytest.raises(DataError, match=r"20 images cannot be used(.*\n){6}.*and 15 more"):
        list(folder_source(root).decode().train.chunks)


def test_wrong_roots(tmp_path: Path, make_class: MakeClass) -> None:
    make_class(tmp_path / "loose", 3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, said in {
        "nowhere": "there is no folder {}",
        "file": "{} is a file, not a folder of images",
        "empty": "{} has no class folders\n",
        "loose": "{} has no class folders, only 3 loose images: put images in one folder per class",
    }.items():
        with pytest.raises(DataError) as caught:
            folder_source(tmp_path / name)
        assert said.format(tmp_path / name) in str(caught.value)
        assert str(caught.value).endswith(FOLDER_HELP)


def test_one_class_only(tmp_path: Path, make_class: MakeClass) -> None:
    make_class(tmp_path / "train" / "cat")
    with pytest.raises(DataError, match=r"train has only one class \(cat\); a classifier needs two or more"):
        folder_source(tmp_path)


def test_empty_classes_are_named(root: Path) -> None:
    for name in ("ant", "bee"):
        (root / "train" / name).mkdir()
    with pytest.raises(DataError, match=f"no images in class folder {root}/train/ant, {root}/train/bee: add"):
        folder_source(root)


def test_classes_of_train_and_test_differ(root: Path, make_class: MakeClass) -> None:
    """Without test images of a class the others are measured; of an unknown class nothing is learned."""
    make_class(root / "train" / "eel")
    assert folder_source(root).warnings == (f"the test images in {root}/test have no eel",)
    make_class(root / "test" / "fox")
    with pytest.raises(DataError, match=r"test has the class fox, which .*train does not have: rename it as"):
        folder_source(root)


def test_the_only_image_of_a_class_is_trained_on(tmp_path: Path, make_class: MakeClass) -> None:
    make_class(tmp_path / "cat", 5)
    make_class(tmp_path / "dog", 1)
    source = folder_source(tmp_path)
    decoded = source.decode()
    assert (decoded.train.labels.tolist(), decoded.test.labels.tolist()) == ([0] * 4 + [1], [0])
    assert source.warnings == ("one image is not enough to hold one out for test: of dog",)


def test_a_broken_link_is_named(root: Path) -> None:
    (root / "train" / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "train" / "dog" / "bad.png").write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        list(folder_source(root).decode().train.chunks)
    assert str(caught.value).splitlines() == [
        "2 images cannot be used; repair or remove them:",
        f"  {root}/train/cat/gone.png: is a link to {root}/nowhere.png, which does not exist",
        f"  {root}/train/dog/bad.png: not an image, or an unknown format",
    ]


def test_broken_links_in_place_of_folders_are_named(root: Path) -> None:
    (root / "train" / "eel").symlink_to("gone")
    (root / "train" / "fox").symlink_to("eel")
    assert folder_source(root).warnings == (
        f"{root}/train/eel is left out: it is a link to gone, which does not exist",
        f"{root}/train/fox is left out: it is a link to {root}/train/gone, which does not exist",
    )
    with pytest.raises(DataError, match=r"train/eel is a link to gone, which does not exist$"):
        folder_source(root / "train" / "eel")


def test_images_in_two_classes_are_a_warning(root: Path) -> None:
    (root / "train" / "eel").symlink_to("cat")
    (root / "test" / "eel").symlink_to("cat")
    (warning,) = warnings_of(root)
    assert warning.startswith("24 images are in both cat and eel, such as ")
    assert warning.endswith(f"{root}/train/cat/000.png and {root}/train/eel/000.png")
    cat = root / "test" / "cat" / "000.png"
    (root / "test" / "dog" / "same.png").write_bytes(cat.read_bytes())
    assert warnings_of(root)[1:] == [
        f"1 image is in both cat and dog, such as {cat} and {root}/test/dog/same.png",
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")
def test_no_permission(make_class: MakeClass) -> None:
    """In a folder of its own: pytest's are closed to the user that root becomes here."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for class_name in ("cat", "dog"):
            make_class(root / class_name)
        (root / "cat").chmod(0)
        user = os.geteuid()
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(DataError, match=f"cannot read {root / 'cat'}: Permission denied"):
                folder_source(root)
        finally:
            os.seteuid(user)
            (root / "cat").chmod(stat.S_IRWXU)


def test_damaged_images_of_all_chunks_are_named_together(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo.data.folder._CHUNK", 8)
    for number in (0, 19):
        (root / "train" / "dog" / f"{number:03d}.png").write_bytes(b"x")
    (root / "test" / "cat" / "003.png").write_bytes(b"x")
    with pytest.raises(
        DataError,
        match=r"3 images cannot be used(.*\n)+.*dog/000\.png: .*\n.*dog/019\.png: .*\n.*test/cat/003\.png: ",
    ):
        list(folder_source(root).decode().train.chunks)


def warnings_of(root: Path) -> list[str]:
    """The warnings after everything was decoded."""
    source = folder_source(root)
    decoded = source.decode()
    for part in (decoded.train, decoded.test):
        pixels(part)
    return [*source.warnings, *decoded.warnings()]


def test_a_class_of_constant_or_equal_images_is_a_warning(root: Path, make_class: MakeClass) -> None:
    assert warnings_of(root) == []
    for number in range(4):
        path = root / "test" / "cat" / f"{number:03d}.png"
        path.write_bytes((root / "test" / "dog" / "000.png").read_bytes())
    for number in range(20):
        path = root / "train" / "dog" / f"{number:03d}.png"
        Image.new("L", (48, 48), number).save(path)
    dogs = root / "train" / "dog"
    assert warnings_of(root) == [
        "class dog: each of its 20 train images is of a single color",
        "class cat: all 4 test images are the same picture",
        f"1 image is in both cat and dog, such as {root}/test/cat/000.png and {root}/test/dog/000.png",
        f"20 images have a single color: {dogs}/000.png, {dogs}/001.png, {dogs}/002.png and 17 more",
    ]


def test_further_frames_and_left_out_files_are_warnings(root: Path) -> None:
    frames = [Image.radial_gradient("L"), Image.new("L", (256, 256))]
    frames[0].save(root / "train" / "cat" / "film.gif", save_all=True, append_images=frames[1:])
    (root / "train" / "cat" / "phone.heic").touch()
    (root / "train" / "loose.png").touch()
    assert warnings_of(root) == [
        f"images directly in {root}/train, without a class, are left out: 1",
        "1 file is left out: not an image format that Pillow reads here (1 .heic); "
        "save the HEIC photos as JPEG to use them",
        f"1 image has several frames, of which only the first is used: {root}/train/cat/film.gif (2 frames)",
    ]
