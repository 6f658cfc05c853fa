"""Past cases → the model that serves."""
