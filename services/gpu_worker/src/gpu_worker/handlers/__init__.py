"""What a worker does: run what it is given, stop when told, and say how it is."""
