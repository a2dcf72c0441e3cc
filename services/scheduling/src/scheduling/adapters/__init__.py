"""Scheduling's private tables and its memory of the workers."""
