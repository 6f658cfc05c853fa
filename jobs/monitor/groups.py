"""How the logged decisions of a risk treat groups of people."""

from datetime import datetime

import numpy as np
import pandas as pd

from errors import NoData
from features.risk import Risk
from features.utc import since_1970
from jobs.monitor import log
from model.report.groups import Group, by_group
from root import Root


def logged(root: Root, risk: Risk, since: datetime | None) -> list[Group]:
    """The groups of the decisions in the audit log from `since` on, by their outcomes, after rules. Raises NoData."""
    first, mildest = -1 if since is None else since_1970(since), risk.appetite.word(0)
    assert risk.group is not None, "the command asks"
    names, approved = [], []
    for decided, _ in log.read(root.decisions, {}):
        for decision in decided:
            if decision.risk == risk.name and decision.as_of >= first:
                names.append(decision.fields.get(risk.group))
                approved.append(decision.outcome == mildest)
    if not names:
        raise NoData(f"The audit log has no decision of {risk.name}. Choose another --since, or let it decide first.")
    return by_group(pd.Series(names, dtype=object), np.array(approved), None)
