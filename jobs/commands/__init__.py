"""The commands of `python -m jobs`. What a job needs is imported when it runs: `--help` answers at once, and a wrong
name is refused before Feast is imported, which takes seconds."""

import click

from cli.edge import Group
from jobs.commands.access.key import key
from jobs.commands.access.user import user
from jobs.commands.audit import audit
from jobs.commands.build import pipeline
from jobs.commands.decisions.backtest import backtest
from jobs.commands.decisions.replay import replay
from jobs.commands.decisions.tune import tune
from jobs.commands.decisions.why import why
from jobs.commands.monitor import monitor
from jobs.commands.own.importing import import_
from jobs.commands.own.new import new
from jobs.commands.pipelines import arrived, describe, execute, list_pipelines
from jobs.commands.risk.groups import groups
from jobs.commands.risk.models import models
from jobs.commands.risk.parity import parity
from jobs.commands.risk.policy import policy
from jobs.commands.risk.score import score
from jobs.commands.risk.shadow import shadow
from jobs.commands.risk.shelve import shelve
from jobs.commands.risk.train import train
from jobs.commands.rotation import hash_key
from jobs.commands.stream import stream
from jobs.commands.upkeep import prune
from jobs.simulate import simulate


@click.group(cls=Group, context_settings={"show_default": True})
def jobs() -> None:
    """Feature tables, datasets, models, scores and streams. A job runs on a schedule, by hand, or for ever.

    Exit codes: 0 done; 1 wrong data, name, file or setting, or a comparison found a difference; 2 wrong usage; 3 busy,
    another process holds the lock; 130 interrupted.
    """


for command in (
    new, import_, pipeline, list_pipelines, describe, arrived, execute, train, shelve, models, policy, shadow, score,
    parity, replay, why, backtest, tune, stream, monitor, groups, prune, simulate, user, key,
    hash_key,
):  # fmt: skip
    jobs.add_command(command)
jobs.add_command(audit)
