"""Short-lived rights that travel in an address, for browsers, which cannot send a key in a header there."""

import base64
from collections.abc import Mapping
from datetime import datetime

from contracts.errors import Unauthenticated
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic_core import from_json, to_json

LONGEST = 2048
Claims = Mapping[str, str | None]


class Seal:
    """Makes tokens that nobody else can make, read or change, and opens its own while they last.

    `keys` are Fernet keys, comma separated: the first makes tokens, all open them. What is used are keys derived
    from them for this `purpose` alone, so that nothing that was sealed or encrypted for another is a token here.
    Every replica with the keys opens what any of them made, and none keeps anything.
    """

    def __init__(self, keys: str, purpose: str) -> None:
        self._fernet = MultiFernet([_derived(key.strip(), purpose) for key in keys.split(",")])

    def seal(self, claims: Claims, until: datetime) -> str:
        content = to_json({"until": until.timestamp(), "claims": dict(claims)})
        # Padding would have to be written otherwise in an address.
        return self._fernet.encrypt(content).decode().rstrip("=")

    def open(self, token: str, now: datetime) -> Claims:
        """What was sealed. Raises `Unauthenticated`, the same for every reason."""
        padded = token[: LONGEST + 1] + "=" * (-len(token) % 4)
        try:
            content = from_json(self._fernet.decrypt(padded.encode()))
        except InvalidToken:
            content = None
        if content is None or now.timestamp() >= content["until"]:
            raise Unauthenticated("this address is not good, or not any more; ask for a new one")
        claims: Claims = content["claims"]
        return claims


def _derived(key: str, purpose: str) -> Fernet:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"movie-tasks " + purpose.encode())
    return Fernet(base64.urlsafe_b64encode(derived.derive(base64.urlsafe_b64decode(key))))
