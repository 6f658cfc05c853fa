"""Numbers in, score out. It knows neither Feast nor Flask, and never loads a pickle."""
