"""The stream job on Kafka, for more events than one machine takes: any number of workers share the partitions of a
topic. Quix Streams reads, repartitions, keeps the state of each key, and commits all of it in one Kafka transaction.
Ours is what it calls: the check, and the pure steps of `features/windows/keyed`.

    the source topic, by event id
        → checked: what is no event goes to the dead-letter topic
        → `remember`: duplicates end here; new versions go to the offline log, and to each keyed topic
    a keyed topic for the tables of one key
        → `step`: the state goes to the online store
"""
