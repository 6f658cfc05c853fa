"""The stream job on Flink: the same steps as `jobs/stream/kafka`, on another engine.

    the source topic, by event id
        → `Remember`: what is no event is a dead letter; duplicates end here; what is new is an event
        → `Fold`, by key: the rows with their numbers, and the states
        → topics of dead letters, of events, of the rows of each key, and of the states of each table, all in Flink's
          Kafka transactions
    → `sinks`, workers on Quix Streams: events to the offline log, rows to the keyed log, states to the online store

Flink keeps what both steps keep in RocksDB, and copies it to a folder at each checkpoint, together with the offsets. A
checkpoint commits the transactions. So a job that was killed goes on from its last checkpoint, and what it had sent
since then is read by nobody.

`job.py` and `functions.py` run in an environment of their own, `.venv-flink`. Flink needs other versions of libraries,
and has neither Feast nor Quix Streams there. So they import nothing of these, nor does what they import.
"""
