"""The notebook of the docs runs from its first to its last cell."""

import nbformat
import processes
import pytest
from nbclient import NotebookClient

import settings
from jobs.own.new.spec import with_domain

pytestmark = pytest.mark.slow
NOTEBOOK = settings.PROJECT / "docs" / "tour.ipynb"


def test_the_tour_runs_in_a_root_of_its_own_whatever_domains_are_left(tmp_path, monkeypatch):
    """It leaves nothing in the data of whoever starts it. The clone has the one domain that `jobs new --only` leaves;
    the notebook chooses its own, so in this project it does the same."""
    clone = processes.clone(tmp_path / "clone")
    init = clone / "feature_repo/features/__init__.py"
    init.write_text(with_domain(init.read_text(), ("shop",)))
    monkeypatch.setenv("PYTHONPATH", processes.clone_environment(clone)["PYTHONPATH"])
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "mine"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [output.get("text", "") for cell in book.cells for output in cell.get("outputs", [])]
    assert any("as if there had never been a hole" in text for text in printed)
    assert any('"decision"' in text for text in printed)
    assert not (tmp_path / "mine").exists()


def test_the_notebook_is_kept_without_outputs():
    """So that a change of it is readable."""
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
