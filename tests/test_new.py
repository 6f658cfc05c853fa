"""`python -m jobs new`: names that would break are refused, nothing is overwritten, and what is written runs."""

import json
from pathlib import Path
from runpy import run_path

import pytest
from new_command import STATED, new, project_in, refused, tree
from pydantic import ValidationError

from errors import BadParameter
from features import DOMAINS
from features.windows import events
from jobs.own.new import naming
from jobs.own.new.spec import Spec, files, with_domain


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return project_in(tmp_path, monkeypatch)


# What is written


def test_the_files_the_mapping_the_line_and_the_rows_are_written(project: Path):
    before = tree(project)
    result = new(project, *STATED, "--quarantine", str(project / "bad.csv"))
    assert result.exit_code == 0, result.output
    after = tree(project)
    (rows,) = (name for name in after if name.startswith("data/raw/shop_events/"))
    assert after.keys() - before.keys() == {
        "feature_repo/features/shop.py", "feature_repo/views/shop.py", "tests/test_shop.py", "sources/shop_events.yaml",
        "bad.csv", rows,
    }  # fmt: skip
    assert '"catalog", "shop")' in after["feature_repo/features/__init__.py"].decode()
    assert "Left out: Händler, Bemerkung" in result.output


def test_only_switches_the_others_off_and_feast_leaves_them_out(project: Path):
    (project / "feature_repo/.feastignore").write_text("views/coupon.py\nnotes\n")
    new(project, *STATED, "--quarantine", str(project / "bad.csv"), "--only")
    assert 'DOMAINS = ("shop",)\n' in (project / "feature_repo/features/__init__.py").read_text()
    ignored = (project / "feature_repo/.feastignore").read_text().splitlines()
    assert sorted(ignored) == sorted(["notes", *(f"views/{domain}.py" for domain in DOMAINS)])


# What is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--delimiter", ";"), "State --time, --key, --id, --label, --label-after. The columns are: Bestellnr, Kund"),
        (STATED, "give --quarantine PATH"),
        ((*STATED, "--key", "Händler"), "the name 'Händler' is not made of 2 to 30 small letters"),
        ((*STATED, "--key", "Handler"), "There is no column 'Handler'. Did you mean 'Händler'?"),
        ((*STATED, "--key", "merchant=Handler"), "Did you mean 'Händler'?"),
        ((*STATED, "--key", "class=Händler"), "is a word of Python"),
        ((*STATED, "--key", "order=Händler"), "is a word of SQL"),
        ((*STATED, "--key", "created=Händler"), "is used"),
        ((*STATED, "--key", "year=Händler"), "is used"),
        ((*STATED, "--key", "copy=Händler"), "is a word of a request"),
        ((*STATED, "--key", "händler=Händler"), "such as haendler=…"),
        ((*STATED, "--key", "amount=Händler"), "amount is the column 'Händler' already"),
        ((*STATED, "--key", "customer=Kunden-Nr"), "'customer' is stated twice"),
        ((*STATED, "--table", "orders"), "There is a table 'orders'"),
        ((*STATED, "--label-time", "x=Bestellt am"), "Give one of them"),
        ((*STATED, "--true", "vielleicht", "--false", "ja", "--quarantine", "bad.csv"), "A model needs 2 of each"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(project: Path, arguments: tuple[str, ...], message: str):
    assert message in refused(project, *arguments)


@pytest.mark.parametrize(
    "name", [*DOMAINS[:1], "Shop", "my shop", "läden", "import", "order", "risk", "blocks", "face", "2nd"]
)
def test_a_domain_cannot_have_a_name_that_is_taken_or_breaks(project: Path, name: str):
    for room, module in (("feature_repo/features", "risk"), ("feature_repo/views", "blocks"), ("web", "face")):
        (project / room).mkdir(parents=True, exist_ok=True)
        (project / room / f"{module}.py").touch()
    assert "Choose another" in refused(project, *STATED, name=name)


@pytest.mark.parametrize("path", ["tests/test_shop.py", "feature_repo/views/shop.py", "sources/shop_events.yaml"])
def test_no_file_is_overwritten(project: Path, path: str):
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("mine")
    assert f"{path} is there" in refused(project, *STATED, "--quarantine", "bad.csv")


def test_rows_that_are_there_belong_to_somebody(project: Path):
    (project / "data/raw/shop_events").mkdir(parents=True)
    (project / "data/raw/shop_events/mine.parquet").write_bytes(b"mine")
    assert "shop_events has rows" in refused(project, *STATED, "--quarantine", "bad.csv")


def test_a_domain_cannot_be_written_twice(project: Path):
    arguments = (*STATED, "--quarantine", str(project / "bad.csv"))
    assert new(project, *arguments).exit_code == 0
    assert "is there" in refused(project, *arguments)


# Names


def test_every_proposed_name_is_valid():
    for header in (
        "Kunden-Nr.",
        "Händler",
        "Order ID",
        "class",
        "select",
        "created",
        "YEAR",
        "2nd",
        "a" * 99,
        "x__y",
        "État",
    ):
        assert naming.fault_of(naming.proposed(header)) == "", header


@pytest.mark.parametrize("size", [2, naming.MOST_CHARACTERS])
def test_what_is_written_fits_the_style_whatever_the_names(tmp_path: Path, size: int):
    """A line of a template that grows with a name would be too long for ruff with a long one."""
    keys = tuple(f"{letter * (size - 1)}{letter}" for letter in "kl"[: min(size, 2)])
    spec = Spec("d" * size, "t" * size, "m" * size, "i" * size, keys, ("a" * size,), "f" * size, 14, {})
    for path, text in files(spec, tmp_path, 0.03).items():
        compile(text, str(path), "exec")
        assert max(map(len, text.splitlines())) <= 120, path


def test_the_line_of_domains_is_found_and_its_absence_is_said():
    text = 'A = 1\nDOMAINS = (\n    "a",\n)\nB = 2\n'
    assert with_domain(text, ("x",)) == 'A = 1\nDOMAINS = ("x",)\nB = 2\n'
    assert with_domain(text, tuple("d" * 20 + str(n) for n in range(9))).count("\n") == 13
    with pytest.raises(BadParameter, match="no one line DOMAINS"):
        with_domain("", ("x",))


def test_an_id_may_be_sent_as_a_whole_number(project: Path):
    """Many programs keep their ids as numbers. Files have always been read so."""
    new(project, *STATED, "--quarantine", str(project / "bad.csv"))
    module = run_path(str(project / "feature_repo/features/shop.py"))
    row = {"order_id": 7, "customer": 42, "amount": 2.5}
    request = module["Event"].model_validate(row)
    event = events.schema(module["EVENTS"]).validate_json(json.dumps(row | {"ordered_at": "2026-01-31T12:00:00Z"}))
    assert [request.customer, request.order_id, event["customer"], event["order_id"]] == ["42", "7", "42", "7"]
    for wrong in (True, 4.5, None, ""):
        with pytest.raises(ValidationError):
            module["Event"].model_validate(row | {"customer": wrong})
