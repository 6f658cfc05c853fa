"""Past cases with their outcomes → what a policy and a model would have cost, and the thresholds that cost least."""
