"""Notification's private tables, the network, secrets at rest, and live watchers."""
