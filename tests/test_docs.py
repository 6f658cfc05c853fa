"""What the docs say is there: pages, headings, files, errors, settings, paths."""

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path
from unittest.mock import MagicMock

import docs_tables
import pytest
import readme
from readme import DOCS, README, anchors, blocks, code_of, links, name_of, pages, tables
from rooms import MAY_IMPORT, sources

import root
import settings
from cli.exit_codes import ExitCode
from features.domains import risks, streams

MOST_README_WORDS = 1200
REFERENCE = DOCS / "reference"


def by_name(files: list[Path]) -> "pytest.MarkDecorator":
    return pytest.mark.parametrize("page", files, ids=name_of)


def test_the_readme_is_short():
    assert len(README.read_text().split()) < MOST_README_WORDS


@by_name(pages())
def test_every_link_leads_to_a_page_and_its_heading(page: Path):
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_index_lists_every_page():
    index = DOCS / "README.md"
    records = {(DOCS / "decisions" / link).resolve() for link in links(DOCS / "decisions/README.md")}
    listed = {(DOCS / link).resolve() for link in links(index)} | records
    assert set(DOCS.rglob("*.md")) - listed == {index}


def test_every_library_that_the_record_takes_is_declared():
    taken = {row[0] for row in tables(DOCS / "decisions/0007-libraries.md", "## Choice")}
    project = tomllib.loads((settings.PROJECT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    assert taken <= {re.split(r"[^\w-]", name)[0] for name in declared}


@by_name(pages())
def test_every_python_block_is_python(page: Path):
    for block in blocks(page, "python"):
        ast.parse(block.text)


@by_name(pages())
def test_every_file_of_ours_that_a_page_names_is_there(page: Path):
    folders = (settings.PROJECT, settings.FEATURE_REPO, page.parent)
    named = {name for name in code_of(readme.prose(page)) if re.fullmatch(r"[\w./-]+\.py", name)}
    # a file in the reader's own domain, or one that is named beside its folder
    of_reader = {name for name in named if re.search(r"refund_abuse|[/_]shop\.py", name)}
    gone = [name for name in named - of_reader if not any((folder / name).is_file() for folder in folders)]
    assert [name for name in gone if "/" in name or not list(settings.PROJECT.glob(f"*/**/{name}"))] == []


# Errors


def test_the_page_of_errors_says_what_the_code_says():
    page = docs_tables.ERRORS_PAGE.read_text()
    assert page == docs_tables.with_errors(page), "The errors have changed. Run: make docs"


def test_the_page_of_commands_lists_the_exit_codes():
    shown = [int(code) for code, _ in tables(REFERENCE / "commands.md", "## Exit codes")]
    assert shown == [code.value for code in ExitCode]


# Settings

#: Variables of other programs that our code sets for them, or reads.
OTHERS = {
    "PATH",
    "PYTHONPATH",
    "PYSPARK_PYTHON",
    "SPARK_LOCAL_IP",
    "KAFKA_BROKER",
    "CI",
    "RISK_DATA",
    "PROMETHEUS_MULTIPROC_DIR",
    "RISK_METRICS",
}


def test_the_page_of_settings_lists_every_variable_that_the_code_reads():
    texts = sources(settings.PROJECT)
    text = "\n".join(text for path, text in texts.items() if not path.startswith(("tests/", "bench/")))
    read = set(re.findall(r"environ(?:\.get)?[\[(]\s*\"([A-Z_]+)\"|\"([A-Z_]+)\"\s+(?:not )?in os\.environ", text))
    names = {name for pair in read for name in pair if name}
    shown = {code_of(row[0])[0] for row in tables(REFERENCE / "settings.md", "# Settings")}
    assert shown == (names - OTHERS) | {"RISK_DATA"}


def test_the_page_of_settings_lists_the_variables_of_make():
    makefile = (settings.PROJECT / "Makefile").read_text()
    shown = {code_of(row[0])[0] for row in tables(REFERENCE / "settings.md", "## Variables of make")}
    assert shown == set(re.findall(r"^([A-Z_]+) \?=", makefile, re.MULTILINE))


def test_the_page_of_commands_lists_the_targets_of_make():
    makefile = (settings.PROJECT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    shown = {code_of(row[0])[0].removeprefix("make ") for row in tables(REFERENCE / "commands.md", "## `make`")}
    assert shown == {target for target in phony.split() if target != "help"}


@by_name(pages())
def test_every_make_target_that_a_page_names_is_there(page: Path):
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (settings.PROJECT / "Makefile").read_text(), re.MULTILINE)
    named = [*code_of(readme.prose(page)), *readme.commands(page)]
    assert {name.split()[1] for name in named if re.match(r"make [a-z]", name)} <= set(phony.split())


def test_the_page_of_files_lists_everything_below_a_root():
    listed = {name.split("/")[0] for row in tables(REFERENCE / "files.md") for name in code_of(row[0])}
    assert listed >= {name.removesuffix("*") for name in (*root.WORLD, *root.KEPT)}


def test_the_map_has_the_rooms_and_what_they_may_import():
    rules: dict[str, set[str]] = {}
    for room, others in MAY_IMPORT.items():
        rules.setdefault(room.split(".")[0], set()).update(other.split(".")[0] for other in others.split())
    rows = [row for row in tables(DOCS / "design.md", "## 1. Rooms") if len(row) == 3]
    named = {code_of(room)[0].removesuffix(".py").rstrip("/").rpartition("/")[2]: imports for room, _, imports in rows}
    assert {room: set(code_of(named[room])) for room in rules} == {room: rules[room] - {room} for room in rules}


# HTTP


def paths_of_the_service() -> set[str]:
    """Every path, as the page spells it: `<risk>` for a risk, `<key>` for a part that varies."""
    from app import create_app

    names = set()
    for rule in create_app(MagicMock()).url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"<\1>", str(rule))
        for risk in risks().values():
            path = re.sub(rf"^/{risk.slug}-(risk-\w+|batch-scores)/(<\w+>/)?$", r"/<risk>-\1/", path)
        names.add(path)
    of_libraries = {"/flasgger_static/<filename>", "/static/<filename>", "/oauth2-redirect.html", "/apidocs/index.html"}
    return names - of_libraries


def test_the_page_of_the_api_lists_every_path_and_no_other():
    shown = set(re.findall(r"`(?:GET |POST )?(/[^`?\s]*)", readme.prose(REFERENCE / "http.md")))
    named = {re.sub(r"^/api/v1/decisions/<(risk|id)>$", "/api/v1/decisions/<name>", path) for path in shown}
    assert named - {"/<driver_id>/"} == paths_of_the_service()


def test_the_page_of_the_api_lists_the_streams_and_the_risks():
    page = REFERENCE / "http.md"
    shown = {code_of(row[0])[0]: code_of(row[1])[0] for row in tables(page, "## Events of a stream")}
    assert shown == {name: stream.domain for name, stream in streams().items()}
    methods = {
        code_of(row[0])[0]: row[1] for row in tables(page, "## Paths of every risk") if row[1] in ("GET", "POST")
    }
    assert methods == {name: "GET" if risk.path_field else "POST" for name, risk in risks().items()}
