"""What is in distroless' ``static`` and ``base`` with the tag ``nonroot``, layer by layer.

The packages of a suite without their dependencies, one layer each, and between them the few files that no
package brings: https://github.com/GoogleContainerTools/distroless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from sealift.errors import UsageError
from sealift.rehearsal.debian import Deb, contents
from sealift.rehearsal.oci_writer import LayerTar

Kind = Literal["static", "base"]
SuiteName = Literal["debian12", "debian13"]
Tree = Callable[[], LayerTar]

KINDS: tuple[Kind, ...] = ("static", "base")
CERTIFICATES = "ca-certificates"
SOURCE = "https://github.com/GoogleContainerTools/distroless"
CONFIG = {
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    ],
    "User": "65532",
    "WorkingDir": "/home/nonroot",
}
ANNOTATIONS = {"org.opencontainers.image.source": SOURCE}
NONROOT = 65532
USERS = (("root", 0, "/root"), ("nobody", 65534, "/nonexistent"), ("nonroot", NONROOT, "/home/nonroot"))
GROUPS = (("root", 0), ("nobody", 65534), ("tty", 5), ("staff", 50), ("nonroot", NONROOT))
NAME_SERVICES = {
    **dict.fromkeys(("passwd", "group", "shadow"), "compat"),
    "gshadow": "files",
    "hosts": "files dns",
    "networks": "files",
    **dict.fromkeys(("protocols", "services", "ethers", "rpc"), "db files"),
    "netgroup": "nis",
}
# Upstream's image has it from a Debian package of that day.
NSSWITCH_TIME = 1514722362


@dataclass(frozen=True, kw_only=True)
class Suite:
    """One Debian release and the packages that distroless takes from it, without their dependencies."""

    name: SuiteName
    codename: str
    number: str
    static: tuple[str, ...]
    base: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Every package of both images."""
        return (*self.static, CERTIFICATES, *self.base)


_STATIC = ("base-files", "netbase", "tzdata", "media-types")
SUITES: dict[str, Suite] = {
    "debian12": Suite(
        name="debian12", codename="bookworm", number="12", static=_STATIC, base=("libc6", "libssl3")
    ),
    "debian13": Suite(
        name="debian13",
        codename="trixie",
        number="13",
        static=(*_STATIC, "tzdata-legacy"),
        base=("libc6", "libssl3t64", "libzstd1", "zlib1g"),
    ),
}


def suite_of(name: str) -> Suite:
    """Return a suite by distroless' name for it."""
    try:
        return SUITES[name]
    except KeyError as err:
        raise UsageError(
            f"{name} is not a suite that is known here", next_step=f"choose one of {', '.join(SUITES)}"
        ) from err


def trees(kind: Kind, suite: Suite, debs: Mapping[str, Deb]) -> list[Tree]:
    """Say what each layer of an image holds, lowest first."""
    return [
        *(partial(_package_tree, debs[name]) for name in suite.static),
        lambda: LayerTar().directory(""),
        lambda: LayerTar().file("etc/passwd", _passwd()),
        _homes,
        lambda: LayerTar().file("etc/group", _group()),
        lambda: LayerTar().directory("tmp", 0o1777, owner_name="root"),
        lambda: LayerTar().file("etc/nsswitch.conf", _nsswitch(), mtime=NSSWITCH_TIME),
        lambda: LayerTar().file("usr/lib/os-release", _os_release(suite), 0o555),
        lambda: _certificates_tree(debs[CERTIFICATES]),
        *(partial(_package_tree, debs[name]) for name in (suite.base if kind == "base" else ())),
    ]


def _package_tree(deb: Deb) -> LayerTar:
    with deb.files() as files:
        return _with_status(LayerTar().copy(files), deb)


def _with_status(tree: LayerTar, deb: Deb) -> LayerTar:
    """Add what scanners read of a package: there is no dpkg and no status file of its own."""
    tree.file(f"var/lib/dpkg/status.d/{deb.name}", deb.control)
    if deb.md5sums is not None:
        tree.file(f"var/lib/dpkg/status.d/{deb.name}.md5sums", deb.md5sums)
    return tree


def _certificates_tree(deb: Deb) -> LayerTar:
    """Join the authorities into the bundle that Debian's own post-install script would make."""
    with deb.files() as files:
        found = {m.name.removeprefix("./"): m for m in files if m.isreg()}
        authorities = sorted(name for name in found if name.startswith("usr/share/ca-certificates/"))
        bundle = b"".join(contents(files, found[name]).rstrip(b"\n") + b"\n" for name in authorities)
        terms = "usr/share/doc/ca-certificates/copyright"
        tree = LayerTar().file("etc/ssl/certs/ca-certificates.crt", bundle, 0o555)
        return _with_status(tree.file(terms, contents(files, found[terms]), 0o555), deb)


def _homes() -> LayerTar:
    homes = LayerTar().directory("root", 0o700).directory("home")
    return homes.directory("home/nonroot", 0o700, owner=NONROOT)


def _passwd() -> bytes:
    return "".join(
        f"{name}:x:{uid}:{uid}:{name}:{home}:/sbin/nologin\n" for name, uid, home in USERS
    ).encode()


def _group() -> bytes:
    return "".join(f"{name}:x:{gid}:\n" for name, gid in GROUPS).encode()


def _nsswitch() -> bytes:
    return "".join(f"{database + ':':<16}{order}\n" for database, order in NAME_SERVICES.items()).encode()


def _os_release(suite: Suite) -> bytes:
    values = {
        "PRETTY_NAME": "Distroless",
        "NAME": "Debian GNU/Linux",
        "ID": "debian",
        "VERSION_ID": suite.number,
        "VERSION": f"Debian GNU/Linux {suite.number} ({suite.codename})",
        "HOME_URL": SOURCE,
        "SUPPORT_URL": f"{SOURCE}/blob/master/README.md",
        "BUG_REPORT_URL": f"{SOURCE}/issues/new",
    }
    return "".join(f'{key}="{value}"\n' for key, value in values.items()).encode()
