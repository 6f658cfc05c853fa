"""Tables: plain text for grep and awk, and readable at 80 columns on a terminal."""

import pytest

from cli import console
from cli.console import Column
from features import DOMAINS
from features.domains import risks_of, tables_of
from jobs.commands import jobs
from jobs.commands.risk.parity import _show_parity
from jobs.commands.risk.train import _show_metrics
from jobs.parity import Parity
from model.card import Metrics

PIPELINES = [
    *(f"feature_store.{table.name}" for domain in DOMAINS for table in tables_of(domain)),
    *(f"dataset.{risk.name}" for domain in DOMAINS for risk in risks_of(domain)),
]
COLUMNS = [Column("name"), Column("count", "right", plain="{} rows"), Column("remark", plain="({})")]
ROWS = [("a", "7", ""), ("long name", "1,000", "a remark that is far too long for one line of eighty columns " * 2)]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Stdout is a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("cli.console.is_terminal", lambda: True)
    return capsys


def test_plain_text_has_a_line_a_row_and_is_never_wrapped(capsys: pytest.CaptureFixture[str]):
    console.table(COLUMNS, ROWS)
    assert capsys.readouterr().out == f"a              7 rows\nlong name  1,000 rows  ({ROWS[1][2]})\n"


def test_plain_text_shows_headings_where_a_table_has_them():
    text = console.plain(COLUMNS[:2], [("a", "7")], headings=True, indent=2)
    assert text == "  name   count\n  a     7 rows"


def test_a_table_without_rows_is_empty():
    assert console.plain(COLUMNS, []) == ""


def test_a_table_on_a_terminal_wraps_its_cells_and_loses_nothing(terminal: pytest.CaptureFixture[str]):
    console.table(COLUMNS, ROWS)
    printed = terminal.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.split()[:3] == ["name", "count", "remark"]
    assert printed.count("remark that is") == 2
    assert "[" not in printed  # no markup, and no escape sequence


def test_markup_in_a_cell_is_text(terminal: pytest.CaptureFixture[str]):
    console.table([Column("")], [("[red]no colour[/red]",)])
    assert "[red]no colour[/red]" in terminal.readouterr().out


@pytest.mark.parametrize("name", ["", *PIPELINES])
def test_every_pipeline_is_readable_at_80_columns(name: str, terminal: pytest.CaptureFixture[str]):
    jobs(["describe", name] if name else ["list-pipelines"], standalone_mode=False)
    lines = terminal.readouterr().out.splitlines()
    table = lines[1:] if name else lines  # the first is the description, a sentence
    assert max(map(len, table)) <= 80


METRICS = Metrics(roc_auc=0.9, average_precision=0.5, brier=0.1, log_loss=0.2, card_precision=0.25)


class Card:
    """As much of a card as its metrics need."""

    champion = "gradient_boosting"
    replaced = None
    metrics = {"logistic_regression": METRICS, "gradient_boosting": Metrics(roc_auc=0.95)}  # noqa: RUF012


def test_metrics_have_their_names_in_plain_text(capsys: pytest.CaptureFixture[str]):
    _show_metrics(Card, is_kept=False)  # type: ignore[arg-type]
    first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:3] == ["logistic_regression", "roc_auc", "0.900"]
    assert second.split() == ["serves", "gradient_boosting", "roc_auc", "0.950"]


def test_metrics_are_readable_at_80_columns(terminal: pytest.CaptureFixture[str]):
    _show_metrics(Card, is_kept=False)  # type: ignore[arg-type]
    printed = terminal.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "logistic_regression" in printed
    assert "gradient_boosting" in printed


def compared() -> Parity:
    parity = Parity("daily")
    for decision in ("d1", "d2"):
        parity.compare(decision, {"trips": 7, "rate": 0.5}, {"trips": 7, "rate": 0.25 if decision == "d2" else 0.5})
    return parity


def test_parity_names_the_first_difference_in_plain_text(capsys: pytest.CaptureFixture[str]):
    _show_parity([compared()])
    assert capsys.readouterr().out.splitlines() == [
        "daily: 2 decisions, 1 mismatches",
        "  rate   1 equal  1 not;  first d2: 0.5 was served, 0.25 is joined",
        "  trips  2 equal",
    ]
