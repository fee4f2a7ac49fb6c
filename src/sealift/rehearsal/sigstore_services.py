"""The programs of a world's own Sigstore: the real Fulcio, certificate log, Rekor and timestamp authority."""

from __future__ import annotations

import sys
from pathlib import Path

from sealift.rehearsal.sigstore import LocalSigstore
from sealift.rehearsal.sigstore_keys import PASSWORD, KeyFile
from sealift.rehearsal.sigstore_trust import HOST, Profile, url
from sealift.services.ports import LOOPBACK
from sealift.services.service import HttpReady, Service


def sigstore_services(sigstore: LocalSigstore) -> list[Service]:
    """Return every service of one world's Sigstore; they may start together, in any order."""
    rekor = _rekor1(sigstore) if sigstore.profile is Profile.PUBLIC else _rekor2(sigstore)
    claims = ("--claims", str(sigstore.folder / "claims.json"))
    return [
        _issuer(sigstore, "issuer", sigstore.ports.issuer, KeyFile.ISSUER, KeyFile.ISSUER_TOKEN, *claims),
        _issuer(
            sigstore,
            "email-issuer",
            sigstore.ports.email_issuer,
            KeyFile.EMAIL_ISSUER,
            KeyFile.EMAIL_ISSUER_TOKEN,
            *("--email", sigstore.email),
        ),
        _ctlog(sigstore),
        _fulcio(sigstore),
        rekor,
        _tsa(sigstore),
    ]


def _issuer(
    sigstore: LocalSigstore, name: str, port: int, key: KeyFile, token: KeyFile, *who: str
) -> Service:
    keys = sigstore.keys
    return _service(
        sigstore,
        name,
        f"{url(port)}/.well-known/openid-configuration",
        *(sys.executable, "-I", "-m", "sealift.rehearsal.issuer", "--port", port),
        *("--key", keys / key, "--request-token-file", keys / token),
        *who,
    )


def _ctlog(sigstore: LocalSigstore) -> Service:
    keys, port = sigstore.keys, sigstore.ports.ctlog
    return _service(
        sigstore,
        "ctlog",
        f"{url(port)}/healthz",
        *("ctlog", "-addr", f"{LOOPBACK}:{port}", "-dir", sigstore.folder / "ctlog", "-origin", HOST),
        *("-key", keys / KeyFile.CT, "-roots", keys / KeyFile.FULCIO_ROOT),
    )


def _fulcio(sigstore: LocalSigstore) -> Service:
    keys, port = sigstore.keys, sigstore.ports.fulcio
    return _service(
        sigstore,
        "fulcio",
        f"{url(port)}/healthz",
        *("fulcio", "serve", "--config-path", sigstore.folder / "fulcio.yaml", "--log_type", "prod"),
        *(
            "--host",
            LOOPBACK,
            "--port",
            port,
            "--grpc-host",
            LOOPBACK,
            "--grpc-port",
            sigstore.ports.fulcio_grpc,
        ),
        # Its name is one for the whole machine, and two worlds would share the default.
        *("--legacy-unix-domain-socket", f"@fulcio-{port}"),
        # Any free one, and nobody asks for it: fixed, it would be :2112 in every world.
        *("--metrics-port", 0),
        *("--ca", "fileca", "--fileca-watch=false", "--fileca-cert", keys / KeyFile.FULCIO_ROOT),
        *("--fileca-key", keys / KeyFile.FULCIO, "--fileca-key-passwd", PASSWORD),
        *("--ct-log-url", url(sigstore.ports.ctlog), "--ct-log-public-key-path", keys / KeyFile.CT_PUBLIC),
    )


def _rekor1(sigstore: LocalSigstore) -> Service:
    port = sigstore.ports.rekor1
    return _service(
        sigstore,
        "rekor1",
        f"{url(port)}/ping",
        *("rekor1", "serve", "--rekor_server.address", LOOPBACK, "--host", LOOPBACK, "--port", port),
        *("--rekor_server.hostname", HOST, "--rekor_server.signer", sigstore.keys / KeyFile.REKOR_V1),
        *("--log_type", "prod"),
    )


def _rekor2(sigstore: LocalSigstore) -> Service:
    ports = sigstore.ports
    return _service(
        sigstore,
        "rekor-server",
        f"{url(ports.rekor2)}/healthz",
        *("rekor-server", "serve", "--http-address", LOOPBACK, "--http-port", ports.rekor2),
        *("--grpc-address", LOOPBACK, "--grpc-port", ports.rekor2_grpc),
        # The host name is the checkpoints' origin, and must be that of the log's address.
        *("--http-metrics-port", ports.rekor2_metrics, "--hostname", HOST),
        *("--storage-dir", sigstore.folder / "rekor2", "--signer-filepath", sigstore.keys / KeyFile.REKOR_V2),
        # An entry waits for the next checkpoint; the default is ten seconds.
        *("--checkpoint-interval", "500ms", "--log-level", "warn"),
    )


def _tsa(sigstore: LocalSigstore) -> Service:
    keys, port = sigstore.keys, sigstore.ports.tsa
    return _service(
        sigstore,
        "tsa",
        f"{url(port)}/ping",
        *("tsa", "-port", port, "-key", keys / KeyFile.TSA, "-password", PASSWORD),
        *("-chain", keys / KeyFile.TSA_CHAIN),
    )


def _service(sigstore: LocalSigstore, name: str, ready: str, *argv: str | Path | int) -> Service:
    return Service(
        name=name,
        argv=tuple(map(str, argv)),
        ready=HttpReady(ready),
        log=sigstore.folder / "logs" / f"{name}.log",
        # Each would say where it sends its traces; it sends none.
        env={"OTEL_METRICS_EXPORTER": "none", "OTEL_TRACES_EXPORTER": "none"},
        cwd=sigstore.folder,
    )
