"""Events as they happen → states, online features and the offline log."""
