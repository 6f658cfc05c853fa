"""Decides about the requests in a file, with the online features of now, and writes the decisions to another file.
Every decision is in the audit log before it is in the file."""

import csv
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

from errors import BadInput, BadParameter, BadRequest, Busy
from features.risk import Risk
from files import locked, replacing
from jobs.requests.reading import Read, pieces, read
from jobs.score import CALLER, ids_of
from model.scorer import Scorers
from root import Root
from serving import audit, featurization
from serving.call import Call
from serving.policies import Policies
from serving.service import decide_all
from serving.store import Row, Store

#: Requests that are decided at a time.
CHUNK_ROWS = 10_000
OUTPUTS = (".csv", ".parquet")
_REASONS = pa.list_(pa.struct({"code": pa.string(), "text": pa.string(), "contribution": pa.float64()}))
_DECIDED = {"decision": pa.string(), "score": pa.float64(), "reasons": _REASONS, "decision_id": pa.string()}
_TYPES = {"INT64": pa.int64(), "INT32": pa.int64(), "DOUBLE": pa.float64(), "FLOAT": pa.float64(), "BOOL": pa.bool_()}
_TYPES["UNIX_TIMESTAMP"] = pa.timestamp("us", "UTC")


@dataclass
class Counts:
    """How many rows the file has, how many are quarantined, and how many decisions an earlier run had logged."""

    rows: int = 0
    quarantined: int = 0
    repeated: int = 0


def decide_file(
    root: Root,
    store: Store,
    hash_key: bytes,
    risk: Risk,
    source: Path,
    target: Path,
    as_of: datetime,
    quarantine: Path | None = None,
) -> Counts:
    """Decide about every request in `source`, and write `target`, a row each, in the order of the requests: `row`,
    their number in the file; the request, with hashes for secrets; decision, score, reasons and `decision_id`.

    Invalid rows go to `quarantine`, a CSV file with row, reason and text. Without one, a first pass over the file looks
    for invalid rows, and then nothing is decided. The decision about a request, as of a timestamp, by a version of the
    model is made once: a second run takes it from the log. Raises BadInput, BadParameter, Busy, FeaturesNotReady,
    ModelNotTrained, ModelBroken, PolicyBroken, AuditUnavailable.
    """
    if target.suffix not in OUTPUTS:
        raise BadParameter(f"--output {target} ends in neither .csv nor .parquet. Give a name that does.")
    for file in filter(None, (target, quarantine)):
        if file.exists():
            raise BadParameter(f"{file} exists. Give another name, or remove it first.")
    scorer, policy = Scorers(root.models)[risk.name], Policies(root.policies, store).deciding(risk, as_of)
    decision_id, views, counts = ids_of(risk, scorer.card.version, as_of), store.views(risk.name), Counts()
    if quarantine is None:
        _check(source, risk, as_of, hash_key)
    busy = Busy(f"Another run decides about a file of {risk.name} in {root}. Wait for it.")
    with ExitStack() as stack:
        stack.enter_context(locked(audit.index(root.decisions) / f"{risk.name}.lock", busy))
        known = stack.enter_context(closing(_Known()))
        known.add(audit.logged(root.decisions, risk, as_of))
        put_aside = stack.enter_context(_quarantine(quarantine))
        output = stack.enter_context(_output(target, store.asks(risk.name)))
        for piece in pieces(read(source, risk), CHUNK_ROWS):
            counts.rows += len(piece)
            rows = [(line, *_row(line, as_of, hash_key)) for line in piece]
            valid = [(line, row) for line, row, reason in rows if row is not None and not reason]
            ids = [decision_id(row) for _, row in valid]
            taken = known.with_ids(ids)
            # Features are read for new requests only: the store may have newer ones than those of an earlier run.
            new = {number: pair for number, pair in zip(ids, valid, strict=True) if number not in taken}
            call = Call(CALLER, timer=time.perf_counter_ns)
            with call.step("retrieve"):
                features, times, are_unknown = _features(store, risk, [row for _, row in new.values()], as_of)
            unknown = {number for number, is_unknown in zip(new, are_unknown, strict=True) if is_unknown}
            bad = [(line, reason) for line, _, reason in rows if reason]
            bad += [(line, "is not known") for number, (line, _) in zip(ids, valid, strict=True) if number in unknown]
            if bad and quarantine is None:
                raise BadInput(f"{source}: row {bad[0][0].number} {bad[0][1]}. Mend it, or give --quarantine PATH.")
            counts.quarantined += len(bad)
            put_aside(sorted(bad, key=lambda pair: pair[0].number))
            counts.repeated += sum(number in taken for number in ids)
            with call.step("featurize"):
                decided = [
                    (line, row, featurization.complete(values, views), by_view)
                    for (number, (line, row)), values, by_view in zip(new.items(), features, times, strict=True)
                    if number not in unknown
                ]
            if decided:
                lines, new_rows, new_features, new_times = zip(*decided, strict=True)
                fields = [line.request.fields(row, hash_key) for line, row in zip(lines, new_rows, strict=True)]
                made = decide_all(
                    scorer, risk, policy, new_rows, fields, new_features, as_of, root.decisions, call, decision_id,
                    views, new_times,
                )  # fmt: skip
                call.settle()
                known.add([decision.as_json() for decision in made])
                taken = known.with_ids(ids)
            output([(line.number, row, taken[n]) for n, (line, row) in zip(ids, valid, strict=True) if n in taken])
    return counts


