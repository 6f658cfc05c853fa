"""What a caller sends."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from errors import BadParameter, WrongType
from features.identifiers import keyed_hash

#: A number as a text. Python reads more: 1_000.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


class RiskRequest(BaseModel):
    """What a caller sends. Subclasses add the fields; their descriptions and examples go into the API docs. A validator
    refuses an invalid value with an error from `errors`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    #: The fields that nobody may keep. A rule sees such a field as its keyed hash.
    secrets: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _without_nul(self) -> Self:
        """SQLite and C take a text up to a NUL, so two requests would be one there. Raises BadParameter."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and "\0" in value:
                raise BadParameter(f"{name} has a NUL character. Remove it.", name)
        return self

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """The request of texts, as a URL or a row of a CSV file has them. Raises ValidationError, WrongType, and the
        errors of the fields."""
        request = cls.model_validate_strings(texts)
        for name, value in request:
            if type(value) in (int, float) and name in texts and not _NUMBER.fullmatch(texts[name]):
                raise WrongType(f"{name}: {texts[name]!r} is no number. Write its digits alone.", name)
        return request

    @classmethod
    def hashed(cls, name: str, text: str, hash_key: bytes) -> str:
        """What rules see of a secret that somebody wrote as in a request. Raises ValueError, and the errors of the
        field."""
        declared = cls.model_fields[name]
        field: Any = Annotated[declared.annotation, *declared.metadata]
        return keyed_hash(name, TypeAdapter(field).validate_python(text), hash_key)

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """Entity keys and request data, by their names in Feast. A secret is in it only as a keyed hash."""
        return self.model_dump()

    def fields(self, row: Mapping[str, Any], hash_key: bytes) -> dict[str, Any]:
        """What rules see of the request: each field by the caller's name. `row` is the request's row. A secret is its
        keyed hash, as in the row."""
        fields = {name: row[name] if name in row else getattr(self, name) for name in type(self).model_fields}
        for name in self.secrets:
            if name not in row and fields[name] is not None:
                fields[name] = keyed_hash(name, fields[name], hash_key)
        return fields
