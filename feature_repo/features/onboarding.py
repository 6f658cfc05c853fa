"""The domain `onboarding`: may this applicant drive, and may this driver drive today?"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from errors import BadDate
from features.fields import birth_date, state_code
from features.identifiers import HASH, keyed_hash, normal_licence, normal_ssn
from features.on_demand import OnDemand
from features.risk import Appetite, Input, Outcomes, Population, Reason, Risk, RiskRequest, Rule
from features.utc import utc_day
from features.windows import Aggregation, AggregationTable, Column, Flag, LastDistinctTable, RawTable
from features.windows.live import Columns, lift

ADULT_AGE = 18
#: The states where the business is open. A policy uses this set, and no model does.
ENABLED_STATES = frozenset("AZ CA CO FL GA IL MA NC NJ NV NY OH OR PA TX VA WA".split())
#: The `driver_id` of an applicant. No driver has it.
NOBODY = 0


def age(born: date, day: date) -> int:
    """Whole years. In a common year, somebody born on 29 February has the birthday on 1 March.

    >>> age(date(2004, 2, 29), date(2022, 2, 28)), age(date(2004, 2, 29), date(2022, 3, 1))
    (17, 18)
    """
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def applicant_flags(state: str | None, dob: datetime | None, as_of: datetime) -> dict[str, int | None]:
    """`is_gt_18_years_old` is 1 from the 18th birthday on, by the UTC day of `as_of`. `is_valid_state` is 1 if the
    business is open in the state. What is not known gives None."""
    is_adult = None if dob is None else int(age(utc_day(dob), utc_day(as_of)) >= ADULT_AGE)
    return {"is_gt_18_years_old": is_adult, "is_valid_state": None if state is None else int(state in ENABLED_STATES)}


def seen_on_another(driver_id: int, last: int | None, previous: int | None) -> bool:
    """Whether another driver used an identifier before. `last` and `previous` are the last two distinct drivers who
    used it: if `last` is this driver, then `previous` is another one."""
    return last is not None and (last != driver_id or previous is not None)


def transformed_onboarding(inputs: Columns) -> Columns:
    """`applicant_flags`, row by row: the body of the on-demand view."""
    return lift(applicant_flags, inputs, ["state", "dob", "as_of"])


def _lookup(feature: str, table: LastDistinctTable, inputs: Columns) -> Columns:
    drivers = (inputs[name] for name in ("applicant_driver_id", table.last, table.previous))
    return {feature: list(map(int, map(seen_on_another, *drivers)))}


def ondemand_ssn_lookup(inputs: Columns) -> Columns:
    """Whether the SSN was seen before on another driver, row by row: the body of the on-demand view."""
    return _lookup("is_previously_seen_ssn", DRIVER_SSN_ENTITIES, inputs)


def ondemand_dl_lookup(inputs: Columns) -> Columns:
    """Whether the driving licence was seen before on another driver, row by row: the body of the on-demand view."""
    return _lookup("is_previously_seen_dl", DRIVER_DL_ENTITIES, inputs)


DAY = timedelta(days=1)
HOURS = RawTable(
    "driver_hourly_stats",
    columns=(
        Column("driver_id", "int"),
        Column("conv_rate", "float", is_optional=True, minimum=0),
        Column("acc_rate", "float", is_optional=True, minimum=0),
        Column("avg_daily_trips", "float", is_optional=True, minimum=0),
    ),
    created="created",
)
SSN_HASH, DL_HASH = (Column(name, "string", pattern=HASH, is_secret=True) for name in ("ssn", "dl"))
DRIVERS = RawTable("drivers", columns=(Column("driver_id", "int"), SSN_HASH, DL_HASH), created="created")
APPLICATIONS = RawTable(
    "applications",
    columns=(
        Column("applicant_driver_id", "int"),
        SSN_HASH,
        DL_HASH,
        Column("state", "string"),
        Column("dob", "timestamp", earliest=datetime(1900, 1, 1, tzinfo=UTC)),
        Column("is_fraud", "int"),
    ),
    created="created",
)
DRIVER_DAYS = RawTable(
    "driver_days", columns=(Column("driver_id", "int"), Column("had_incident", "int")), created="created"
)


def _yesterday(column: str, noun: str, unit: str) -> Aggregation:
    return Aggregation(column, "mean", column, DAY, unit=unit, description=f"{noun}, mean of yesterday's hours, UTC.")


def _implausible(flag: str, column: str, operator: Literal["<", ">"], bound: float) -> Flag:
    text = f"1 if yesterday's {column} is {'under' if operator == '<' else 'over'} {bound:g}."
    return Flag(flag, column, operator, bound, description=text)


DRIVER_YESTERDAYS_STATS = AggregationTable(
    name="driver_yesterdays_stats",
    source=HOURS,
    key="driver_id",
    aggregations=(
        _yesterday("conv_rate", "Share of ride offers that became rides", "share"),
        _yesterday("acc_rate", "Share of ride requests that the driver accepted", "share"),
        _yesterday("avg_daily_trips", "Trips a day", "trips"),
    ),
    flags=(
        _implausible("yesterdays_avg_daily_trips_lt_10", "avg_daily_trips", "<", 10),
        _implausible("yesterdays_acc_rate_lt_01", "acc_rate", "<", 0.01),
        _implausible("yesterdays_conv_rate_gt_80", "conv_rate", ">", 0.80),
    ),
    description="What a driver did yesterday, and whether it is plausible. All are missing after a day off.",
)


def _seen_drivers(key: str, what: str) -> LastDistinctTable:
    return LastDistinctTable(
        name=f"driver_{key}_entities", source=DRIVERS, key=key, value="driver_id",
        last=f"last_driver_with_{key}", previous=f"previous_driver_with_{key}",
        unit="driver", description=f"The last two drivers seen with a {what}, dated just after each was first seen.",
    )  # fmt: skip


DRIVER_SSN_ENTITIES = _seen_drivers("ssn", "social security number")
DRIVER_DL_ENTITIES = _seen_drivers("dl", "driving licence")
TABLES = (DRIVER_YESTERDAYS_STATS, DRIVER_SSN_ENTITIES, DRIVER_DL_ENTITIES)


def _flag(name: str, says: str) -> OnDemand:
    def value(row: Mapping[str, Any]) -> int | None:
        return applicant_flags(row["state"], row["dob"], row["as_of"])[name]

    return OnDemand(name, "transformed_onboarding", says, ("state", "dob"), value)


def _seen(table: LastDistinctTable) -> OnDemand:
    says, names = f"1 if another driver used the {table.key} before, else 0.", ("applicant_driver_id", *table.empty)
    return OnDemand(
        f"is_previously_seen_{table.key}", f"ondemand_{table.key}_lookup", says, names[:1],
        lambda row: int(seen_on_another(*(row[n] for n in names))), table,
    )  # fmt: skip


ON_DEMAND = (
    _flag("is_gt_18_years_old", f"1 from the {ADULT_AGE}th birthday on, by dob and the UTC day, else 0."),
    _flag("is_valid_state", "1 if the business is open in the state, else 0."),
    *map(_seen, (DRIVER_SSN_ENTITIES, DRIVER_DL_ENTITIES)),
)


class Applicant(RiskRequest):
    """Somebody who signs up to drive."""

    secrets = ("ssn", "dl")

    state: Annotated[str, AfterValidator(state_code)] = Field(
        description="Two letters of the US state of residence.", examples=["CA"]
    )
    ssn: Annotated[str, AfterValidator(normal_ssn)] = Field(
        description="Social security number, with or without dashes. Hashed with a key on arrival.",
        examples=["123-45-6789"],
    )
    dl: Annotated[str, AfterValidator(normal_licence)] = Field(
        description="Driving licence number. Hashed with a key on arrival.", examples=["D1234567"]
    )
    dob: Annotated[str, AfterValidator(birth_date)] = Field(
        description="Date of birth, as YYYY-MM-DD or MM-DD-YYYY.", examples=["1990-05-17"]
    )

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """The identifiers are keyed hashes. Raises BadDate if the date of birth is after `as_of`."""
        if date.fromisoformat(self.dob) > utc_day(as_of):
            raise BadDate(f"dob is {self.dob}, which is in the future. Check the year.", "dob")
        return {
            "ssn": keyed_hash("ssn", self.ssn, hash_key),
            "dl": keyed_hash("dl", self.dl, hash_key),
            "state": self.state,
            "dob": datetime.fromisoformat(self.dob).replace(tzinfo=UTC),
            "applicant_driver_id": NOBODY,
        }


class Driver(RiskRequest):
    """A driver with a number."""

    driver_id: int = Field(ge=1, le=2**63 - 1, description="The driver's number.", examples=[1001, 1002, 1003])


ONBOARDING = Risk(
    name="onboarding", title="Onboarding risk of an applicant", description="May this applicant drive for us?",
    request=Applicant, entity_keys=("ssn", "dl"), group="state",
    outcomes=Outcomes(APPLICATIONS, label="is_fraud", matures_after=timedelta(days=14)),
    appetite=Appetite(low=0.15, high=0.60),
    needs=("is_gt_18_years_old", "is_previously_seen_ssn", "is_previously_seen_dl"),
    inputs=(
        Input("is_gt_18_years_old", "int", -1,
            raises=Reason("under_18", "The applicant is under 18."),
            lowers=Reason("adult", "The applicant is 18 or older.")),
        Input("is_previously_seen_ssn", "int", +1,
            raises=Reason("ssn_seen_before", "The social security number was seen on another driver."),
            lowers=Reason("ssn_not_seen_before", "The social security number is new to us.")),
        Input("is_previously_seen_dl", "int", +1,
            raises=Reason("dl_seen_before", "The driving licence was seen on another driver."),
            lowers=Reason("dl_not_seen_before", "The driving licence is new to us.")),
    ),
    policies=(
        Rule("is_valid_state == 0", "review", Reason(
            "state_not_enabled", "We have not opened in this state yet. A person will look at the application.")),
    ),
)  # fmt: skip

DAILY = Risk(
    name="daily", title="Daily risk of a driver", description="May this driver drive today, after yesterday's trips?",
    request=Driver, entity_keys=("driver_id",), group="state", path_field="driver_id", known_by="state",
    population=Population("drivers", "driver_id"),
    outcomes=Outcomes(DRIVER_DAYS, label="had_incident", matures_after=timedelta(days=1)),
    appetite=Appetite(low=0.15, high=0.50),
    needs=("conv_rate", "acc_rate", "avg_daily_trips"),  # all of them are missing after a day off
    inputs=(
        Input("conv_rate", "float", 0,
            raises=Reason("conv_rate_unusual", "Yesterday's conversion rate is typical of risky drivers."),
            lowers=Reason("conv_rate_usual", "Yesterday's conversion rate is typical of safe drivers.")),
        Input("acc_rate", "float", -1,
            raises=Reason("acc_rate_low", "Yesterday's acceptance rate was low."),
            lowers=Reason("acc_rate_fine", "Yesterday's acceptance rate was good.")),
        Input("avg_daily_trips", "float", -1,
            raises=Reason("trips_low", "The driver made few trips yesterday."),
            lowers=Reason("trips_fine", "The driver made a good number of trips yesterday.")),
        Input("yesterdays_avg_daily_trips_lt_10", "int", +1,
            raises=Reason("trips_lt_10", "The driver made fewer than 10 trips yesterday, on average."),
            lowers=Reason("trips_not_lt_10", "The driver made 10 trips or more yesterday, on average.")),
        Input("yesterdays_acc_rate_lt_01", "int", +1,
            raises=Reason("acc_rate_lt_01", "Yesterday's acceptance rate was under 1 %, which is implausible."),
            lowers=Reason("acc_rate_not_lt_01", "Yesterday's acceptance rate was plausible.")),
        Input("yesterdays_conv_rate_gt_80", "int", +1,
            raises=Reason("conv_rate_gt_80", "Yesterday's conversion rate was over 80 %, which is implausible."),
            lowers=Reason("conv_rate_not_gt_80", "Yesterday's conversion rate was plausible.")),
    ),
)  # fmt: skip

RISKS = (ONBOARDING, DAILY)
