"""Trains the small models that the package ships, and grades what they draw."""
