"""What `mkdocs` does beside its own: tables and pictures of `results/` become part of the site.

They stay where the programs write them. Pages link to them as files of the repository, such as
`../../results/densities/densities.png`, so that links work on the site and in the repository.
"""

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
KINDS = (".md", ".png", ".csv")
UNFINISHED = re.compile(r"\.partial/|/tensorboard/")
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]+)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `results/`, beside the pages of `docs/results/`."""
    for path in sorted((ROOT / "results").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in KINDS and not UNFINISHED.search(name):
            hidden = InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, name, abs_src_path=str(path), inclusion=hidden))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links to `results/` of the repository as links within the site."""
    folder = dirname(page.file.src_uri)

    def within(link: re.Match[str]) -> str:
        target = normpath(join("docs", folder, link[1]))
        if not target.startswith("results/"):
            return link[0]
        return f"]({relpath(target, folder)}{link[2] or ''})"

    return LINK.sub(within, markdown)
