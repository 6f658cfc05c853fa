"""Numbers in, score out. Knows no Feast and no Flask, and never loads a pickle."""
