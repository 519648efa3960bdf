"""The service's own password at a foreign broker, kept beside the files that `lucheng broker files` writes.

Invariants: the password stands in one file (mode 0600) and as a hash in the registry; an existing
file is kept, so that running the command again changes nothing for a running broker.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import read_secret
from devices.credentials import Credentials
from lucheng.broker_link import OWN_ACCOUNTS, give_accounts
from lucheng.rooms import open_rooms
from model.errors import StoreError

if TYPE_CHECKING:
    from config.sections import Settings

PASSWORD_NAME = "service-password"  # noqa: S105 (a file name)
PASSWORD_BYTES = 24


def service_password(data_dir: Path, settings: Settings, folder: Path) -> Path:
    """Make sure that `folder` holds a password with which our accounts may sign in; return its file.

    Takes the writer lock only when the registry has to learn a password. Raises WriterLocked then,
    when a service runs: it may itself be signed in under these accounts.
    """
    path = folder / PASSWORD_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(made, "w") as stream:
                stream.write(secrets.token_urlsafe(PASSWORD_BYTES) + "\n")
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}.", mend="Name a folder you may write with --out."
        ) from error
    password = read_secret(path)
    with open_rooms(data_dir, settings, write=not (data_dir / "registry.db").exists()) as rooms:
        credentials = Credentials(rooms.registry.file, iterations=settings.devices.password_iterations)
        known = all(credentials.verify(account, password) for account in OWN_ACCOUNTS)
    if not known:
        with open_rooms(data_dir, settings, write=True) as rooms:
            credentials = Credentials(rooms.registry.file, iterations=settings.devices.password_iterations)
            give_accounts(credentials, password)
    return path
