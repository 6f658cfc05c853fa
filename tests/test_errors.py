"""The tree of errors: every class is documented, has a number of its own, and is either of HTTP or of a job."""

import doctest

import pytest

import errors
from choices import unknown
from errors import JobError, RiskError


def below(error: type[RiskError]) -> list[type[RiskError]]:
    return [child for direct in error.__subclasses__() for child in (direct, *below(direct))]


EVERY = [error for error in below(RiskError) if error.__module__.startswith("errors.")]
LEAVES = [error for error in EVERY if not error.__subclasses__()]


@pytest.mark.parametrize("error", EVERY, ids=lambda error: error.__name__)
def test_every_error_says_when_it_is_raised(error):
    assert error.__doc__
    assert error.__doc__ != error.__mro__[1].__doc__


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_error_says_what_to_do(error):
    assert error.remedy.endswith((".", "`"))


def test_every_error_has_a_code_of_its_own_and_is_handed_on():
    assert len({error.code for error in LEAVES}) == len(LEAVES)
    assert {error.__name__ for error in EVERY} < set(errors.__all__)


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_an_error_has_an_http_status_or_an_exit_code_and_not_both(error):
    assert hasattr(error, "status") is not issubclass(error, JobError)
    assert hasattr(error, "exit_code") is issubclass(error, JobError)


def test_an_unknown_name_is_answered_with_the_nearest_one_and_all():
    error = unknown("risk", "copon", ["daily", "coupon"], "There are none.", "name")
    assert error.message == "There is no risk 'copon'. Did you mean 'coupon'? Choose one of: daily, coupon."
    assert error.field == "name"


def test_an_unknown_name_among_no_names_is_answered_with_what_to_do():
    error = unknown("stream of", "x", [], "No domain declares one; see docs/how-to/add-a-stream.md.")
    assert error.message == "There is no stream of 'x'. No domain declares one; see docs/how-to/add-a-stream.md."


def test_an_unknown_name_is_shown_cut():
    assert "x" * 41 not in unknown("risk", "x" * 1000, ["daily"], "").message


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(errors).failed == 0
