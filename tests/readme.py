"""Reads the README as its user does: the commands that it gives, and the files of "Adding a domain"."""

import re

import settings

TEXT = (settings.PROJECT / "README.md").read_text()


def commands() -> list[str]:
    """Every line of every bash block, continuation lines joined, comments cut."""
    blocks = re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [re.sub(r"\s{2,}", " ", re.sub(r"\s+#.*", "", line)).strip() for line in lines if line.strip()]


def files() -> dict[str, str]:
    """File → the Python block that follows its bold name, in "Adding a domain"."""
    section = TEXT.split("## Adding a domain")[1].split("\n## ")[0]
    return dict(re.findall(r"\*\*`([^`]+)`\*\*[^\n]*\n\n```python\n(.*?)```", section, re.DOTALL))
