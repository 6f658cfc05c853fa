"""A JSON text means one thing only, to us and to every other reader."""

import json
from datetime import UTC, datetime

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given

from features.identifiers import KeyedHash, keyed_hash
from hash_keys import HashKey
from serving.strict_json import MOST_DEPTH, NotStrict, parse, written

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.booleans())
def test_a_json_text_gives_back_what_was_written(value, ascii_only: bool):
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(VALUES)
def test_a_value_that_was_written_is_read_back(value):
    assert parse(written(value)) == value


def test_hashes_and_timestamps_of_any_class_are_written_as_texts():
    hashed = keyed_hash("ssn", "1", HashKey(b"new", b"old"))
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert type(hashed) is KeyedHash
    assert parse(written([hashed, {"at": at, "also": pd.Timestamp(at)}])) == [
        str(hashed), {"at": "2026-01-31T12:00:00Z", "also": "2026-01-31T12:00:00Z"},
    ]  # fmt: skip


@given(st.binary(max_size=40) | st.text(alphabet='[]{}",:\\ud8c0ANIninf01-+.e \x00\ufeff', max_size=40).map(str.encode))
def test_any_bytes_are_json_or_refused_and_nothing_else(text: bytes):
    try:
        value = parse(text)
    except NotStrict:
        return
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "expecting value at line 1, column 1"),
        (b'{"a": 1,}', "expecting property name enclosed in double quotes at line 1, column 9"),
        (b'{"a": "\n"}', "invalid control character at line 1, column 8"),
        (b"{} {}", "extra data at line 1, column 4"),
        (b'{"a": 1, "b": 2, "a": 1}', "the key 'a' is there twice"),
        (b'[{"x": {"amount": 1, "\\u0061mount": 2}}]', "the key 'amount' is there twice"),
        (b'{"512-34-8765": 1, "512-34-8765": 2}', "the key '999-99-9999' is there twice"),
        (b"[NaN]", "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"1e400", "a number is too large for a double"),
        (b"-1" + b"0" * 308, "a number is too large for a double"),
        (b"9" * 5000, "a number is too large for a double"),
        (b'{"a": "\\ud800"}', "a string holds half a character, such as \\ud800"),
        (b'{"\\udc00": 1}', "a string holds half a character, such as \\ud800"),
        (b'"\xed\xa0\x80"', "byte 2 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b"[" * 65 + b"]" * 65, "lists and objects are nested deeper than 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "lists and objects are nested deeper than 64 levels"),
        (b"[" * 50_000, "lists and objects are nested deeper than 64 levels"),
    ],
)
def test_a_text_that_readers_take_in_two_ways_is_refused(text: bytes, reason: str):
    with pytest.raises(NotStrict) as refused:
        parse(text)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": {"a": 1}, "b": {"a": 2}}', {"a": {"a": 1}, "b": {"a": 2}}),
        (b'["\\ud83d\\ude00", "[[[", 1e308, -0.0]', ["\N{GRINNING FACE}", "[[[", 1e308, -0.0]),
        (b"9" * 308, 10**308 - 1),
        (b'["' + b"[" * 100 + b'"]', ["[" * 100]),
        (b"[" * MOST_DEPTH + b"1" + b"]" * MOST_DEPTH, json.loads("[" * MOST_DEPTH + "1" + "]" * MOST_DEPTH)),
    ],
)
def test_an_unusual_text_with_one_meaning_is_read(text: bytes, value):
    assert parse(text) == value
