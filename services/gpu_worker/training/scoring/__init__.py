"""Judges media by what can be seen and heard in them, knowing nothing of the model that made them."""
