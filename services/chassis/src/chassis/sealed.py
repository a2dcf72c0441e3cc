"""Short-lived rights that travel in an address, for browsers, which cannot send a key in a header there."""

from collections.abc import Mapping
from datetime import datetime

from contracts.errors import Unauthenticated
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic_core import from_json, to_json

LONGEST = 2048


class Seal:
    """Makes tokens that nobody else can make, read or change, and opens its own while they last.

    `keys` are Fernet keys, comma separated: the first makes tokens, all open them. A token made for one `purpose`
    is none for another, though the keys be the same.
    """

    def __init__(self, keys: str, purpose: str) -> None:
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
        self._purpose = purpose

    def seal(self, claims: Mapping[str, str], until: datetime) -> str:
        content = {"purpose": self._purpose, "until": until.timestamp(), "claims": dict(claims)}
        return self._fernet.encrypt(to_json(content)).decode()

    def open(self, token: str, now: datetime) -> Mapping[str, str]:
        """What was sealed. Raises `Unauthenticated`, the same for every reason."""
        try:
            content = from_json(self._fernet.decrypt(token[: LONGEST + 1].encode()))
        except (InvalidToken, ValueError):
            content = None
        if isinstance(content, dict) and content.get("purpose") == self._purpose:
            claims: Mapping[str, str] = content["claims"]
            if now.timestamp() < content["until"]:
                return claims
        raise Unauthenticated("this address is not good any more; ask for a new one")
