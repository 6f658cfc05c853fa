"""Where everything that is made lies: one value, built at the edge (`settings.root()`) and handed on."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: What the made-up data of one seed, size and hash key leave behind. Another world replaces all of it.
WORLD = (
    "raw", "sign-ups", "features", "states", "datasets", "events", "keyed", "log", "dead_letters", "streams",
    "registry.db*", "online.db*", "scores.db*", "materialized", "world.json",
)  # fmt: skip
#: What outlives a world: trained models and the decisions that were taken, and the pipeline's own files.
KEPT = (
    "models",
    "policies",
    "shadow",
    "decisions",
    "decisions.heads",
    "decisions.index",
    "outcomes",
    "answers",
    "counters",
    "cases",
    "cases.heads",
    "cases.lock",
    "replaced",
    "hash-key",
    "monitor.db*",
    "monitor.lock",
    "hash-key.lock",
    "rekeyed.jsonl",
    "pipeline.json",
    "pipeline.lock",
    "registry.lock",
    "sign-up.lock",
    "access.db*",
    "sessions.db*",
)


@dataclass(frozen=True)
class Root:
    """A folder and the layout below it. Two roots never touch each other. `path` is absolute."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def world(self) -> list[Path]:
        """The folders and files of the present world that exist."""
        return [path for name in WORLD for path in sorted(self.path.glob(name))]

    @property
    def raw(self) -> Path:
        """Folder of the raw tables."""
        return self.path / "raw"

    def raw_table(self, table: str) -> Path:
        """Folder of one raw table; a table of one file is the same path with its suffix."""
        return self.raw / table

    @property
    def features(self) -> Path:
        """Folder of the feature tables."""
        return self.path / "features"

    def feature_table(self, table: str) -> Path:
        """Folder of one feature table, Hive-partitioned by year, month and day."""
        return self.features / table

    def states(self, view: str) -> Path:
        """Folder of what a live view held at times, Hive-partitioned by the day on which it was written."""
        return self.path / "states" / view

    def dataset(self, risk: str) -> Path:
        """Folder of a risk's past cases, Hive-partitioned by year, month and day."""
        return self.path / "datasets" / risk

    @property
    def event_logs(self) -> Path:
        """Folder of the event logs, one folder for each stream."""
        return self.path / "log"

    def event_log(self, stream: str) -> Path:
        """Folder of the events that the service has accepted: JSON lines, a file a day."""
        return self.event_logs / stream

    @property
    def offline_logs(self) -> Path:
        """Folder of the offline logs, one folder for each stream."""
        return self.path / "events"

    def offline_log(self, stream: str) -> Path:
        """Folder of the events that the stream job has processed: Parquet, Hive-partitioned by the event's day."""
        return self.offline_logs / stream

    def keyed_log(self, stream: str, keys: Iterable[str]) -> Path:
        """Folder of the rows of a keyed topic that an engine on Kafka has processed: Parquet, Hive-partitioned by the
        partition of the topic, and by the day of processing."""
        return self.keyed_logs(stream) / "-".join(keys)

    def keyed_logs(self, stream: str) -> Path:
        """Folder of the keyed logs of a stream."""
        return self.path / "keyed" / stream

    def dead_letters(self, stream: str) -> Path:
        """Folder of the lines that are no valid events, each with the reason."""
        return self.path / "dead_letters" / stream

    def stream_state(self, domain: str) -> Path:
        """SQLite file of a stream job: states, ids that are already processed, and how far it has read."""
        return self.path / "streams" / f"{domain}.db"

    def kafka_states(self, group: str) -> Path:
        """Folder of what the workers of a stream job on Kafka keep, a folder for each. The brokers have all of it."""
        return self.path / "streams" / group

    @property
    def models(self) -> Path:
        """Folder of the trained models."""
        return self.path / "models"

    @property
    def policies(self) -> Path:
        """Folder of the policy files, one for each risk that has one, and of the lists that they name."""
        return self.path / "policies"

    @property
    def shadow(self) -> Path:
        """Folder of the shadows: what they are, a file for each risk, and their decisions, a file a day."""
        return self.path / "shadow"

    @property
    def decisions(self) -> Path:
        """Folder of the audit log, a file a day."""
        return self.path / "decisions"

    @property
    def outcomes(self) -> Path:
        """Folder of the outcomes that callers have fed back about decisions, a file a day."""
        return self.path / "outcomes"

    @property
    def cases(self) -> Path:
        """Folder of what people and commands did about cases, users, keys, models and policies, a file a day."""
        return self.path / "cases"

    @property
    def access_db(self) -> Path:
        """SQLite file of the users and the API keys."""
        return self.path / "access.db"

    @property
    def sessions_db(self) -> Path:
        """SQLite file of the refresh tokens and the browsers' sessions."""
        return self.path / "sessions.db"

    @property
    def monitor_db(self) -> Path:
        """SQLite file of the monitor: how far it has read the audit log, windows and alarms."""
        return self.path / "monitor.db"

    @property
    def monitor_lock(self) -> Path:
        """A file that is locked while a monitor works."""
        return self.path / "monitor.lock"

    @property
    def counters(self) -> Path:
        """File of how much each caller and address has done in the running seconds and minutes."""
        return self.path / "counters"

    @property
    def answers(self) -> Path:
        """Folder of the answers of a day that have an `Idempotency-Key`: a SQLite file, and locks."""
        return self.path / "answers"

    @property
    def published_heads(self) -> Path:
        """The heads of the audit log's chain: JSON lines, of which a copy is to be kept elsewhere."""
        return self.path / "decisions.heads"

    @property
    def scores_db(self) -> Path:
        """SQLite file of the last batch scores."""
        return self.path / "scores.db"

    @property
    def registry_db(self) -> Path:
        """Feast's registry."""
        return self.path / "registry.db"

    @property
    def online_db(self) -> Path:
        """Feast's online store."""
        return self.path / "online.db"

    @property
    def materialized(self) -> Path:
        """A mark: the online store holds what the registry says was materialized. It lists the tables with rows."""
        return self.path / "materialized"

    @property
    def sign_ups(self) -> Path:
        """Folder of the sign-ups that were begun and are not finished, a JSON file each. It is empty nearly always."""
        return self.path / "sign-ups"

    @property
    def sign_up_lock(self) -> Path:
        """A file that is locked while somebody signs up."""
        return self.path / "sign-up.lock"

    @property
    def pipeline_fingerprints(self) -> Path:
        """What each step of the pipeline rested on when it last finished."""
        return self.path / "pipeline.json"

    @property
    def generated(self) -> Path:
        """Which raw files were generated, by digest, and the world that they belong to: JSON."""
        return self.path / "world.json"

    @property
    def replaced(self) -> Path:
        """Folder of what `--replace-demo` has moved aside, a folder for each time."""
        return self.path / "replaced"

    @property
    def hash_key(self) -> Path:
        """The check value of the hash key that this root belongs to. It does not tell the key."""
        return self.path / "hash-key"

    @property
    def rekeyed(self) -> Path:
        """Which keyed hashes of the key before were moved to the present one: JSON lines."""
        return self.path / "rekeyed.jsonl"

    @property
    def pipeline_lock(self) -> Path:
        """A file that is locked while a pipeline works on this root."""
        return self.path / "pipeline.lock"
