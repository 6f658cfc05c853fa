"""`python -m jobs new`: the files of a domain, and the import of the file that it was written from, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from errors import BadParameter, NoData
from features import DOMAINS
from features.domains import live_of, raw_tables, streams, tables
from jobs.own import importing, mapping
from jobs.own.new import spec as specs
from jobs.own.new.spec import Spec
from root import Root

DAY = timedelta(days=1)
#: An earlier event to learn from, and a later one for the test.
FEWEST_OF_A_KIND = 2


@dataclass(frozen=True)
class Created:
    """What was written. `bad` of the `known` events ended badly."""

    files: tuple[Path, ...]
    report: importing.Report
    known: int
    bad: int


def create(
    root: Root,
    project: Path,
    spec: Spec,
    files: Sequence[Path],
    now: datetime,
    hash_key: bytes,
    is_only: bool,
    quarantine: Path | None,
) -> Created:
    """Write the domain's files, its mapping, its line in `DOMAINS`, and import the files. With `is_only` no other
    domain is left in `DOMAINS`; their files stay. Raises BadParameter, BadInput, NoData, Busy; nothing is changed
    then."""
    specs.check(spec, project, DOMAINS, _table_names())
    kept = mapping.path_of(project / "sources", spec.table)
    if kept.exists():
        raise BadParameter(f"{kept} is there. Choose another name: --table NAME, or remove the file.")
    if any(root.raw_table(spec.table).glob("[!.]*")):
        raise BadParameter(f"{root.raw_table(spec.table)} has rows. Choose another name: --table NAME, or remove them.")
    with importing.table_lock(root, spec.raw):
        report, contents = importing.prepare(root, spec.raw, files, spec.mapping, now, hash_key, quarantine)
        known, bad = _labels(spec, report, contents, now)
        texts = specs.files(spec, project, bad / known)
        if taken := [path for path in texts if path.exists()]:
            raise BadParameter(f"{taken[0]} is there. Choose another name for the domain, or remove the file.")
        texts |= {kept: spec.mapping.text()} | _switches(project, spec.domain, is_only)
        importing.write({**contents, **{path: text.encode() for path, text in texts.items()}})
    return Created(tuple(texts), report, known, bad)


def _table_names() -> list[str]:
    live = [table.name for stream in streams().values() for table in stream.tables]
    live += [features.name for domain in DOMAINS for features in live_of(domain)]
    return [*raw_tables(), *(table.name for table in tables()), *live]


def _labels(
    spec: Spec, report: importing.Report, contents: dict[Path, bytes | pa.Table], now: datetime
) -> tuple[int, int]:
    """How many events have a known end, and how many of these a bad one. Raises NoData where there is too little to
    learn from, with what is wrong with the rows that are not kept."""
    rest = f" {lost}" if (lost := " ".join(filter(None, [report.first_faults, *report.remedies]))) else ""
    written = (content for content in contents.values() if isinstance(content, pa.Table))
    events = [table for table in written if spec.id in table.schema.names]
    if not events:
        raise NoData(f"No row is kept.{rest} Correct the file, or what you state about it. Nothing was changed.")
    table = pa.concat_tables(events)
    mature = table.filter(
        pc.less_equal(table[spec.time], pa.scalar(now - spec.known_after * DAY, table[spec.time].type))
    )
    bad = len(mature) - mature[spec.happened].null_count
    known = len(mature) if spec.is_dated else len(mature) - mature[spec.label].null_count
    if min(bad, known - bad) < FEWEST_OF_A_KIND:
        raise NoData(
            f"Of {len(table):,} events, {len(mature):,} are older than {spec.known_after} days, so that their end is "
            f"known. {bad:,} of them have the label {spec.label}, and {known - bad:,} have not. A model needs "
            f"{FEWEST_OF_A_KIND} of each. Bring older events, or check --label, --label-after, --true and --false."
            f"{rest}"
        )
    return known, bad


def _switches(project: Path, domain: str, is_only: bool) -> dict[Path, str]:
    """The line of the domains; and what `feast apply` leaves out, if only the new one is left."""
    init = project / "feature_repo/features/__init__.py"
    domains = (domain,) if is_only else (*DOMAINS, domain)
    texts = {init: specs.with_domain(init.read_text("utf-8"), domains)}
    ignored = project / "feature_repo/.feastignore"
    if is_only:
        lines = ignored.read_text("utf-8").splitlines() if ignored.exists() else []
        lines += [line for other in DOMAINS if (line := f"views/{other}.py") not in lines]
        texts[ignored] = "".join(f"{line}\n" for line in lines)
    return texts
