"""Keys of age, and the age tool itself."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from kit.servers import need


class Key(NamedTuple):
    """A key of age: the file with the identity, and the recipient that it opens for."""

    file: Path
    recipient: str


def make_key(path: Path) -> Key:
    """Make a key and return it."""
    subprocess.run([need("age-keygen"), "-o", str(path)], check=True, capture_output=True)
    (recipient,) = re.findall("# public key: (age1[a-z0-9]+)", path.read_text())
    return Key(path, recipient)


def open_with_age(path: Path, identity: Path) -> bytes:
    """Return what an encrypted file holds, as the age tool says."""
    return subprocess.run([need("age"), "-d", "-i", str(identity), str(path)], check=True, capture_output=True).stdout
