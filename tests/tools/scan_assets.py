"""Real things to scan, made here: Go programs that hold an old module, and an image of two platforms."""

from __future__ import annotations

import os
from pathlib import Path

from sealift.model.names import Digest, Platform
from sealift.process import run
from sealift.rehearsal.oci_writer import LayerTar, writing

CLIENT = "github.com/prometheus/client_golang"
PROMHTTP = f"{CLIENT}/prometheus/promhttp"
ENTRYPOINT = "/service"

# A vendored module has the version that go.mod says; its code may be anything, so no network is needed.
_FILES = {
    "go.mod": f"module example.test/old\n\ngo 1.24\n\nrequire {CLIENT} VERSION\n",
    "vendor/modules.txt": f"# {CLIENT} VERSION\n## explicit; go 1.24\n{PROMHTTP}\n",
    f"vendor/{PROMHTTP}/http.go": (
        "package promhttp\n\n"
        "//go:noinline\nfunc sanitizeMethod(m string) string { return m + m }\n\n"
        "func Handler(m string) string { return sanitizeMethod(m) }\n\n"
        "func Other() string { return m }\n\nvar m = string(rune(65))\n"
    ),
    "main.go": f'package main\n\nimport "{PROMHTTP}"\n\nfunc main() {{ println(promhttp.CALL) }}\n',
}


def go_program(folder: Path, arch: str, *, version: str = "v1.11.0", call: str = 'Handler("GET")') -> Path:
    """Compile a program that holds client_golang at a version, and calls one of its functions."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("VERSION", version).replace("CALL", call))
    env = os.environ | {
        "GOENV": "off",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOPROXY": "off",
        "GOOS": "linux",
        "GOARCH": arch,
        "CGO_ENABLED": "0",
    }
    program = folder / f"service-{arch}"
    run(["go", "build", "-mod=vendor", "-buildvcs=false", "-o", program, "."], cwd=folder, env=env)
    return program


def image(out: Path, programs: dict[str, Path], libssl3: dict[str, str]) -> tuple[Digest, dict[str, Digest]]:
    """Write an image as distroless makes them: one file for each Debian package, no shell, one program."""
    with writing(out) as layout:
        platforms = [
            layout.image(
                Platform(f"linux/{arch}"),
                [_debian(arch, libssl3[arch]).pack(), _service(program).pack()],
                config={"User": "65532", "Entrypoint": [ENTRYPOINT]},
                annotations={},
            )
            for arch, program in programs.items()
        ]
        index = layout.index(platforms, "latest")
    return index, {arch: Digest(found["digest"]) for arch, found in zip(programs, platforms, strict=True)}


def _debian(arch: str, libssl3: str) -> LayerTar:
    release = 'ID="debian"\nVERSION_ID="12"\nVERSION="Debian GNU/Linux 12 (bookworm)"\n'
    package = (
        f"Package: libssl3\nSource: openssl\nVersion: {libssl3}\nArchitecture: {arch}\n"
        "Maintainer: Nobody <nobody@example.test>\nDescription: made for a test\n"
    )
    return (
        LayerTar()
        .file("etc/os-release", release.encode())
        .file("etc/debian_version", b"12.12\n")
        .file("var/lib/dpkg/status.d/libssl3", package.encode())
    )


def _service(program: Path) -> LayerTar:
    return LayerTar().file(ENTRYPOINT.lstrip("/"), program.read_bytes(), 0o755)
