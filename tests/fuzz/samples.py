"""Valid samples for each reader, written by what writes the real ones."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import certifi
import jwt

from sealift.elf.facts import ElfFacts, read_elf
from sealift.elf.rootfs import Rootfs
from sealift.model.codec import to_json
from sealift.model.evidence import Compiled, Drafted, Evidence, Gate, Proven, SignedAll, SignedEntry
from sealift.model.modules import GoModule
from sealift.model.names import Digest, Repository, RunPath
from sealift.model.statements import Subject
from sealift.oci.documents import INDEX, MANIFEST
from sealift.report.collect import Report
from sealift.stations.sbom import Contents
from sealift.tools.attested import read_statement
from sealift.tools.github import Release
from sealift.tools.sigstore_client import BundleVerifier
from tests.fuzz.wire import NEXT, answer
from tests.unit.elf import assets, tars
from tests.unit.elf.crafted import many_needed
from tests.unit.elf.test_ldcache import cache as ld_cache
from tests.unit.rehearsal import debs
from tests.unit.stations.imaged import PROGRAM, entry, go_tar, right_image
from tests.unit.stations.things import COMMIT, built, digest_of, plan
from tests.unit.tools import test_sigstore_client as signed
from tests.unit.tools.test_sbom import cyclonedx
from tests.unit.tools.test_sigstore_token import claims_of_a_run
from tests.unit.tools.test_trivy import report as trivy_report

JSON = dict[str, Any]
ROOT = Path(__file__).parents[2]
ONES = Digest(f"sha256:{'1' * 64}")
IMAGE = signed.IMAGE
SUBJECT = Subject(repository=Repository("registry.test/owner/app"), digest=IMAGE)


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def image_of(files: Mapping[str, bytes | str]) -> Rootfs:
    return tars.image(files)


@cache
def rootfs() -> Rootfs:
    """Give an image with a loader and its libraries."""
    names = {"lib64/ld-linux-x86-64.so.2": "ld-linux-x86-64.so.2", "lib/libone.so": "libone.so"}
    return image_of(
        {path: assets.asset(name) for path, name in names.items()} | {"lib/libtwo.so.1": "libone.so"}
    )


@cache
def dynamic() -> ElfFacts:
    return read_elf(assets.asset("dynamic"))


def programs() -> list[bytes]:
    found = [path.read_bytes() for path in sorted(assets.FOLDER.glob("*/*")) if path.is_file()]
    info = b"\xff Go buildinf:\x08\x02".ljust(32, b"\0") + b"\x08go1.26.8" + b"\x40" + b"\0" * 16
    return [
        *found,
        many_needed(3),
        info + b"build\tGOAMD64=v1\nbuild\t-race=1\n".ljust(32) + b"\0" * 16,
        b"#!/bin/sh\n",
    ]


def small_layer() -> bytes:
    return tars.tar(tars.folder("lib"), tars.file("lib/.wh.gone"), tars.link("bin", "usr/bin"))


def layers() -> list[bytes]:
    import tarfile

    long = tars.file(f"{'d' * 90}/{'f' * 90}", b"long")
    pax, _ = tars.file("named", b"x")
    pax.pax_headers = {"path": "other", "mtime": "1.5", "SCHILY.xattr.user.a": "b"}
    sparse = bytearray(tars.tar(tars.file("sparse", b"x" * 600)))
    sparse[156:157] = b"S"
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as out:
        out.addfile(pax, io.BytesIO(b"x"))
    plain = [
        small_layer(),
        go_tar((entry(), PROGRAM)),
        tars.tar(
            tars.file("a", b"x"), tars.hard_link("b", "a"), tars.link("c", "../a"), tars.special("d", b"3")
        ),
        tars.tar(tars.folder("./"), long, tars.file(".wh..wh..opq"), tars.file("lib/.wh.libone.so")),
        tars.tar(tars.file("lib64/ld-linux-x86-64.so.2", assets.asset("ld-linux-x86-64.so.2"), 0o755)),
        raw.getvalue(),
        bytes(sparse),
    ]
    # Python fills a tar with zeros; two blocks of them end it.
    plain = [data.rstrip(b"\0") + b"\0" * (-len(data.rstrip(b"\0")) % 512 + 1024) for data in plain]
    return [*plain, gzip.compress(plain[2], mtime=0), gzip.compress(plain[3], mtime=0) + b"\0" * 9]


def loader_caches() -> list[bytes]:
    one = ("libc.so.6", "/lib/libc.so.6", 0)
    return [ld_cache(one, ("libz.so.1", "/lib/libz.so.1", 1)), b"ld.so-1.7.0\0" + ld_cache(one, order=">")]


@cache
def documents() -> list[bytes]:
    with tempfile.TemporaryDirectory() as name:
        right_image().write(Path(name))
        written = [path.read_bytes() for path in sorted(Path(name).rglob("*")) if path.is_file()]
    return [data for data in written if data.startswith(b"{") and len(data) > 50]


def configurations() -> list[bytes]:
    locked = (
        "debian13:\n  static:\n    digest: {}\n    identity: a@b.example\n    issuer: https://i.example\n"
    )
    anchors = b"a: &a [1, 2]\nb: &b {c: *a}\nd:\n  <<: *b\n  e: *a\n"
    files = [(ROOT / "ci" / name).read_bytes() for name in ("release.yaml", "exceptions.yaml")]
    return [*files, f"{locked}    date: 2026-11-30\n".format(ONES).encode(), anchors]


def evidence() -> list[bytes]:
    gates = (Gate(station="prove", subject="static/linux/amd64", verdict="pass", detail="it is static"),)
    entries = (
        SignedEntry(
            subject=f"r.example/a@{ONES}", predicate_type="https://x.example", predicate=ONES, made=True
        ),
    )
    made: list[Any] = [
        plan(),
        built("static"),
        Evidence(gates=gates),
        Compiled(
            path=RunPath("dist/a"), sha256=ONES, go_version="go1.26.8", command=("go", "build"), gates=gates
        ),
        Proven(
            sha256=ONES,
            linkage="static",
            interpreter=None,
            libraries=(),
            go_version="go1.26.8",
            modules=("a@v1",),
            main_module="m",
            revision=COMMIT,
            modified=False,
            limitations=("none",),
        ),
        SignedAll(entries=entries, claims={}),
        Drafted(release_id=1, assets={"SHA256SUMS": ONES}),
        Report(
            version=plan().version,
            commit=COMMIT,
            world="rehearsal",
            outcome="released",
            stand_ins=(),
            cannot_show=(),
            exceptions=(),
            left_out=(),
            images={},
            gates=gates,
            signatures=entries,
            programs=(),
            release_url="",
            seconds=1.0,
        ),
    ]
    return [to_json(one) for one in made]


def registry_answers() -> list[bytes]:
    index: JSON = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
    artifact = dumped(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": bundle,
            "layers": [{"mediaType": bundle, "digest": str(digest_of(b"{}")), "size": 2}],
        }
    )
    listed: JSON = {"mediaType": MANIFEST, "size": len(artifact), "digest": str(digest_of(artifact))}
    referrers = {**index, "manifests": [{**listed, "artifactType": bundle, "annotations": {"a": "b"}}]}
    asks = (
        'Bearer realm="http://registry.test/token",service="registry.test",scope="repository:owner/app:pull"'
    )
    denied = dumped({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
    first = answer(
        dumped({"name": "a", "tags": ["1.2.3"]}), Link='</v2/owner/app/tags/list?last=1.2.3>; rel="next"'
    )
    second = answer(gzip.compress(dumped({"tags": ["latest"]})), Content_Encoding="gzip")
    put = answer(status="201 Created", Docker_Content_Digest=str(digest_of(artifact)))
    held = answer(artifact, Content_Type=MANIFEST, Docker_Content_Digest=str(digest_of(artifact)))
    flows: list[tuple[int, list[bytes]]] = [
        (0, [answer(Docker_Content_Digest=str(ONES))]),
        (1, [answer(dumped(index), Content_Type=INDEX)]),
        (1, [answer(status="307 Temporary Redirect", Location="http://storage.test/x?sig=1"), held]),
        (2, [first, second]),
        (
            2,
            [
                answer(denied, "401 Unauthorized", WWW_Authenticate=asks),
                answer(b'{"token":"t"}'),
                first,
                second,
            ],
        ),
        (2, [answer(denied, "429 Too Many Requests", Retry_After="5")]),
        (3, [answer(dumped(referrers), Content_Type=INDEX)]),
        (3, [answer(status="404 Not Found"), answer(dumped(referrers), Content_Type=INDEX)]),
        (4, [answer(dumped(referrers), Content_Type=INDEX), held, answer(b"{}")]),
        (7, [held, put, answer(Docker_Content_Digest=str(ONES))]),
        (8, [answer(status="404 Not Found"), answer(status="202 Accepted", Location="/v2/up?state=x"), put]),
        (9, [answer(status="202 Accepted", Location="http://registry.test:80/v2/up")]),
        (
            10,
            [
                held,
                answer(),
                answer(),
                put,
                answer(status="404 Not Found"),
                answer(status="404 Not Found"),
                put,
            ],
        ),
        (2, [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n" + b'{"tags":null}\r\n0\r\n\r\n']),
    ]
    return [bytes([number]) + NEXT.join(answers) for number, answers in flows]


def headers() -> list[bytes]:
    return [
        b'Bearer realm="https://auth.example/token",service="registry",scope="repository:a:pull" , Basic a=x',
        b'</v2/owner/app/tags/list?n=100&last=x>; rel="next"; title="a, b", <https://other.test/>; rel=prev',
        *(b"120", b"Fri, 31 Dec 2026 23:59:59 GMT", b"/v2/owner/app/blobs/uploads/1?state=x%2Fy"),
        b"https://user:secret@storage.example:8443/path?X-Amz-Signature=a#b",
        b"socks5h://user:pass@[::1]:1080, .example.com,10.0.0.0/8,*.test:5000",
        b'{"errors":[{"code":"DENIED","message":"no"}]}',
    ]


def github_answers() -> list[bytes]:
    api = "http://api.github.test/repos/owner/name"
    asset = {
        "id": 2,
        "name": "it",
        "size": 4,
        "state": "uploaded",
        "digest": str(ONES),
        "url": f"{api}/releases/assets/2",
    }
    found = {
        "id": 1,
        "url": f"{api}/releases/1",
        "tag_name": "v1.2.3",
        "name": "it 1.2.3",
        "body": "notes",
        "draft": True,
        "prerelease": False,
        "immutable": False,
        "html_url": "https://github.test/r",
        "assets_url": f"{api}/releases/1/assets",
        "upload_url": f"{api}/up{{?name,label}}",
        "assets": [asset],
        "created_at": "2026-11-30T00:00:00Z",
    }
    kind = {"Content_Type": "application/json; charset=utf-8"}
    release, assets_ = answer(dumped(found), **kind), answer(dumped([asset]), **kind)
    ref = {
        "ref": "refs/tags/v1.2.3",
        "url": api,
        "object": {"type": "tag", "sha": COMMIT, "url": f"{api}/git/tags/c"},
    }
    tag = {
        "tag": "v1.2.3",
        "sha": COMMIT,
        "url": api,
        "object": {"type": "commit", "sha": COMMIT, "url": api},
    }
    limited = answer(
        dumped({"message": "API rate limit exceeded", "errors": [{"code": "x", "field": "y"}]}),
        "403 Forbidden",
        **kind,
        X_RateLimit_Remaining="0",
        X_RateLimit_Reset="1800000000",
    )
    flows: list[tuple[int, list[bytes]]] = [
        (
            0,
            [
                answer(dumped([found]), **kind, Link=f'<{api}/releases?page=2>; rel="next"'),
                answer(b"[]", **kind),
            ],
        ),
        (0, [answer(dumped([found]), **kind), assets_]),
        (1, [release, assets_]),
        (2, [release]),
        (3, [answer(dumped(ref), **kind), answer(dumped(tag), **kind)]),
        (4, [answer(dumped(found), "201 Created", **kind), assets_]),
        (5, [answer(dumped(asset), **kind), answer(b"data", Content_Type="application/octet-stream")]),
        (
            5,
            [
                answer(dumped(asset), **kind),
                answer(status="302 Found", Location="http://files.test/x"),
                answer(b"data"),
            ],
        ),
        (6, [release, release, assets_]),
        *((number, [limited]) for number in range(7)),
        (
            6,
            [
                release,
                answer(
                    dumped({"message": "Validation Failed", "errors": ["immutable release"]}),
                    "422 No",
                    **kind,
                ),
            ],
        ),
    ]
    return [bytes([number]) + NEXT.join(answers) for number, answers in flows]


def release() -> Release:
    return Release(
        id=1,
        tag="v1.2.3",
        title="it",
        body="notes",
        draft=True,
        prerelease=False,
        immutable=False,
        url="https://github.test/r",
        assets=(),
    )


def logins() -> list[bytes]:
    auths = {"ghcr.io": {"auth": "bWU6c2VjcmV0"}, "https://index.docker.io/v1/": {"identitytoken": "t"}}
    helpers = {"localhost:5000": "none", "https://ghcr.io": None}
    return [
        dumped({"auths": auths, "credHelpers": helpers, "credsStore": ""}),
        dumped({"auths": {"x": None}}),
        b"null",
    ]


def packages() -> list[bytes]:
    about = debs.tar(
        {"./control": debs.control("it", "1:1.0-1", "Source: other (1)"), "./md5sums": b"0  usr/x\n"}
    )
    files = debs.tar({"./usr/share/doc/it": b"text"}, ("./usr",), {"./usr/link": "share"})
    members = [("debian-binary", b"2.0\n"), ("control.tar", about), ("data.tar", files)]
    sources = (
        b"Types: deb\nURIs: http://deb.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
    )
    return [
        debs.ar(members),
        debs.ar(
            [
                members[0],
                ("control.tar.xz", lzma.compress(about)),
                ("data.tar.gz/", gzip.compress(files, mtime=0)),
            ]
        ),
        debs.control("it", "1.0-1", "Depends: libc6"),
        sources
        + b"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\nTypes: deb-src\n continued\n",
        b"deb [arch=amd64 signed-by=/k.gpg] http://deb.test/debian bookworm main # comment\n",
    ]


def findings() -> list[bytes]:
    osv = {"osv": {"id": "GO-2024-1", "aliases": ["CVE-2024-1"], "summary": "it breaks"}}
    finding = {
        "osv": "GO-2024-1",
        "fixed_version": "v1.2",
        "trace": [{"module": "m", "version": "v1", "function": "F"}],
    }
    messages = [{"SBOM": {"go_version": "go1.26.8"}}, osv, {"finding": finding}]
    stream = b"\n".join(json.dumps(one, indent=2).encode() for one in messages)
    modules = [
        {"Path": "a", "Version": "v1", "Replace": {"Path": "b", "Version": "v2"}},
        {"Path": "c", "Version": "v1"},
    ]
    extract = (
        dumped({"name": "govulncheck"}) + b"\n" + dumped({"main": {"Path": "m"}, "modules": modules}) + b"\n"
    )
    database = {"Version": 2, "UpdatedAt": "2026-11-30T00:00:00.5Z"}
    return [dumped(trivy_report()), dumped(database), stream, extract]


def archives() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", method) as out:
            out.writestr("index/modules.json", "[]")
            out.writestr("ID/GO-2024-1.json", '{"id": "GO-2024-1"}')
        found.append(raw.getvalue())
    return found


def modules() -> dict[str, GoModule]:
    return {"a": GoModule("github.com/Owner/a", "v1")}


def listed_image() -> Contents:
    """Give an image with one Debian package and one module beside the main one."""
    return Contents(
        repository=Repository("registry.test/owner/app"),
        digest=ONES,
        system="debian 12",
        service="app",
        debian=frozenset({"b@1"}),
        main=GoModule("github.com/Owner/app", "v1.0.0"),
        modules=frozenset(modules().values()),
    )


def lists() -> list[bytes]:
    purl = {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": "pkg:golang/a@v1",
    }
    note = {"annotationDate": "x", "comment": "PkgID: a@v1"}
    package = {
        "name": "a",
        "SPDXID": "SPDXRef-1",
        "versionInfo": "v1",
        "externalRefs": [purl],
        "annotations": [note],
    }
    files = [{"SPDXID": "SPDXRef-2", "annotations": [note]}]
    spdx = {
        "spdxVersion": "SPDX-2.3",
        "creationInfo": {"created": "x"},
        "packages": [package],
        "files": files,
    }
    parts = [
        {"bom-ref": "pkg:golang/a@v1", "name": "a", "group": "", "purl": "pkg:golang/a@v1", "properties": []}
    ]
    needs = [{"ref": "pkg:golang/a@v1", "dependsOn": ["b"]}]
    return [
        dumped(spdx),
        dumped(cyclonedx(["a", "b"], 1)),
        dumped({"metadata": {}, "components": parts, "dependencies": needs}),
    ]


def printed() -> list[bytes]:
    settings = [{"Key": "CGO_ENABLED", "Value": "1"}]
    deps = [{"Path": "a", "Version": "v1", "Replace": {"Path": "../a"}}]
    return [
        dumped(
            {
                "GoVersion": "go1.26.8",
                "Path": "m/c",
                "Main": {"Path": "m"},
                "Deps": deps,
                "Settings": settings,
            }
        ),
        b"module example.com/it // comment\n\ngo 1.26\n",
        dumped([{"critical": {"type": "https://sigstore.dev/cosign/sign/v1"}}]),
        b"main.go:12\nError: error during command execution: no matching signatures: expected a, got b\n",
        f"{'0' * 64}  it.spdx.json\n".encode(),
    ]


def names() -> list[bytes]:
    return [
        b"go.mod\0cmd/it/main.go\0sub",
        b"v1.2.3\0v1.2.3-rc.1\0V1.2\0v01.2.3\0latest",
        "f\u00e9e".encode("latin-1"),
    ]


def token(payload: bytes) -> str:
    """Write a token whose payload may be anything, with three parts as every one has."""
    encoded = jwt.utils.base64url_encode
    return b".".join(
        (encoded(b'{"alg":"HS256","typ":"JWT"}'), encoded(payload), encoded(b"signature"))
    ).decode()


def tokens() -> list[bytes]:
    claims = claims_of_a_run() | {"exp": 4_000_000_000, "iat": 1}
    return [
        dumped(claims),
        jwt.encode(claims, "x" * 32).encode(),
        dumped({**claims, "email": "a@b", "sub": "x"}),
    ]


def verifier() -> BundleVerifier:
    return signed.verifier()


def bundles() -> list[bytes]:
    subject = [{"name": SUBJECT.repository, "digest": {"sha256": IMAGE.hex}}]
    kind = {"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1"}
    names = ("signature", "provenance", "rekor2", "email")
    return [
        *(signed.bundle(name) for name in names),
        dumped({**kind, "subject": subject, "predicate": {"a": 1}}),
    ]


def attested(data: bytes) -> None:
    """Read a statement as it comes out of a bundle that was accepted."""
    read_statement("application/vnd.in-toto+json", data, SUBJECT, None)


def authorities() -> list[bytes]:
    raw = Path(certifi.where()).read_bytes().split(b"\n\n")
    return [b"\n".join(raw[1:3]), debs.CERTIFICATE]
