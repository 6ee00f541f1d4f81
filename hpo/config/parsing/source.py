"""Read a study file from a path, or one of the studies that are installed with hpo."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from hpo.config.suggestions import did_you_mean
from hpo.errors import Problem, StudyFileError, UnknownStudyError

MAX_BYTES = 1_000_000
_SUFFIXES = (".yaml", ".yml", ".json")


def bundled_studies() -> list[str]:
    """Return the sorted names of the studies that are installed with hpo."""
    files = resources.files("hpo.studies").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def bundled_text(name: str) -> str:
    """Return the text of a bundled study, without the line for editors, whose path holds in a checkout."""
    text = (resources.files("hpo.studies") / f"{name}.yaml").read_text(encoding="utf-8")
    return re.sub(r"\A# yaml-language-server: .*\n#\n", "", text)


def require_bundled(name: str) -> str:
    """Return ``name`` if it is a bundled study. Raises ``UnknownStudyError`` otherwise."""
    bundled = bundled_studies()
    if name not in bundled:
        hint = did_you_mean(name, bundled)
        shown = f"there is no bundled study {_printable(name)!r}"
        raise UnknownStudyError(
            f"{shown}{'; ' + hint if hint else ''}\n  bundled studies: {', '.join(bundled)}"
        )
    return name


def read_source(source: str) -> tuple[str, str]:
    """Return the text of a study and its name in messages.

    An existing file takes precedence over a bundled study of that name. Raises ``UnknownStudyError`` if
    there is neither, ``StudyFileError`` if the file cannot be read as text.
    """
    bundled = bundled_studies()
    path = Path(source)
    try:
        if source in bundled and not path.is_file():
            return bundled_text(source), f"{source}.yaml"
        if path.is_dir():
            raise StudyFileError(
                source, [Problem("is a folder, not a study file", hint=_yaml_files_in(path))]
            )
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise UnknownStudyError(_unknown(source, bundled)) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StudyFileError(_printable(source), [Problem(f"cannot be read: {reason}")]) from None
    return _decode(content, source), source


def _decode(content: bytes, source: str) -> str:
    if len(content) > MAX_BYTES:
        raise StudyFileError(source, [Problem("is larger than 1 MB; study files have a few kilobytes")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        is_utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        problem = (
            Problem("is UTF-16 text", hint="save it as UTF-8")
            if is_utf16
            else Problem("is not UTF-8 text", line=line, hint="save it as UTF-8")
        )
        raise StudyFileError(source, [problem]) from None


def _unknown(source: str, bundled: list[str]) -> str:
    shown = _printable(source)
    is_path = "/" in source or source.endswith(_SUFFIXES)
    what = f"there is no file {shown}" if is_path else f"there is no study file or bundled study {shown!r}"
    hint = did_you_mean(Path(shown).name.removesuffix(".yaml"), bundled)
    return f"{what}{'; ' + hint if hint else ''}\n  bundled studies: {', '.join(bundled)}"


def _printable(source: str) -> str:
    return source.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")[:300]


def _yaml_files_in(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES)[:5]
    return f"it contains {', '.join(names)}" if names else ""
