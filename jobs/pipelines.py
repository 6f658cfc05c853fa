"""Every pipeline by its name: a feature table is `feature_store.<table>`, a risk's past cases `dataset.<risk>`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from choices import unknown
from features import DOMAINS
from features.domains import NO_RISK, risks_of, tables_of
from features.risk import Risk
from features.windows.tables import Feature, Table
from root import Root


@dataclass(frozen=True)
class Pipeline:
    """A feature table or a dataset. `entity` names its key columns, `sources` what it reads, `sink` is the folder that
    it writes, and `after` names the pipelines whose output it reads."""

    name: str
    domain: str
    description: str
    entity: tuple[str, ...]
    sources: tuple[str, ...]
    features: tuple[Feature, ...]
    sink: Path
    after: tuple[str, ...]
    definition: Table | Risk

    def as_json(self) -> dict[str, Any]:
        """All of it but the definition, as JSON can hold it."""
        return {
            **{k: v for k, v in vars(self).items() if k not in ("definition", "features", "sink")},
            "sink": str(self.sink),
            "features": [asdict(feature) for feature in self.features],
        }


def pipelines(root: Root) -> dict[str, Pipeline]:
    """Every pipeline by its name, each after those that it reads."""
    return {pipeline.name: pipeline for pipeline in (*_tables(root), *_datasets(root))}


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
                else Feature(name, dtype, None, "", "On demand, at the time of the case.")
                for name, f, dtype in inputs
            )  # fmt: skip
            yield Pipeline(
                f"dataset.{risk.name}", domain, f"{risk.title}: past cases, their features just before, and labels.",
                risk.entity_keys, (f"raw/{risk.outcomes.table.name}", f"feast service {risk.name}"), features,
                root.dataset(risk.name), after, risk,
            )  # fmt: skip
