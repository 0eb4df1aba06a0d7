"""What every layer does with files: write one whole or not at all, hash one, read packaged data."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


def atomic_write(path: Path | str, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) so that a reader sees the old file or the new, never half.

    The parent folder is made where missing.

    Raises:
        OSError: the folder cannot be written, or the disk is full; it names `path`, and the old
            file is untouched.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    # The temporary file lies in the same folder because a rename is atomic on one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())  # else a power cut could leave the new name without content
        temporary.replace(path)
    except OSError as error:  # of a write to a full disk it names no file, else the temporary one
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def sha256_of(path: Path | str) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def packaged(package: str, name: str) -> Any:
    """Return what the YAML file `name` beside the modules of `package` holds."""
    return yaml.safe_load(files(package).joinpath(name).read_text("utf-8"))
