"""Environment variables and paths."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from hpo.errors import UserError

DEFAULT_STORAGE = "sqlite:///hpo.db"
_NEEDS_HOME = {
    "HPO_CACHE": "XDG_CACHE_HOME",
    "HPO_DATA": "XDG_CACHE_HOME",
    "HPO_ARTIFACTS": "XDG_DATA_HOME",
}
"""Variables whose defaults are in the home, unless the second is set."""


def home() -> Path:
    """Return the user's home; raises ``UserError`` that names the variables to set if there is none."""
    found = _home()
    if found is None:
        unset = [f"${name}" for name, base in _NEEDS_HOME.items() if not _is_set(name) | _is_set(base)]
        instead = f", or {', '.join(unset)} to folders of your choice" if unset else ""
        raise UserError(
            f"there is no home folder: $HOME is not set, and the system has none for user {os.getuid()}; "
            f"set $HOME{instead}"
        )
    return found


def expanded(path: Path) -> Path:
    """Return the path with ``~`` replaced by the home; raises ``UserError`` if there is none."""
    if path.parts[:1] == ("~",):
        return home().joinpath(*path.parts[1:])
    try:
        return path.expanduser()
    except RuntimeError:
        raise UserError(f"{path}: there is no home folder of user {path.parts[0][1:]}") from None


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        return None


def _is_set(variable: str) -> bool:
    return bool(os.environ.get(variable))


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache") / "hpo"


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share") / "hpo"


Folder: TypeAlias = Annotated[Path, AfterValidator(expanded)]


class Settings(BaseSettings):
    """Settings from environment variables: `$HPO_STORAGE`, `$HPO_DATA`, `$HPO_LEASE_SECONDS`, ..."""

    model_config = SettingsConfigDict(env_prefix="HPO_", extra="ignore", env_ignore_empty=True)

    storage: str = DEFAULT_STORAGE
    storage_password_file: Path | None = None
    """A file whose first line is the password of ``storage``, unless the URL contains one."""
    data: Folder = Field(default_factory=lambda: _cache_home() / "data")
    """Folder of data sets, as downloaded."""
    cache: Folder = Field(default_factory=lambda: _cache_home() / "cache")
    """Folder of decoded images; safe to delete."""
    checkpoints: Folder = Field(default_factory=lambda given: given["cache"] / "checkpoints")
    """Folder of checkpoints; machines that share it can resume each other's trials."""
    artifacts: Folder = Field(default_factory=lambda: _data_home() / "artifacts")
    """Folder of the weights of each study's best trials: results, unlike the cache."""
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    """Longest time between two checkpoints within an epoch, in seconds."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """Duration of a lease, in seconds: a worker without a heartbeat for this long loses its slot."""
    hung_seconds: float = Field(default=600.0, gt=0)
    """A trial without progress (a step, a batch of an evaluation) for this long counts as hung, in seconds.
    The default equals the NCCL timeout of torch.distributed."""
    allowed_models: str = ""
    """Packages from which `hpo worker` may import networks and trainings, and programs that it may start as
    trainings, separated by commas; * for all. By default only the bundled networks are allowed."""
    dashboard_token: SecretStr | None = None
    """Login token of `hpo dashboard`; by default each start generates one."""
    download_seconds: float = Field(default=5.0, gt=0)
    """Timeout of the CIFAR-10 server, in seconds, after which `dataset: auto` uses synthetic images."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """Return the settings of this process, read once (tests call `settings.cache_clear()`).

    Raises ``UserError`` that names each variable with an invalid value, or an unreadable file.
    """
    try:
        read = _with_password(Settings())
        if _home() is None:  # Matplotlib and Ray look for one
            os.environ["HOME"] = str(read.cache.absolute())
        return read
    except ValidationError as error:
        wrong = "\n".join(
            f"  $HPO_{str(each['loc'][0]).upper()} = {each['input']!r}: {each['msg']}"
            for each in error.errors()
        )
        raise UserError(f"environment variables have invalid values:\n{wrong}") from None


def _with_password(read: Settings) -> Settings:
    if read.storage_password_file is None:
        return read
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    password = first_line(read.storage_password_file, "the database's password")
    try:
        url = make_url(read.storage)
    except (ArgumentError, ValueError):
        return read  # opening it reports what is wrong
    if url.host is None or url.password is not None:
        return read
    user, at, place = url.set(password=password).render_as_string(hide_password=False).rpartition("@")
    # `redact` takes a space for the end of a URL.
    return read.model_copy(update={"storage": user.replace(" ", "%20") + at + place})


def first_line(file: Path, what: str) -> str:
    """Return the first line of a file with a secret; raises ``UserError`` if it cannot be read."""
    try:
        return expanded(file).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"{what} cannot be read from {file}: {reason}") from None
