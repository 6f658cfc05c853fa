"""Why a logged decision has its features: the definition of each in words, and the raw events that it folded."""
