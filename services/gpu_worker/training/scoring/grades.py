"""Grades: how many prompts of each task and kind came out right."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tqdm import tqdm


class Row(NamedTuple):
    task: str
    kind: str
    right: int
    of: int


class Grades:
    def __init__(self) -> None:
        self._rights: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))

    def note(self, task: str, kind: str, prompt: str, wrong: Sequence[str]) -> None:
        """Counts what was made of a prompt, and prints what is wrong with it, if anything is."""
        self._rights[task][kind].append(not wrong)
        if wrong:
            tqdm.write(f"{prompt}: {', '.join(wrong)}")

    def rows(self) -> Iterator[Row]:
        """One for each kind, and one for all of a task behind its kinds."""
        for task, kinds in self._rights.items():
            for kind, rights in sorted(kinds.items()):
                yield Row(task, kind, sum(rights), len(rights))
            rights = [right for some in kinds.values() for right in some]
            yield Row(task, "all", sum(rights), len(rights))
