"""The media libraries and storage's private table."""
