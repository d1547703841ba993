"""What the docs site needs beyond MkDocs.

Links of pages to files of the repository that are no pages are checked, and shown as text: in the repository such a
link leads to the file, the site does not hold it. Pages that nobody has placed in the navigation stand under More.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)")
logger = logging.getLogger("mkdocs.hooks")


def on_config(config: Any, **_: Any) -> Any:
    """A new page is reachable before anyone has thought of its place."""
    placed = set(_files(config.nav))
    more = sorted(path.name for path in Path(config.docs_dir).glob("*.md") if path.name not in placed)
    if more:
        config.nav.append({"More": more})
    return config


def _files(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _files(part)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """A link that leaves the docs as ``text (`path`)``; for a dead one a warning, an error under ``--strict``."""
    docs = Path(config.docs_dir)  # absolute

    def shown(found: re.Match[str]) -> str:
        target = Path(os.path.normpath((docs / page.file.src_uri).parent / found[2]))
        if target.is_relative_to(docs):
            return found[0]
        if not target.exists():
            logger.warning("%s: there is no file %s", page.file.src_uri, found[2])
        path = target.relative_to(docs.parent).as_posix() if target.is_relative_to(docs.parent) else found[2]
        return found[1] if found[1].strip("`") == path else f"{found[1]} (`{path}`)"

    return LINK.sub(shown, markdown)
