"""The features of `onboarding`, in literal tables. Nothing imports Feast."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from errors import BadDate, BadState, RiskError
from features import fields, onboarding
from features.fields import STATES
from features.identifiers import keyed_hash
from features.onboarding import DAILY, ENABLED_STATES, NOBODY, ONBOARDING, Applicant, Driver

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = b"a key for tests"
APPLICATION = {"state": "CA", "ssn": "123-45-6789", "dl": "d123-4567", "dob": "05-17-1990"}


@pytest.mark.parametrize(
    ("born", "day", "years"),
    [
        ("2000-05-17", "2018-05-16", 17),
        ("2000-05-17", "2018-05-17", 18),
        ("2000-12-31", "2019-01-01", 18),
        ("2000-01-01", "2000-01-01", 0),
        ("2004-02-29", "2022-02-28", 17),  # in a common year the birthday is 1 March
        ("2004-02-29", "2022-03-01", 18),
        ("2004-02-29", "2024-02-28", 19),  # a leap year has 29 February
        ("2004-02-29", "2024-02-29", 20),
        ("2004-02-29", "2024-03-01", 20),
        ("1900-03-01", "2026-02-28", 125),
    ],
)
def test_a_birthday_makes_a_year_older_and_no_day_before(born, day, years):
    assert onboarding.age(date.fromisoformat(born), date.fromisoformat(day)) == years


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1990-05-17", "1990-05-17"), ("05-17-1990", "1990-05-17"), ("  05-17-1990 ", "1990-05-17"),
     ("2024-02-29", "2024-02-29"), ("02-29-2024", "2024-02-29"), ("1900-01-01", "1900-01-01")],
)  # fmt: skip
def test_a_birth_date_may_be_written_in_two_ways(text, meant):
    assert fields.birth_date(text) == meant


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "02-29-2023", "1899-12-31", "12-31-1899", "0000-01-01", "17-05-1990", "1990-13-01", "1990-5-17",
     "90-05-17", "05/17/1990", "19900517", "1990-05-17T00:00", "1990-05-17-", "yesterday", "1990 05 17", "-05-17-1990",
     "", "  "],
)  # fmt: skip
def test_an_invalid_date_and_one_before_1900_are_refused(text):
    with pytest.raises(BadDate) as refused:
        fields.birth_date(text)
    assert refused.value.field == "dob"


@pytest.mark.parametrize(("text", "meant"), [("CA", "CA"), ("ca", "CA"), (" ny\n", "NY"), ("DC", "DC"), ("AK", "AK")])
def test_a_state_is_two_letters_in_any_case(text, meant):
    assert fields.state_code(text) == meant


@pytest.mark.parametrize("text", ["", "C", "CAL", "California", "XX", "ZZ", "C A", "12", "PR", "ﬂ"])
def test_an_unknown_state_is_refused(text):
    with pytest.raises(BadState) as refused:
        fields.state_code(text)
    assert refused.value.field == "state"


@pytest.mark.parametrize("field", ["ssn", "dl", "dob", "state"])
def test_no_message_repeats_a_value_of_the_wrong_type(field):
    with pytest.raises(ValidationError) as refused:
        Applicant.model_validate(APPLICATION | {field: 987654321})
    assert "987654321" not in str(refused.value)


@pytest.mark.parametrize("field", ["dob", "state"])
def test_a_social_security_number_in_the_wrong_field_is_not_repeated(field):
    with pytest.raises(RiskError) as refused:
        Applicant.model_validate(APPLICATION | {field: "987-65-4321"})
    assert "987-65-4321" not in str(refused.value)


SEEN = pytest.mark.parametrize(
    ("driver", "last", "previous", "seen"),
    [
        (NOBODY, None, None, False),  # nobody used it
        (NOBODY, 7, None, True),
        (NOBODY, 7, 5, True),
        (7, None, None, False),
        (7, 7, None, False),  # only this driver
        (7, 7, 5, True),  # this driver, and somebody before
        (7, 5, None, True),  # somebody else
        (7, 5, 7, True),
    ],
)


@SEEN
def test_an_identifier_counts_as_seen_only_on_another_driver(driver, last, previous, seen):
    assert onboarding.seen_on_another(driver, last, previous) is seen


@SEEN
def test_the_columns_that_feast_passes_give_the_same(driver, last, previous, seen):
    applicants = {"applicant_driver_id": [driver, NOBODY]}
    ssn = {"last_driver_with_ssn": [last, None], "previous_driver_with_ssn": [previous, None]}
    dl = {"last_driver_with_dl": [last, None], "previous_driver_with_dl": [previous, None]}
    assert onboarding.ondemand_ssn_lookup({**applicants, **ssn}) == {"is_previously_seen_ssn": [int(seen), 0]}
    assert onboarding.ondemand_dl_lookup({**applicants, **dl}) == {"is_previously_seen_dl": [int(seen), 0]}


def test_an_applicant_is_adult_from_the_18th_birthday_on():
    columns = {
        "state": ["CA", "CA", "AK", "ZZ"],
        "dob": [datetime(2008, 1, d, tzinfo=UTC) for d in (31, 30, 31, 31)],
        "as_of": [NOON - timedelta(days=1), NOON, NOON, NOON.replace(hour=0)],
    }
    answer = {"is_gt_18_years_old": [0, 1, 1, 1], "is_valid_state": [1, 1, 0, 0]}
    assert onboarding.transformed_onboarding(columns) == answer


def test_what_is_not_known_of_an_applicant_gives_no_flag():
    columns = {"state": [None, "CA", None], "dob": [NOON, None, None], "as_of": [NOON] * 3}
    answer = {"is_gt_18_years_old": [0, None, None], "is_valid_state": [None, 1, None]}
    assert onboarding.transformed_onboarding(columns) == answer


def test_no_model_learns_from_a_state():
    born = datetime(1990, 5, 17, tzinfo=UTC)
    unopened, opened = (onboarding.applicant_flags(state, born, NOON) for state in ("AK", "CA"))
    differing = {name for name in opened if opened[name] != unopened[name]}
    assert differing == {"is_valid_state"}
    assert differing.isdisjoint(i.name for risk in (ONBOARDING, DAILY) for i in risk.inputs)
    assert {(p.when, p.outcome) for p in ONBOARDING.policies} == {("is_valid_state == 0", "review")}


@pytest.mark.parametrize(("zone", "adult"), [(-5, 1), (0, 0), (5, 0)])
def test_a_birthday_begins_at_midnight_utc_in_every_zone(zone, adult):
    as_of = datetime(2026, 1, 30, 23, tzinfo=timezone(timedelta(hours=zone)))
    assert onboarding.applicant_flags("CA", datetime(2008, 1, 31, tzinfo=UTC), as_of)["is_gt_18_years_old"] == adult


def test_we_are_open_only_in_states_that_exist():
    assert len(STATES) == 51 > len(ENABLED_STATES & STATES) == len(ENABLED_STATES)


def test_the_row_of_an_applicant_has_hashes_and_no_numbers():
    row = Applicant.model_validate(APPLICATION).row(NOON, KEY)
    assert row == {
        "ssn": keyed_hash("ssn", "123456789", KEY),
        "dl": keyed_hash("dl", "D1234567", KEY),
        "state": "CA",
        "dob": datetime(1990, 5, 17, tzinfo=UTC),
        "applicant_driver_id": NOBODY,
    }
    assert not re.search("123456789|123-45-6789|1234567", str(row))


def test_the_same_person_written_otherwise_is_the_same_person():
    otherwise = {"state": "ca", "ssn": " 123456789", "dl": "D 123 4567", "dob": "1990-05-17"}
    assert Applicant.model_validate(otherwise).row(NOON, KEY) == Applicant.model_validate(APPLICATION).row(NOON, KEY)


@pytest.mark.parametrize("dob", ["2026-02-01", "02-01-2026", "2999-01-01"])
def test_nobody_applies_before_being_born(dob):
    applicant = Applicant.model_validate(APPLICATION | {"dob": dob})
    with pytest.raises(BadDate, match="in the future"):
        applicant.row(NOON, KEY)


def test_somebody_born_today_may_apply():
    assert Applicant.model_validate(APPLICATION | {"dob": "2026-01-31"}).row(NOON, KEY)["dob"] == NOON.replace(hour=0)


@pytest.mark.parametrize(
    ("request_type", "values"),
    [(Applicant, APPLICATION | {"name": "Jo"}), (Applicant, {**APPLICATION, "ssn": 123456789}),
     (Applicant, {"state": "CA"}), (Driver, {"driver_id": "1001"}), (Driver, {"driver_id": 0}),
     (Driver, {"driver_id": -1}), (Driver, {"driver_id": 2**63}), (Driver, {"driver_id": True}),
     (Driver, {"driver_id": 1.0}), (Driver, {})],
)  # fmt: skip
def test_a_request_of_another_shape_is_refused(request_type, values):
    with pytest.raises(ValidationError):
        request_type.model_validate(values)


@pytest.mark.parametrize("driver_id", [1, 1001, 2**63 - 1])
def test_a_driver_is_a_positive_number(driver_id):
    assert Driver.model_validate({"driver_id": driver_id}).row(NOON, KEY) == {"driver_id": driver_id}
