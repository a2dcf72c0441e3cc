"""How the tables became what they are, one file a version."""

from pathlib import Path

FOLDER = Path(__file__).parent
