"""Reads the README and the pages of `docs/` as their readers do: commands, answers, links, tables, files to write."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import settings

README = settings.PROJECT / "README.md"
DOCS = settings.PROJECT / "docs"
ADD_A_DOMAIN, ADD_A_STREAM = DOCS / "how-to/add-a-domain.md", DOCS / "how-to/add-a-stream.md"

_BLOCK = re.compile(r"(?:<!-- (?P<name>[\w:]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```", re.DOTALL)


class Block(NamedTuple):
    """A fenced block. `name` is that of the comment on the line above it, or empty."""

    language: str
    name: str
    text: str


class Call(NamedTuple):
    """A `curl` command, and the answer that the page shows for it; None if it shows none."""

    command: str
    answer: Any


def pages() -> list[Path]:
    """Every page that a reader may open."""
    folders = [settings.PROJECT, settings.PROJECT / "bench", settings.PROJECT / "stores"]
    return [*(page for folder in folders for page in sorted(folder.glob("*.md"))), *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page's path in the repository, for the id of a test."""
    return str(page.relative_to(settings.PROJECT))


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order; those of one language, if it is given."""
    blocks = [Block(m["language"], m["name"] or "", m["text"]) for m in _BLOCK.finditer(page.read_text())]
    return [block for block in blocks if language in (None, block.language)]


def block(page: Path, name: str) -> str:
    """The text of the block below the comment `<!-- name -->`."""
    (text,) = [block.text for block in blocks(page) if block.name == name]
    return text


def lines(text: str) -> list[str]:
    """The commands of a block: continued lines joined, comments cut."""
    joined = text.replace("\\\n", " ").splitlines()
    return [re.sub(r"\s{2,}", " ", re.sub(r"\s+#.*", "", line)).strip() for line in joined if line.strip()]


def commands(page: Path) -> list[str]:
    """Every command of a page's bash blocks, in order. Blocks with a name have a test of their own."""
    return [line for block in blocks(page, "bash") if not block.name for line in lines(block.text)]


def calls(page: Path) -> list[Call]:
    """Every `curl` of a page, in order. A JSON block right after a block of one `curl` is its answer."""
    calls: list[Call] = []
    for block, following in pairwise([*blocks(page), Block("", "", "")]):
        if block.language == "bash":
            curls = [line for line in lines(block.text) if line.startswith("curl")]
            is_answered = len(curls) == 1 and following.language == "json"
            calls += [Call(curl, json.loads(following.text) if is_answered else None) for curl in curls]
    return calls


def files(page: Path = ADD_A_DOMAIN) -> dict[str, str]:
    """File → the Python block that follows its bold name."""
    return dict(re.findall(r"\*\*`([^`]+)`\*\*[^\n]*\n\n```python\n(.*?)```", page.read_text(), re.DOTALL))


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def links(page: Path) -> list[str]:
    """The targets of links and pictures that are in the repository."""
    return re.findall(r"\]\(((?!https?:)[^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say after `#`."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(page: Path, heading: str = "") -> list[list[str]]:
    """The rows of the tables of a page, or of the section below a heading, cell by cell, without the heads."""
    text = page.read_text()
    if heading:
        text = re.split(rf"^{re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)[1].split("\n## ")[0]
    rows = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    heads = {i for i, row in enumerate(rows) if i + 1 < len(rows) and set(rows[i + 1]) <= set("-| ")}
    kept = [row for i, row in enumerate(rows) if i not in heads and not set(row) <= set("-| ")]
    return [[cell.strip() for cell in row.split("|")] for row in kept]


def code_of(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)
