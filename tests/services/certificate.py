"""A certificate that servers on this machine show, signed by itself: who trusts it trusts them, and nobody else does.

Law: it is good for a day, so that nobody comes to rely on it.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.services import machine
from tests.services.process import ServiceError

if TYPE_CHECKING:
    from pathlib import Path


class Certificate:
    """Made by `openssl` when this is; its two files are in `home`."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.file, self._key = home / "certificate.pem", home / "key.pem"
        if not machine.has("openssl"):
            raise ServiceError("for connections with TLS this machine lacks openssl: install it")
        made = [
            "openssl",
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-days",
            "1",
        ]
        named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
        files = ["-out", str(self.file), "-keyout", str(self._key)]
        subprocess.run([*made, *named, *files], check=True, capture_output=True, timeout=60)

    @property
    def trusted(self) -> str:
        """What redis-py takes behind a URL to trust it."""
        return f"ssl_ca_certs={self.file}"

    def listening(self, port: int) -> dict[str, str]:
        """By name the settings of a Redis, or a Sentinel, that speaks TLS alone, also to its own kind."""
        return {
            "port": "0",
            "tls-port": str(port),
            "tls-cert-file": str(self.file),
            "tls-key-file": str(self._key),
            "tls-ca-cert-file": str(self.file),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
            "tls-cluster": "yes",
        }
