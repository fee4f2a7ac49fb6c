"""What a failed download of the Go advisory database says, without a server."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import OutsideError
from sealift.tools import govulncheck
from sealift.tools.http import Answer, Http

TRUST = "export SSL_CERT_FILE=FILE"


def test_a_certificate_that_is_not_trusted_keeps_its_own_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ask(*_: Any, **__: Any) -> Answer:
        raise OutsideError("vuln.go.dev", next_step=TRUST, again=False) from ssl.SSLCertVerificationError()

    monkeypatch.setattr(Http, "ask", ask)
    with pytest.raises(OutsideError, match=TRUST) as caught:
        govulncheck.download_database(tmp_path / "go")
    assert not caught.value.again


def test_a_refusal_names_the_address_to_look_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gone = Answer(url=govulncheck.WHOLE_DATABASE, status=404, headers={}, body=b"")
    monkeypatch.setattr(Http, "ask", lambda *_, **__: gone)
    with pytest.raises(OutsideError, match="is still its place"):
        govulncheck.download_database(tmp_path / "go")
