"""The checking half: programs that train well."""

from __future__ import annotations

from diagnosis_programs.sound import Healthy

SOUND: list[Healthy] = []
