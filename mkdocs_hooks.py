"""Links of pages to files of the repository that are no pages: checked, and shown as text.

In the repository such a link leads to the file. The site does not hold it, so the path stands there instead.
"""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)")
logger = logging.getLogger("mkdocs.hooks")


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
