"""Environment variables and paths."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from hpo.errors import UserError

DEFAULT_STORAGE = "sqlite:///hpo.db"


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hpo"


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "hpo"


class Settings(BaseSettings):
    """What the environment sets: `$HPO_STORAGE`, `$HPO_DATA`, `$HPO_CACHE`, `$HPO_LEASE_SECONDS`, ..."""

    model_config = SettingsConfigDict(env_prefix="HPO_", extra="ignore", env_ignore_empty=True)

    storage: str = DEFAULT_STORAGE
    storage_password_file: Path | None = None
    """A file whose first line is the password of ``storage``; a URL that has one keeps its own."""
    data: Path = Field(default_factory=lambda: _cache_home() / "data")
    """Where data sets lie as they were downloaded or put."""
    cache: Path = Field(default_factory=lambda: _cache_home() / "cache")
    """Where decoded images are cached; safe to delete."""
    checkpoints: Path = Field(default_factory=lambda given: given["cache"] / "checkpoints")
    """Where trials under way are saved; on a folder that machines share, each can go on with another's."""
    artifacts: Path = Field(default_factory=lambda: _data_home() / "artifacts")
    """Where the best weights of a study's best trials are kept: results, which no cache can make again."""
    checkpoint_seconds: float = Field(default=60.0, ge=0)
    """How long a trial trains at most between two checkpoints within an epoch, in seconds."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a worker holds a slot without a sign of life, in seconds."""
    hung_seconds: float = Field(default=600.0, gt=0)
    """How long a trial may make no progress (no step, no batch of an evaluation) before it counts as hung, in
    seconds. As long as torch.distributed waits for NCCL by default."""
    allowed_models: str = ""
    """Packages, separated by commas, from which `hpo worker` may import networks; * for all.
    Without it only the bundled ones."""
    dashboard_token: SecretStr | None = None
    """What one logs in with to `hpo dashboard`; without it each start makes its own."""
    download_seconds: float = Field(default=5.0, gt=0)
    """How long `dataset: auto` waits for the CIFAR-10 server to answer before it settles on synthetic."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once (tests call `settings.cache_clear()`).

    Raises ``UserError`` that names each variable with a value that does not fit, or an unreadable file.
    """
    try:
        return _with_password(Settings())
    except ValidationError as error:
        wrong = "\n".join(
            f"  $HPO_{str(each['loc'][0]).upper()} = {each['input']!r}: {each['msg']}"
            for each in error.errors()
        )
        raise UserError(f"the environment has values that cannot be used:\n{wrong}") from None


def _with_password(read: Settings) -> Settings:
    if read.storage_password_file is None:
        return read
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    password = first_line(read.storage_password_file, "the database's password")
    try:
        url = make_url(read.storage)
    except (ArgumentError, ValueError):
        return read  # whoever opens it says what is wrong with it
    if url.host is None or url.password is not None:
        return read
    user, at, place = url.set(password=password).render_as_string(hide_password=False).rpartition("@")
    # A space would end the URL where passwords are cut out of texts.
    return read.model_copy(update={"storage": user.replace(" ", "%20") + at + place})


def first_line(file: Path, what: str) -> str:
    """The first line of a file that keeps a secret; raises ``UserError`` that says what cannot be read."""
    try:
        return file.expanduser().read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"{what} cannot be read from {file}: {reason}") from None
