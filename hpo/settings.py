"""Environment variables and paths."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

DEFAULT_STORAGE = "sqlite:///hpo.db"


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hpo"


class Settings(BaseSettings):
    """What the environment sets: `$HPO_STORAGE`, `$HPO_DATA`, `$HPO_CACHE`, `$HPO_LEASE_SECONDS`."""

    model_config = SettingsConfigDict(env_prefix="HPO_", extra="ignore")

    storage: str = DEFAULT_STORAGE
    data: Path = Field(default_factory=lambda: _cache_home() / "data")
    """Where data sets lie as they were downloaded or put."""
    cache: Path = Field(default_factory=lambda: _cache_home() / "cache")
    """Where decoded images are cached; safe to delete."""
    lease_seconds: float = Field(default=60.0, gt=0)
    """How long a worker holds a slot without a sign of progress, in seconds."""
    download_seconds: float = Field(default=5.0, gt=0)
    """How long `dataset: auto` waits for the CIFAR-10 server to answer before it settles on synthetic."""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once (tests call `settings.cache_clear()`)."""
    return Settings()
