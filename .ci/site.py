"""What `mkdocs` does beside its own: tables and pictures of `results/` become part of the site.

They stay where the programs write them. Pages link to them as files of the repository, such as
`../../results/densities/densities.png`, so that links work on the site and in the repository. A
comment such as `<!-- delvm fit --help -->` becomes what that command prints.

Each script of `gallery/` becomes a page of its docstring, its picture and its code. A comment such
as `<!-- gallery known_density -->` becomes pictures that lead to the pages of the scripts named.
"""

import ast
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
GALLERY = ROOT / "gallery"
SHOWN = re.compile(r"<!-- gallery((?: \w+)+) -->")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the gallery to the navigation, in the order of its first page."""
    (section,) = (entry["Gallery"] for entry in config.nav or () if "Gallery" in entry)
    for name in scripts(Path(config.docs_dir, "gallery/index.md").read_text()):
        section.append({name.replace("_", " ").capitalize(): f"gallery/{name}.md"})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of `results/`, beside the pages of `docs/results/`, and the gallery."""
    for path in sorted((ROOT / "results").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in KINDS and not UNFINISHED.search(name):
            hidden = InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, name, abs_src_path=str(path), inclusion=hidden))
    for path in sorted(GALLERY.glob("*.py")):
        name = f"gallery/{path.stem}"
        picture = str(path.with_suffix(".png"))
        files.append(File.generated(config, f"{name}.md", content=script_page(path)))
        files.append(File.generated(config, f"{name}.png", abs_src_path=picture))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Links within the site, the help of commands, titles of tables, figures in one piece."""
    folder = dirname(page.file.src_uri)

    def within(link: re.Match[str]) -> str:
        target = normpath(join("docs", folder, link[1]))
        if not target.startswith(("results/", "gallery/")):
            return link[0]
        return f"]({relpath(target, folder)}{link[2] or ''})"

    title = TABLES.match(page.file.src_uri)
    if title and not markdown.startswith("# "):
        markdown = f"# {title[1]}\n\n{markdown}"
    markdown = ERROR.sub("\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}", markdown)
    return SHOWN.sub(cards, HELP.sub(printed, LINK.sub(within, markdown)))


def printed(comment: re.Match[str]) -> str:
    """The help of a command as a block."""
    done = subprocess.run(
        [sys.executable, "-m", "delvm", comment[1], "--help"],
        cwd=ROOT, env={**os.environ, "COLUMNS": "84"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return f"```text\n{done.stdout}```"


def scripts(page: str) -> list[str]:
    """Names of the scripts that a page of the gallery shows, in order."""
    return [name for names in SHOWN.findall(page) for name in names.split()]


def told(path: Path) -> tuple[str, str, str]:
    """The title of a script, the rest of its docstring, and the code below."""
    source = path.read_text()
    tree = ast.parse(source)
    title, _, text = (ast.get_docstring(tree) or "").partition("\n\n")
    code = "".join(source.splitlines(keepends=True)[tree.body[0].end_lineno :])
    return " ".join(title.split()).rstrip("."), text, code.lstrip()


def script_page(path: Path) -> str:
    """The page of a script."""
    title, text, code = told(path)
    return (
        f"# {title}\n\n{text}\n\n![{title}]({path.stem}.png)\n\n"
        f"The picture is drawn by `python gallery/{path.name}`:\n\n```python\n{code}```\n"
    )


def cards(comment: re.Match[str]) -> str:
    """Pictures with titles, each with a link to the page of its script."""
    shown = []
    for name in comment[1].split():
        title = told(GALLERY / f"{name}.py")[0]
        picture = f"![]({name}.png){{ loading=lazy }}"
        shown.append(f"-   [{picture}]({name}.md)\n\n    [{title}]({name}.md)\n")
    return '<div class="grid cards" markdown>\n\n' + "\n".join(shown) + "\n</div>"
