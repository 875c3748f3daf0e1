"""What `mkdocs` does beside its own: tables and pictures of `results/` become part of the site.

They stay where the programs write them. Pages link to them as files of the repository, such as
`../../results/densities/densities.png`, so that links work on the site and in the repository. A
comment such as `<!-- delvm fit --help -->` becomes what that command prints.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
KINDS = (".md", ".png", ".csv")
UNFINISHED = re.compile(r"\.partial/|/tensorboard/")
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]+)?\)")
TABLES = re.compile(r"results/(.+?)(?:/results)?\.md$")  # those that programs write
ERROR = re.compile(r"(?<=\d) ± (?=\d)")
HELP = re.compile(r"<!-- delvm (\w+) --help -->")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `results/`, beside the pages of `docs/results/`."""
    for path in sorted((ROOT / "results").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in KINDS and not UNFINISHED.search(name):
            hidden = InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, name, abs_src_path=str(path), inclusion=hidden))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links within the site, the help of commands, titles of tables, figures in one piece."""
    folder = dirname(page.file.src_uri)

    def within(link: re.Match[str]) -> str:
        target = normpath(join("docs", folder, link[1]))
        if not target.startswith("results/"):
            return link[0]
        return f"]({relpath(target, folder)}{link[2] or ''})"

    title = TABLES.match(page.file.src_uri)
    if title and not markdown.startswith("# "):
        markdown = f"# {title[1]}\n\n{markdown}"
    markdown = ERROR.sub("\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}", markdown)
    return HELP.sub(printed, LINK.sub(within, markdown))


def printed(comment: re.Match[str]) -> str:
    """The help of a command as a block."""
    done = subprocess.run(
        [sys.executable, "-m", "delvm", comment[1], "--help"],
        cwd=ROOT, env={**os.environ, "COLUMNS": "84"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"```text\n{done.stdout}```"
