"""Every pipeline by its name: a feature table is `feature_store.<table>`, a risk's past cases `dataset.<risk>`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from errors import unknown
from features import DOMAINS
from features.domains import NO_RISK, risks_of, tables_of
from features.risk import Risk
from features.windows.aggregation import Feature, Table
from root import Root


@dataclass(frozen=True)
class Pipeline:
    """`after` names the pipelines whose output this one reads."""

    name: str
    domain: str
    description: str
    entity: tuple[str, ...]
    sources: tuple[str, ...]
    features: tuple[Feature, ...]
    sink: Path
    after: tuple[str, ...]
    of: Table | Risk

    def as_json(self) -> dict[str, Any]:
        return {
            **{k: v for k, v in vars(self).items() if k not in ("of", "features", "sink")},
            "sink": str(self.sink),
            "features": [asdict(feature) for feature in self.features],
        }

    def __str__(self) -> str:
        rows = [("feature", "type", "window", "unit", "description")]
        rows += [(f.name, f.dtype, f.window or "–", f.unit or "–", f.description) for f in self.features]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = "\n".join(
            "  " + "  ".join(c.ljust(w) for c, w in zip(row, (*widths, 0), strict=True)).rstrip() for row in rows
        )
        facts = {
            "entity": ", ".join(self.entity), "sources": ", ".join(self.sources), "after": ", ".join(self.after) or "–",
            "sink": f"{self.sink}/year=…/month=…/day=…/",
        }  # fmt: skip
        head = "\n".join(f"  {name:<8} {fact}" for name, fact in facts.items())
        return f"{self.name}: {self.description}\n{head}\n\n{table}"


def pipelines(root: Root) -> dict[str, Pipeline]:
    """All of them, in an order in which each comes after what it reads."""
    made = [*_tables(root), *_datasets(root)]
    return {pipeline.name: pipeline for pipeline in made}


def named(root: Root, name: str) -> Pipeline:
    """The pipeline with this name. Raises BadParameter."""
    by_name = pipelines(root)
    if name not in by_name:
        raise unknown("pipeline", name, by_name, NO_RISK)
    return by_name[name]


def _tables(root: Root) -> Iterator[Pipeline]:
    for domain in DOMAINS:
        for table in tables_of(domain):
            yield Pipeline(
                f"feature_store.{table.name}", domain, table.description, (table.key,), (f"raw/{table.source.name}",),
                table.features, root.feature_table(table.name), (), table,
            )  # fmt: skip


def _datasets(root: Root) -> Iterator[Pipeline]:
    for domain in DOMAINS:
        tables = {feature.name: feature for table in tables_of(domain) for feature in table.features}
        after = tuple(f"feature_store.{table.name}" for table in tables_of(domain))
        for risk in risks_of(domain):
            inputs = [(i.name, tables.get(i.name.split("__")[-1]), i.dtype) for i in risk.inputs]
            features = tuple(
                Feature(name, f.dtype, f.window, f.unit, f.description) if f
                else Feature(name, dtype, None, "", "On demand, at the moment of the case.")
                for name, f, dtype in inputs
            )  # fmt: skip
            yield Pipeline(
                f"dataset.{risk.name}", domain, f"{risk.title}: past cases, their features just before, and labels.",
                risk.entity_keys, (f"raw/{risk.outcomes.table.name}", f"feast service {risk.name}"), features,
                root.dataset(risk.name), after, risk,
            )  # fmt: skip
