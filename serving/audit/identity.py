"""What a caller writes for an entity, as the audit log holds it: an identifier becomes its keyed hash."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from choices import unknown
from errors import BadParameter
from features.domains import NO_RISK
from features.fields import fault_of
from features.identifiers import is_hash, keyed_hash, shape
from features.risk import Risk, RiskRequest


def values_of(key: str, text: str, risks: Iterable[Risk], hash_keys: Sequence[bytes]) -> tuple[str, ...]:
    """The values that an entity key may have in a record where a caller writes `text`: read as in a request of each of
    the risks. Of a secret, they are its keyed hashes under each of the keys, or the hash that the caller sent. Raises
    BadParameter, and the errors of the field; none of them repeats a secret."""
    many = list(risks)
    known = dict.fromkeys(name for risk in many for name in risk.entity_keys)
    if key not in known:
        raise unknown("entity key", shape(key), known, NO_RISK, shape(key))
    values = [_values(risk.request, key, text, hash_keys) for risk in many if key in risk.entity_keys]
    return tuple(dict.fromkeys(value for of_risk in values for value in of_risk))


def _values(request: type[RiskRequest], key: str, text: str, hash_keys: Sequence[bytes]) -> list[str]:
    if key not in request.model_fields:  # made from other fields, such as the beginning of a code
        return [text]
    if key in request.secrets and is_hash(text):
        return [text]
    declared = request.model_fields[key]
    field: Any = Annotated[declared.annotation, *declared.metadata]
    strips = ConfigDict(str_strip_whitespace=bool(request.model_config.get("str_strip_whitespace")))
    try:
        value = TypeAdapter(field, config=strips).validate_strings(text)
    except ValidationError as error:
        raise BadParameter(f"{key} {fault_of(error.errors(include_input=False)[0])}. Correct it.", key) from None
    return [keyed_hash(key, value, hash_key) for hash_key in hash_keys] if key in request.secrets else [str(value)]
