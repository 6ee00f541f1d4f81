"""Hooks of the documentation site: pages from the repository's root, and links that leave docs/."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages of the site too."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the repository's root."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=relink(text, source, config.repo_url)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite links that leave docs/."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return relink(markdown, f"docs/{page.file.src_uri}", config.repo_url)


def relink(markdown: str, source: str, repository: str | None) -> str:
    """The Markdown of ``source`` (a path in the repository) with links that hold on the site.

    A file outside docs/ becomes a link into the repository where ``repo_url`` is set, and plain text
    otherwise. Raises ``FileNotFoundError`` for a link to a file that does not exist.
    """
    folder = posixpath.dirname(source)
    on_site = PAGES.get(source) or posixpath.relpath(source, "docs")

    def target(match: re.Match[str]) -> str:
        image, text, path, anchor = match[1], match[2], match[3], match[4] or ""
        linked = posixpath.normpath(posixpath.join(folder, path))
        if not (ROOT / linked).exists():
            raise FileNotFoundError(f"{source} links to {path}, which does not exist")
        page = PAGES.get(linked) or (linked.removeprefix("docs/") if linked.startswith("docs/") else None)
        if page is not None and not linked.endswith((".py", "/")) and linked != "docs":
            return f"{image}[{text}]({posixpath.relpath(page, posixpath.dirname(on_site) or '.')}{anchor})"
        return f"[{text}]({repository}/blob/main/{linked}{anchor})" if repository else text

    return _LINK.sub(target, markdown)