def _check(source: Path, risk: Risk, as_of: datetime, hash_key: bytes) -> None:
    """Raises BadInput on the first invalid row."""
    for line in read(source, risk):
        _, reason = _row(line, as_of, hash_key)
        if reason:
            raise BadInput(
                f"{source}: row {line.number} is invalid: {reason}. Nothing was decided; mend it, or give --quarantine "
                "PATH."
            )


def _row(line: Read, as_of: datetime, hash_key: bytes) -> tuple[Row | None, str]:
    """The row of a request, or the reason why there is none."""
    if line.request is None:
        return None, line.reason
    try:
        return line.request.row(as_of, hash_key), ""
    except BadRequest as error:
        return None, error.message


def _features(
    store: Store, risk: Risk, rows: Sequence[Row], as_of: datetime
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, datetime | None]], list[bool]]:
    """The online features of the rows, their event times by view, and whether each entity is unknown."""
    if not rows:
        return [], [], []
    if risk.known_by is None:
        return *store.online_many(risk, rows, as_of), [False] * len(rows)
    # `online_many` refuses all rows where one entity is unknown.
    vectors, views = store.vectors(risk.name, rows, as_of, as_of), store.views(risk.name)
    features = [vector.features for vector in vectors]
    times = [{views[name]: time for name, time in vector.event_timestamps.items()} for vector in vectors]
    return features, times, [values[risk.known_by] is None for values in features]


class _Known:
    """Decisions that are made, by id, in a temporary file: memory does not grow with them."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE made (id TEXT PRIMARY KEY, decision TEXT) WITHOUT ROWID")

    def add(self, decisions: Iterable[Mapping[str, Any]]) -> None:
        """Keep what the output has of each."""
        rows = ((d["decision_id"], to_json({name: d[name] for name in _DECIDED})) for d in decisions)
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO made VALUES (?, ?)", rows)
        self._db.execute("COMMIT")

    def with_ids(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those with these ids."""
        query = "SELECT made.id, decision FROM json_each(?) JOIN made ON made.id = value"
        return {number: from_json(text) for number, text in self._db.execute(query, (to_json(ids).decode(),))}

    def close(self) -> None:
        """The file goes away."""
        self._db.close()


@contextmanager
def _quarantine(path: Path | None) -> Iterator[Any]:
    """A function that writes invalid rows with their reasons."""
    if path is None:
        yield lambda bad: None
        return
    with replacing(path) as beside, open(beside, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "reason", "text"])
        yield lambda bad: writer.writerows((line.number, reason, line.text) for line, reason in bad)


@contextmanager
def _output(path: Path, types: Mapping[str, str]) -> Iterator[Any]:
    """A function that writes decided rows: number, row of the request, decision."""
    with replacing(path) as beside, ExitStack() as stack:
        writer: Any = None

        def begin(names: Iterable[str]) -> Any:
            columns = {"row": pa.int64(), **{name: _TYPES.get(types.get(name, ""), pa.string()) for name in names}}
            return stack.enter_context(_writer(beside, path.suffix, pa.schema([*(columns | _DECIDED).items()])))

        def write(rows: Sequence[tuple[int, Row, Mapping[str, Any]]]) -> None:
            nonlocal writer
            if rows:
                writer = writer or begin(rows[0][1])
                writer([{"row": n, **row, **{name: decision[name] for name in _DECIDED}} for n, row, decision in rows])

        yield write
        if writer is None:
            begin(types)


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Any]:
    if suffix == ".parquet":
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            yield lambda rows: writer.write_table(pa.Table.from_pylist(rows, schema)) if rows else None
        return
    with open(path, "w", newline="") as file:
        texts = csv.writer(file)
        texts.writerow(schema.names)
        yield lambda rows: texts.writerows([_cell(row[name]) for name in schema.names] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return to_json(value).decode() if isinstance(value, list | tuple | dict) else value
