"""Which operator acts, as the audit keeps it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

OperatorName = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=100, strip_whitespace=True)]
"""Who acts, as they say themselves: the key proves that it is an operator, and not which one."""


@dataclass(frozen=True)
class Operator:
    """Who acts: by the name they give, where the request came from, and what ties it to the logs."""

    name: str
    address: str
    correlation_id: str
