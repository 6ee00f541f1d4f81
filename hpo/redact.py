"""Removes passwords of storage URLs from everything that is printed, logged or stored."""

from __future__ import annotations

import re
from typing import Any, TextIO

SECRET_OPTIONS = ("password", "sslpassword")
"""Secret options of a PostgreSQL URL."""

_OPTION = re.compile(rf"((?:^|[?&\s])(?:{'|'.join(SECRET_OPTIONS)})\s*=\s*)('[^']*'|[^&\s]*)", re.IGNORECASE)
_URL = re.compile(r"\S+://\S+")


def safe_url(text: str) -> str:
    """Return the URL with every password replaced by ``***``."""
    text = _OPTION.sub(r"\1***", text)
    # Up to the last @: a password may contain any unescaped character.
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", text)


def redact(text: str) -> str:
    """Return the text with the passwords of its URLs replaced by ``***``."""
    if "://" not in text and "=" not in text:
        return text
    return _OPTION.sub(r"\1***", _URL.sub(lambda found: safe_url(found.group()), text))


def holds_password(argument: str) -> bool:
    """Return whether a command's argument contains a password."""
    return safe_url(argument) != argument


class Redacted:
    """A stream that passes its text through ``redact``; it is otherwise the stream it wraps."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text without passwords; return its length."""
        self._stream.write(redact(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
