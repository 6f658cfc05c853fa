"""How the logged decisions of a risk treat groups of people."""

from datetime import datetime

import numpy as np
import pandas as pd

from errors import NoData
from features.risk import Risk
from features.utc import since_1970
from jobs.monitor import log
from jobs.monitor.performance import outcomes
from model.report.groups import Group, by_group
from root import Root


def logged(root: Root, risk: Risk, since: datetime | None) -> list[Group]:
    """The groups of the decisions in the audit log from `since` on, by what was decided, after rules. The error rates
    are of those about which outcomes were fed back. Raises NoData, RootBroken."""
    first, mildest = -1 if since is None else since_1970(since), risk.appetite.word(0)
    assert risk.group is not None, "the command asks"
    known = {record["decision_id"]: outcome for record, outcome in outcomes(root) if record["risk"] == risk.name}
    names, approved, labels = [], [], []
    for decided, _ in log.read(root.decisions, {}):
        for decision in decided:
            if decision.risk == risk.name and decision.as_of >= first:
                names.append(decision.fields.get(risk.group))
                approved.append(decision.outcome == mildest)
                labels.append(known.get(decision.decision_id, np.nan))
    if not names:
        raise NoData(f"The audit log has no decision of {risk.name}. Choose another --since, or let it decide first.")
    return by_group(
        pd.Series(names, dtype=object),
        np.array(approved),
        np.array(labels) if known and risk.task == "classification" else None,
    )
