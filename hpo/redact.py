"""Passwords of storage URLs are kept out of everything that is printed, logged or stored."""

from __future__ import annotations

import re
from typing import Any, TextIO

SECRET_OPTIONS = ("password", "sslpassword")
"""Options of a PostgreSQL URL that are secret."""

_OPTION = re.compile(rf"((?:^|[?&\s])(?:{'|'.join(SECRET_OPTIONS)})\s*=\s*)('[^']*'|[^&\s]*)", re.IGNORECASE)
_URL = re.compile(r"\S+://\S+")


def safe_url(text: str) -> str:
    """The URL as it may be printed or stored: every password in it is replaced by ``***``."""
    text = _OPTION.sub(r"\1***", text)
    # Up to the last @: a password may hold any character that nobody escaped.
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", text)


def redact(text: str) -> str:
    """Any text with the passwords of the URLs in it replaced by ``***``."""
    if "://" not in text and "=" not in text:
        return text
    return _OPTION.sub(r"\1***", _URL.sub(lambda found: safe_url(found.group()), text))


def holds_password(argument: str) -> bool:
    """Whether a command's argument is a URL with a password in it."""
    return safe_url(argument) != argument


class Redacted:
    """A stream whose text passes through ``redact``; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without passwords; how long it was."""
        self._stream.write(redact(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
