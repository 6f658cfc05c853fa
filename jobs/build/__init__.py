"""Everything, from raw events to batch scores; each step is redone only if it is stale."""
