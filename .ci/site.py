"""What `mkdocs` does beside its own: tables and pictures of `results/` become part of the site.

They stay where the programs write them. Pages link to them as files of the repository, such as
`../../results/densities/densities.png`, so that links work on the site and in the repository. A
comment such as `<!-- delvm fit --help -->` becomes what that command prints. Options and names in a
text are kept on one line, cells of a table that hold a sentence are given room, and commands that
are longer than a page is wide become several lines. Tables name the pages that link to them.

Each script of `gallery/` becomes a page of its docstring, its picture and its code. A comment such
as `<!-- gallery known_density -->` becomes pictures that lead to the pages of the scripts named.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
KINDS = (".md", ".png", ".gif", ".csv")
UNFINISHED = re.compile(r"\.partial/|/tensorboard/")
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]+)?\)")
TABLES = re.compile(r"results/(.+?)(?:/results)?\.md$")  # those that programs write
ERROR = re.compile(r"(?<=\d) ± (?=\d)")
HELP = re.compile(r"<!-- delvm (\w+) --help -->")
INLINE = re.compile(r"(?<!<pre>)(?<!</span>)<code>([^<]+)</code>")  # not of a block
BREAKING = re.compile(r"\S*[-…]\S*")  # where a browser may begin a new line within a word
CELL = re.compile(r"<td([^>]*)>(.*?)</td>")
TAG = re.compile(r"<[^>]+>")
LONGEST_NAME, LONG_CELL = 24, 40  # letters
COMMAND = re.compile(r"^ {4}(python [^\\#<>|$\n]{90,})$", re.MULTILINE)  # on one line
COLUMNS = 92  # of such a line
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
    if told_by := readers().get(page.file.src_uri):
        links = ", ".join(f"[{name}]({relpath(uri, folder)})" for uri, name in told_by.items())
        heading, _, text = markdown.partition("\n")
        markdown = f"{heading}\n\nDiscussed in {links}.\n{text}"
    markdown = ERROR.sub("\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}", markdown)
    markdown = COMMAND.sub(folded, markdown)
    return SHOWN.sub(cards, HELP.sub(printed, LINK.sub(within, markdown)))


@cache
def readers() -> dict[str, dict[str, str]]:
    """For each file of `results/` the pages that link to it, and their titles."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "docs").rglob("*.md")):
        text = path.read_text()
        name = re.search(r"^# (.*)$", text, re.MULTILINE)
        for link in LINK.findall(text):
            target = normpath(join(path.relative_to(ROOT).parent.as_posix(), link[0]))
            if target.startswith("results/") and name:
                uri = path.relative_to(ROOT / "docs").as_posix()
                found.setdefault(target, {})[uri] = name[1]
    return found


def folded(command: re.Match[str]) -> str:
    """A command on lines that go on with a backslash."""
    space = "\N{NO-BREAK SPACE}"  # within a word that is quoted, and after an option
    words = " ".join(shlex.quote(word).replace(" ", space) for word in shlex.split(command[1]))
    words = re.sub(r"(?<= )(--\S+) (?!-)", rf"\1{space}", words)
    lines = textwrap.wrap(
        words, COLUMNS, initial_indent=" " * 4, subsequent_indent=" " * 8,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return " \\\n".join(lines).replace(space, " ")


def on_page_content(html: str, **_: object) -> str:
    """Names that are not broken, and cells of sentences that do not become narrow and high."""
    return CELL.sub(roomy, INLINE.sub(unbroken, html))


def unbroken(code: re.Match[str]) -> str:
    """Code in a text whose options, such as `--seed`, stay on one line."""

    def whole(word: re.Match[str]) -> str:
        short = len(word[0]) <= LONGEST_NAME
        return f'<span class="whole">{word[0]}</span>' if short else word[0]

    return f"<code>{BREAKING.sub(whole, code[1])}</code>"


def roomy(cell: re.Match[str]) -> str:
    """A cell, marked if it holds a sentence."""
    mark = ' class="long"' if len(TAG.sub("", cell[2])) > LONG_CELL else ""
    return f"<td{cell[1]}{mark}>{cell[2]}</td>"


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
