"""Secrets at rest, by Fernet with key rotation."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class FernetVault:
    def __init__(self, keys: str) -> None:
        fernets = [Fernet(key.strip()) for key in keys.split(",")]
        self._first, self._all = fernets[0], MultiFernet(fernets)

    def lock(self, secret: str) -> bytes:
        return self._first.encrypt(secret.encode())

    def unlock(self, locked: bytes) -> str | None:
        try:
            return self._all.decrypt(locked).decode()
        except InvalidToken:
            return None

    def relock(self, locked: bytes) -> bytes | None:
        try:
            self._first.decrypt(locked)
        except InvalidToken:
            try:
                return self._all.rotate(locked)
            except InvalidToken:
                return None
        return locked
