"""mkdocs hook: what docs/ links to outside itself comes along, so that no link of the site is dead.

Pages and their order are `mkdocs.yml`'s.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
AROUND = "around"  # folder of the site for files that stand outside docs/
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]+)(#[^)]*)?\)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add every file outside docs/ that a page links to; Markdown becomes a page of its own."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    texts = {uri: (Path(config.docs_dir) / uri).read_text(encoding="utf-8") for uri in waiting}
    while waiting:
        uri = waiting.pop()
        for match in _LINK.finditer(texts[uri]):
            outside = _outside(uri, match[2])
            if outside is None or not outside.is_file():
                continue
            place = _placed(outside)
            if files.get_file_from_path(place) is None:
                text = outside.read_text(encoding="utf-8")
                level = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, place, content=text, inclusion=level))
                if outside.suffix == ".md":
                    texts[place] = text
                    waiting.append(place)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links that leave docs/, and those of pages that came along, at their place here."""
    uri = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        target = _repository_path(uri, match[2])
        if target is None:
            return match[0]
        if (ROOT / target).is_dir():  # nothing to show: the words stay
            return match[1].removesuffix("](").lstrip("![")
        inside = target.is_relative_to("docs")
        place = target.relative_to("docs") if inside else PurePosixPath(_placed(ROOT / target))
        here = PurePosixPath(uri).parent
        return f"{match[1]}{os.path.relpath(place, here)}{match[3] or ''})"

    return _LINK.sub(moved, markdown)


def _repository_path(uri: str, link: str) -> PurePosixPath | None:
    """What a link means within the repository, or None where it needs no other place here."""
    if ":" in link or link.startswith("/"):
        return None
    came_along = uri.startswith(f"{AROUND}/")
    page = uri.removeprefix(f"{AROUND}/") if came_along else f"docs/{uri}"
    target = PurePosixPath(os.path.normpath(PurePosixPath(page).parent / link))
    if target.is_relative_to("docs") and not came_along:
        return None
    return target


def _outside(uri: str, link: str) -> Path | None:
    target = _repository_path(uri, link)
    return None if target is None or target.is_relative_to("docs") else ROOT / target


def _placed(outside: Path) -> str:
    """Source and settings are shown as text, whatever a server makes of their suffix."""
    name = outside.relative_to(ROOT).as_posix()
    return f"{AROUND}/{name}" if outside.suffix == ".md" else f"{AROUND}/{name}.txt"
