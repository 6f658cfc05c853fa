"""How a file of somebody else becomes rows of a raw table: their columns, their dialect, their words. Kept as a file,
`sources/<table>.yaml` in the repository, so that tomorrow's file needs only its name."""

from dataclasses import fields
from pathlib import Path
from typing import Any
from unicodedata import normalize

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from choices import unknown
from errors import BadInput, BadParameter
from features.windows.raw import RawTable
from jobs.raw.dialect import RFC_4180, Dialect

HEAD = "# How a file of others becomes rows of the raw table. `python -m jobs import` keeps it; commit it.\n"


class Mapping(BaseModel):
    """What was stated about the files of one raw table. Every value is text, as in the file and on a command line.

    columns      our column → their column. A column that is not in it has the same name in both
    id           our columns that together name an event, where their file has no column that does
    happened     our timestamp column → our column of 0 and 1: the event's time where that is 1, else empty
    values       our column → their text → our text
    ones, zeros  their words for 1 and 0 in whole numbers
    missing      their words for an empty cell
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: dict[str, str] = Field(default_factory=dict)
    id: tuple[str, ...] = ()
    happened: dict[str, str] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    ones: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    delimiter: str = RFC_4180.delimiter
    quote: str = RFC_4180.quote
    escape: str | None = RFC_4180.escape
    decimal: str = RFC_4180.decimal
    thousands: str = ""
    encoding: str = RFC_4180.encoding
    time_zone: str | None = None
    time_format: str | None = None
    sheet: str | None = None

    @property
    def dialect(self) -> Dialect:
        """The marks and the notation of their CSV files. Raises BadParameter."""
        return Dialect(**{field.name: getattr(self, field.name) for field in fields(Dialect)})

    def theirs(self, ours: str) -> str:
        """Their name of a column of ours."""
        return normalize("NFC", self.columns.get(ours, ours)).strip()

    def changed(self, stated: dict[str, Any]) -> "Mapping":
        """The same with other values. Columns and values are added to those that are kept. Raises BadParameter."""
        merged = self.model_dump()
        for name, value in stated.items():
            merged[name] = {**merged[name], **value} if isinstance(value, dict) else value
        try:
            return Mapping.model_validate(merged)
        except ValidationError as error:
            raise BadParameter(f"{_words(error)}.") from None

    def text(self) -> str:
        """The file's text: what differs from the defaults."""
        stated = self.model_dump(mode="json", exclude_defaults=True)
        return HEAD + yaml.safe_dump(stated, allow_unicode=True, sort_keys=False)


def path_of(sources: Path, table: str) -> Path:
    """The file with the mapping of a raw table."""
    return sources / f"{table}.yaml"


def read(path: Path) -> Mapping:
    """The mapping in a file; the default one where there is no file. Raises BadInput."""
    try:
        # Every scalar as text: `no` is a word and no truth value, `01` no number.
        content = yaml.load(path.read_text("utf-8"), yaml.BaseLoader)
        return Mapping.model_validate({name: value for name, value in (content or {}).items() if value != ""})
    except FileNotFoundError:
        return Mapping()
    except ValidationError as error:
        raise BadInput(f"{path}: {_words(error)}. Correct the file, or delete it and state everything again.") from None
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise BadInput(f"{path} is no mapping: {str(error).splitlines()[0]}. Correct it, or delete it.") from None


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place} {first['msg'].removeprefix('Value error, ')}"


def check(mapping: Mapping, raw: RawTable) -> None:
    """Whether a mapping speaks of columns that the raw table has. Raises BadParameter."""
    ours, _ = columns_of(raw), mapping.dialect
    spoken = [*mapping.columns, *mapping.id, *mapping.values, *mapping.happened, *mapping.happened.values()]
    for name in spoken:
        if name not in ours:
            raise unknown(f"column of {raw.name}", name, ours, "")
    if mapping.id and raw.id is None:
        raise BadParameter(f"{raw.name} has no id, so --id cannot make one. Leave it out.")
    if raw.id in mapping.id:
        raise BadParameter(f"--id makes {raw.id} of itself. Name other columns.")
    if mapping.decimal == mapping.thousands:
        raise BadParameter(f"{mapping.decimal!r} marks both decimals and thousands. State one of them otherwise.")
    if "%Z" in (mapping.time_format or ""):
        raise BadParameter("--time-format has %Z, a name that Python reads and forgets. State --time-zone, or use %z.")
    if "%z" in (mapping.time_format or "") and mapping.time_zone:
        raise BadParameter("--time-format has %z, so each timestamp states its zone. Leave out --time-zone.")


def columns_of(raw: RawTable) -> list[str]:
    """The columns that a file may bring: the declared ones and the timestamps."""
    names = [raw.time, *(column.name for column in raw.columns), *([raw.created] if raw.created else [])]
    return list(dict.fromkeys([*([raw.id] if raw.id else []), *names]))
