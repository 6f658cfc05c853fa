"""The steps from nothing to batch scores, and which must be done before which."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

import settings
from errors import NoData
from features import DOMAINS
from features.domains import raw_tables_of, risks, simulated, stream_of, streams, tables
from features.risk import Risk
from features.utc import midnight
from features.windows.live import state_of
from files import listing, sha256
from jobs.build.imports import FEATURE_STORE, REPOSITORY
from jobs.build.steps import Step
from jobs.build.work import batch, raw_events, repository, scoring, training
from jobs.build.work import streams as stream_work
from jobs.raw import places
from jobs.world.marker import Marker, World
from jobs.world.shares import shares
from model import shelf
from root import Root
from serving import acts
from serving.policy_history import HISTORY

RAW, TABLES, APPLY, MATERIALIZE = "raw events", "batch features", "feast apply", "feast materialize-incremental"


def own_domains(root: Root) -> list[str]:
    """The domains without a simulator, whose raw tables are taken as they are. Raises NoData if one is missing."""
    own = [domain for domain in DOMAINS if domain not in simulated()]
    for domain in own:
        if missing := places.missing_tables(root, raw_tables_of(domain)):
            raise NoData(
                f"The domain {domain!r} has no simulator, and {root.raw} lacks its raw events: {', '.join(missing)}. "
                f"Import them: python -m jobs import {missing[0]} FILE"
            )
    return own


def steps(root: Root, world: World, now: datetime) -> list[Step]:
    """Everything is made as of the midnight before `now`, so that a second run on the same day finds it fresh.

    What the streams write is also materialized and learned from: their states have views, and their logs have cases.
    """
    day = midnight(now)
    live = tuple(_stream_name(stream.domain) for stream in streams().values())
    return [
        *([_generate(root, world, day)] if simulated() else []),
        _tables(root, now, day),
        Step(
            APPLY,
            partial(repository.apply, root),
            lambda: [str(root), _store()],
            lambda: repository.stores(root)[:2],
            code=(REPOSITORY,),
            is_intact=partial(_is_filled, root),
            after=(TABLES,),
        ),
        *(_stream(root, stream.domain) for stream in streams().values()),
        Step(
            MATERIALIZE,
            partial(repository.materialize, root, now),
            lambda: [listing(root.features, root.raw), _store()],
            lambda: repository.stores(root),
            code=(REPOSITORY,),
            is_intact=partial(_is_filled, root),
            after=(APPLY, *live),
        ),
        *(_train(root, risk, now, live) for risk in risks().values()),
        *(_score(root, risk, now, day) for risk in risks().values() if risk.population),
    ]


def by_urgency(plan: Sequence[Step]) -> dict[str, int]:
    """Step → its place among those that could begin: first what most others wait for, then what has most parts."""

    def waiting(name: str) -> set[str]:
        return {later for step in plan if name in step.after for later in (step.name, *waiting(step.name))}

    urgent_first = sorted(plan, key=lambda step: (-len(waiting(step.name)), -(step.parts or 0)))
    return {step.name: place for place, step in enumerate(urgent_first)}


def _is_filled(root: Root) -> bool:
    """Only Feast knows what a server holds: its two steps run each time."""
    return settings.has_own_store() and repository.is_filled(root)


def _store() -> list[str]:
    """The `feature_store.yaml` in use: with another one, other stores have to be filled."""
    file = settings.feature_store()
    return [str(file), sha256(file)]


def _generate(root: Root, world: World, day: datetime) -> Step:
    domains = simulated()
    claim = partial(acts.claim_hash_key, root, world.hash_key, acts.operator(day))
    return Step(
        RAW,
        partial(raw_events.generate, root, world, day, shares(root, domains), claim),
        lambda: {**world.identity(), "day": day.isoformat(), "domains": domains},
        lambda: [root.raw],
        parts=None,
        is_intact=lambda: Marker.read(root).is_of(world, day.isoformat(), domains),
    )


def _tables(root: Root, now: datetime, day: datetime) -> Step:
    return Step(
        TABLES,
        partial(batch.features, root, day, now),
        lambda: [listing(root.raw, root.offline_logs), day.isoformat()],
        lambda: [root.feature_table(table.name) for table in tables()],
        parts=len(list(tables())),
        after=(RAW,),
    )


def _stream(root: Root, domain: str) -> Step:
    stream = stream_of(domain)

    def inputs() -> list[object]:
        """The history, and what the service has accepted. What the stream job logs is its own output."""
        history = places.history_or_none(root, stream.raw.name)
        accepted = sorted(root.event_log(stream.raw.name).glob("*.jsonl"))
        return [listing(*history), [[file.name, file.stat().st_size] for file in accepted], _store()]

    return Step(
        _stream_name(domain),
        partial(stream_work.catch_up, root, domain),
        inputs,
        lambda: [root.stream_state(domain), *(root.states(state_of(table)) for table in stream.tables)],
        code=(FEATURE_STORE,),
        is_intact=lambda: repository.is_filled(root) if settings.has_own_store() else stream_work.has_states(domain),
        after=(APPLY,),
    )


def _stream_name(domain: str) -> str:
    return f"stream {domain}"


def _train(root: Root, risk: Risk, now: datetime, live: tuple[str, ...]) -> Step:
    """A model is trained again if the files of the outcomes change, or the code that makes its features. A sign-up is a
    new raw file, so it changes the feature tables and the scores, but no model until the next day."""
    return Step(
        _train_name(risk),
        partial(training.train, root, risk, now),
        lambda: listing(*places.history_or_none(root, risk.outcomes.table.name)),
        lambda: [root.models / risk.name / shelf.CURRENT],
        parts=4,
        code=(REPOSITORY, batch.__name__),
        after=(APPLY, *live),
    )


def _train_name(risk: Risk) -> str:
    return f"train {risk.name}"


def _policies(root: Root) -> list[list[str]]:
    """Each policy and each list below the folder, with a digest of its content, and nothing of the history."""
    history = root.policies / HISTORY
    files = (path for path in sorted(root.policies.rglob("*")) if path.is_file() and history not in path.parents)
    return [[str(path.relative_to(root.policies)), sha256(path)] for path in files]


def _score(root: Root, risk: Risk, now: datetime, day: datetime) -> Step:
    return Step(
        f"score {risk.name}",
        partial(scoring.score, root, risk, now, day),
        lambda: [listing(root.features, root.raw), str(shelf.current(root.models, risk.name)), _policies(root)],
        lambda: [root.scores_db],
        parts=scoring.SCORED_MIDNIGHTS + 1,
        code=(REPOSITORY,),
        after=(MATERIALIZE, _train_name(risk)),
    )
