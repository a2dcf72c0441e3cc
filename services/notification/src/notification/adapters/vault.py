"""Secrets at rest, by Fernet with key rotation."""

from cryptography.fernet import Fernet, MultiFernet


class FernetVault:
    def __init__(self, keys: str) -> None:
        self._fernet = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])

    def lock(self, secret: str) -> bytes:
        return self._fernet.encrypt(secret.encode())

    def unlock(self, locked: bytes) -> str:
        return self._fernet.decrypt(locked).decode()
