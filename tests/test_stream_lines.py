"""An invalid line becomes a dead letter with the reason, and the stream goes on. An unusual form is no fault."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import hypothesis.strategies as st
import pytest
from constants import override
from hypothesis import given
from pydantic_core import to_json
from stream_world import NOW, RAW, STREAM, Sink, count, dead_letters, event, logged, take_in

import settings
from features.utc import since_1970
from features.windows import Derived
from jobs.stream import lines as stream_lines
from jobs.stream.job import StreamJob
from jobs.stream.lines import parse
from jobs.stream.lines.one import is_surely_strict
from jobs.stream.lines.together import together
from jobs.stream.sources import Line, open_source
from serving import strict_json
from serving.store import Store


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


INVALID: dict[str, Any] = {
    "dated after it was received": event(0, 24 * 3600 + 11),
    "an outcome in the future": event(0, 0, outcome="2026-03-05T00:00:00Z"),
    "no zone": event(0, 0, at="2026-03-01T00:00:00"),
    "before 1970": event(0, 0, at="1969-12-31T23:59:59Z"),
    "before the year 1 in UTC": event(0, 0, at="0001-01-01T00:00:00+23:00"),
    "no id": {k: v for k, v in event(0, 0).items() if k != "id"},
    "an empty key": event(0, 0, who=""),
    "a blank key": event(0, 0, who=" \t"),
    "a NUL, at which SQLite would cut it": event(0, 0, id="a\0b"),
    "half a character": b'{"id": "\\ud800"}',
    "too long a key": event(0, 0, who="w" * 10_001),
    "an unknown word": event(0, 0, kind="ugly"),
    "a number as text": event(0, 0, x="1"),
    "too large": event(0, 0, x=9.1e9),
    "under the minimum": event(0, 0, x=-0.1),
    "not a number": b'{"x": NaN}',
    "null": b"null",
    "a list": b"[]",
    "half a line": to_json(event(0, 0))[:40],
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "a number of 5,000 digits": b'{"producer": "till", "number": ' + b"9" * 5000 + b"}",
    "a key twice": to_json(event(0, 0))[:-1] + b',"who":"w1"}',
    "a key twice, once escaped": to_json(event(0, 0))[:-1] + b',"\\u0077ho":"w1"}',
    "a key twice, with blanks": to_json(event(0, 0))[:-1] + b',"who" :"w1"}',
    "a key twice that is not declared": to_json(event(0, 0))[:-1] + b',"a":{"b":1,"b":1}}',
    "a digit string as a timestamp": event(0, 0, at="1772352000"),
    "digits of milliseconds as a timestamp": event(0, 0, at="1772352000000"),
    "a number as a timestamp": event(0, 0, at=1772352000),
    "a day as a timestamp": event(0, 0, at="2026-03-01"),
    "the year 2200 in what dates nothing": event(0, 0, accepted_at="2200-01-01T00:00:00Z"),
    "Infinity where nothing is declared": to_json(event(0, 0))[:-1] + b',"a":Infinity}',
    "a field that is not declared": event(0, 0, colour="red"),
    "a field that is not declared, beside an empty one": event(0, 0, place=None, colour=None),
    "a number over the maximum": b'{"producer": "till", "number": 1000000000000}',
}


@pytest.mark.parametrize("invalid", INVALID.values(), ids=INVALID)
def test_an_invalid_line_becomes_a_dead_letter_and_the_stream_goes_on(invalid: dict[str, Any] | bytes) -> None:
    take_in([[invalid, event(1, 5)], [invalid], [event(2, 6)]], restarts=True)
    dead = dead_letters()
    text = (invalid if isinstance(invalid, bytes) else to_json(invalid)).decode(errors="replace")
    assert [(letter["at"], letter["line"] == text) for letter in dead] == [
        ("line 0 of batch 0", True),
        ("line 0 of batch 1", True),
    ]
    assert 5 < len(dead[0]["reason"]) < 200
    assert "x00" not in dead[0]["reason"]
    assert (count("dead_letters"), count("events"), len(logged())) == (2, 2, 2)


WHOLE = to_json(event(0, 0))
#: The end of an event that the service accepted, before a column was taken out of the declaration.
ACCEPTED = b',"accepted_at":"2026-03-01T08:00:00Z"}'
ODD = {
    "a byte order mark": b"\xef\xbb\xbf" + WHOLE,
    "a carriage return": WHOLE + b"\r",
    "blanks": WHOLE.replace(b":", b" : ").replace(b" : 00", b":00").replace(b",", b" ,\t"),
    "an offset of hours alone": WHOLE.replace(b'+00:00"', b'+00"'),
    "an escape": WHOLE.replace(b'"w0"', b'"\\u00770"'),
    "one key in two objects, of an accepted event": WHOLE[:-1] + b',"a":{"who":1},"b":{"who":2}' + ACCEPTED,
    "colons in what is not declared, of an accepted event": WHOLE[:-1] + b',":a":":b"' + ACCEPTED,
}


@pytest.mark.parametrize("line", ODD.values(), ids=ODD)
def test_a_line_that_is_written_in_an_unusual_way_is_an_event(line: bytes) -> None:
    take_in([[line]])
    assert [(row["id"], row["who"]) for row in logged()] == [("e0", "w0")], dead_letters()


KEYS = st.text(st.sampled_from('ab:", \\'), max_size=3)
VALUES = st.one_of(st.integers(0, 9), KEYS, st.dictionaries(KEYS, KEYS, max_size=2))


@given(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=4), colon=st.sampled_from([":", ": ", " :", "\t:"]))
def test_a_key_that_stands_twice_never_passes_the_quick_check(pairs: list[tuple[str, Any]], colon: str) -> None:
    text = "{" + ",".join(json.dumps(key) + colon + json.dumps(value) for key, value in pairs) + "}"
    if is_surely_strict(text.encode(), len(dict(pairs))):
        assert strict_json.parse(text.encode()) == dict(pairs)


VALID = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["e1", " e2 ", "é", "e:3", 'e"4', "e 5"]), "who": st.sampled_from(["w0", "w1", "w1 "]),
        "at": st.sampled_from(["2026-03-01T08:00:00Z", "2026-03-01 08:00:00.1234567+02:00", "2026-03-01t09:00z"]),
        "place": st.sampled_from(["p0", "p1"]), "kind": st.sampled_from(["good", "bad"]),
    },
    optional={
        "x": st.one_of(st.none(), st.integers(0, 9), st.floats(0, 9e9), st.just(-0.0)), "producer": st.just("till"),
        "number": st.integers(1, 3), "outcome": st.sampled_from([None, "2026-03-01T09:00:00Z"]),
        "accepted_at": st.just("2026-03-01T08:00:00Z"),
    },
)  # fmt: skip
LINES = st.one_of(
    VALID.map(to_json),
    VALID.map(lambda sent: json.dumps(sent).encode()),
    st.sampled_from([line if isinstance(line, bytes) else to_json(line) for line in INVALID.values()]),
    st.sampled_from([*ODD.values(), WHOLE[:-1] + b',"x":-0.0}', WHOLE[:-1] + b',"x":1e2,"number":1.0}']),
)


@given(texts=st.lists(LINES, min_size=1, max_size=12), sealed=st.booleans())
def test_lines_read_together_give_what_each_gives_alone(texts: list[bytes], sealed: bool) -> None:
    stream = STREAM
    if sealed:
        who = replace(RAW.column("who"), pattern=r"w\d", sealed=1)
        raw = replace(RAW, columns=(*(c for c in RAW.columns if c.name != "who"), who))
        stream = replace(STREAM, raw=replace(raw, derived=(Derived("short", "head", ("place",), length=1),)))
    lines = [Line(text, f"line {n}", "a fault" if text == WHOLE else "") for n, text in enumerate(texts)]
    now, key = since_1970(NOW), settings.hash_key()
    alone = [parse(stream, [line], now, key) for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        override(patch, stream_lines, LEAST_TOGETHER=0)
        batch = parse(stream, lines, now, key)
    assert repr(batch.rows) == repr([row for single in alone for row in single.rows])
    assert batch.dead == [letter for single in alone for letter in single.dead]
    assert batch.numbers == [number for single in alone for number in single.numbers]


@pytest.mark.parametrize("count", [1, 2 * stream_lines.LEAST_TOGETHER])
def test_zero_has_no_sign(count: int) -> None:
    take_in([[event(n, n, x=-0.0) for n in range(count)]])
    assert [repr(row["x"]) for row in logged()] == ["0.0"] * count


@given(sent=st.lists(VALID, min_size=1, max_size=9))
def test_valid_lines_are_read_together(sent: list[dict[str, Any]]) -> None:
    texts = [text for text in map(to_json, sent) if b"\\" not in text and b'" ' not in text]
    rows = together(STREAM).rows(texts, since_1970(NOW), settings.hash_key())
    assert None not in rows


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"plaec": "p1"}, "plaec is no column of swipes. Did you mean 'place'? Leave it out, or declare it: "),
     ({"whom": "w1", "who": None}, "whom is no column of swipes. Did you mean 'who'?"),
     ({"at": "2026-03-01T08:00:00"}, "at has no time zone; add Z or +01:00"),
     ({"at": "2026-02-30T08:00:00Z"}, "at is no timestamp; write it as 2026-01-31T12:00:00Z")],
)  # fmt: skip
def test_a_dead_letter_says_what_to_do(fields: dict[str, Any], reason: str) -> None:
    take_in([[{name: value for name, value in event(0, 0, **fields).items() if value is not None}]])
    (letter,) = dead_letters()
    assert letter["reason"].startswith(reason)


def test_a_dead_letter_says_how_far_in_the_future_and_what_to_do() -> None:
    take_in([[event(0, 24 * 3600 + 12)]])
    (letter,) = dead_letters()
    assert letter["reason"] == "at is 12 s in the future, and at most 10 s is allowed: set the sender's clock"


def test_a_file_that_was_replaced_becomes_a_dead_letter_and_every_line_an_event(tmp_path: Path) -> None:
    file, sink = tmp_path / "swipes.jsonl", cast(Store, Sink())
    source = open_source(settings.root(), f"jsonl:{file}", "swipes")
    for first in (0, 3):
        file.write_bytes(b"".join(to_json(event(n, n)) + b"\n" for n in range(first, first + 3)))
        job = StreamJob(settings.root(), STREAM, source, sink, settings.hash_key(), lambda: NOW)
        while job.step():
            pass
        job.close()
    assert sorted(row["id"] for row in logged()) == [f"e{n}" for n in range(6)]
    (letter,) = dead_letters()
    assert (letter["at"][:22], "is lost" in letter["reason"]) == ("swipes.jsonl at byte 3", True)
