"""Says from pixels and samples alone whether a model made what was asked for."""
