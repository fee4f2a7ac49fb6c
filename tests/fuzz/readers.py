"""Every reader of foreign bytes as a function of bytes, with valid samples to begin from.

A reader may return, or raise one of our own errors that says what is wrong with the bytes; nothing else.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sealift import network
from sealift.elf import gobuild, program, startup
from sealift.elf.closure import resolve
from sealift.elf.facts import read_elf
from sealift.elf.ldcache import PATH as LD_CACHE
from sealift.elf.ldcache import read_cache
from sealift.elf.rootfs import Rootfs
from sealift.errors import DefectError, SealiftError
from sealift.model import bases, config, exceptions
from sealift.model.codec import from_json
from sealift.model.evidence import Built, Compiled, Drafted, Proven, SignedAll
from sealift.model.names import Digest, Repository, Tag, Version
from sealift.model.run import RunFolder
from sealift.oci import documents, tarform
from sealift.patience import retry_after
from sealift.process import Completed
from sealift.rehearsal import apt
from sealift.rehearsal.debian import Deb, contents, stanzas
from sealift.report import collect
from sealift.stations import image
from sealift.stations.sbom import debian_packages, differences
from sealift.stations.status_release import checksums
from sealift.tools import cosign, docker_login, git, gobinary, govulncheck, layout, sbom, trivy
from sealift.tools.address import plainly
from sealift.tools.github import AT_ONCE, Asset, GitHub
from sealift.tools.http import Answer, refusal
from sealift.tools.registry import Registry
from sealift.tools.registry_auth import challenges
from sealift.tools.registry_http import next_page, told_by
from sealift.tools.sigstore_client import BundleVerifier
from sealift.tools.sigstore_token import signatory
from tests.fuzz import samples
from tests.fuzz.wire import served

ROOT = Path(__file__).parents[2]
# No message may grow with what was read: a terminal and a report show it.
MOST_WORDS = 64 * 1024
HOST = Repository("registry.test/owner/app")
DIGEST = Digest(f"sha256:{'1' * 64}")
ANYWHERE = {"HOME": "/nonexistent", "PATH": "/nonexistent"}


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One reader, and samples that it accepts."""

    read: Callable[[bytes], None]
    samples: Callable[[], Sequence[bytes]]


@cache
def folder() -> Path:
    """Return a folder of this process, for readers of files."""
    place = tempfile.TemporaryDirectory(prefix="sealift-fuzz-", dir=Path("/dev/shm"))  # noqa: S108 - in memory
    _kept.append(place)
    return Path(place.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def attempt(read: Callable[..., Any], *given: Any) -> Any:
    """Read, to the end of what comes bit by bit; our own error is an answer, a defect of ours is none."""
    try:
        found = read(*given)
        return list(found) if isinstance(found, Iterator) else found
    except DefectError:
        raise
    except SealiftError as err:
        if len(str(err)) > MOST_WORDS:
            raise AssertionError(f"a message of {len(str(err))} characters: {str(err)[:200]}") from err
        return None


def _file(name: str, data: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def elf(data: bytes) -> None:
    path = _file("program", data)
    facts = attempt(read_elf, data)
    if facts is not None:
        attempt(program.odd_folders, facts)
        attempt(lambda: program.odd_program(path, cgo=False))
        attempt(resolve, facts, samples.rootfs())
    attempt(gobuild.build_settings, data)
    looked = attempt(startup.look, path)
    attempt(startup.why_not, looked, samples.rootfs(), None)


def layer(data: bytes) -> None:
    attempt(lambda: tarform.read_entries(data, "it", plain=True))
    attempt(lambda: tarform.read_entries(data, "it", plain=False))
    rootfs = attempt(Rootfs, [data, samples.small_layer()], "it")
    if rootfs is not None:
        for entry in attempt(rootfs.entries) or ():
            attempt(rootfs.resolve, entry.path)
        attempt(rootfs.read, LD_CACHE)
        attempt(read_cache, rootfs, "little")
        attempt(resolve, samples.dynamic(), rootfs)


def loader_cache(data: bytes) -> None:
    rootfs = samples.image_of({LD_CACHE.lstrip("/"): data})
    attempt(read_cache, rootfs, "little")
    attempt(read_cache, rootfs, "big")


def image_documents(data: bytes) -> None:
    for read in (
        documents.read_json,
        documents.children,
        documents.read_index,
        documents.read_manifest,
        documents.read_configuration,
    ):
        attempt(read, data, "it")
    attempt(documents.read_top, data, "it", 1)
    if isinstance(raw := attempt(documents.read_json, data, "it"), dict):
        attempt(documents.differences, json.loads(samples.documents()[0]), raw)
        attempt(documents.without_zero, raw)
    named = Digest.of(data)
    _file("layout/index.json", data)
    _file(f"layout/blobs/sha256/{named.hex}", data)
    there = layout.Layout(folder() / "layout")
    attempt(there.index)
    for look in (there.manifest, there.config, there.layers):
        attempt(look, named)
    platforms = attempt(there.platforms, named)
    for platform in platforms or ():
        attempt(platforms.of, platform)
    attempt(Rootfs.from_layout, there, named)
    there.blob_path(named).unlink()
    holds = SimpleNamespace(manifest=lambda _: data, blob=lambda *_: data)
    attempt(image.image_labels, HOST, named, holds)


def configuration(data: bytes) -> None:
    attempt(config.load, _file("ci/release.yaml", data))
    attempt(exceptions.load, _file("ci/exceptions.yaml", data))
    attempt(bases.load, _file("ci/bases.lock.yaml", data))


def evidence(data: bytes) -> None:
    run = RunFolder(folder() / "run")
    kinds = (
        ("compile", Compiled),
        ("prove", Proven),
        ("image", Built),
        ("sign", SignedAll),
        ("draft", Drafted),
    )
    for station, kind in kinds:
        _file(f"run/evidence/{station}/it.json", data)
        attempt(run.read, station, "it", kind)
    _file("run/plan.json", data)
    attempt(run.read_plan)
    attempt(run.part, "plan.json", "it")
    attempt(collect.gates, run)
    attempt(collect._limitations, run)
    attempt(collect.read, _file("run/report.json", data))


def registry(data: bytes) -> None:
    """Let the first byte choose what is asked; what follows is what the registry answers."""
    asked = Registry(plain_http=(HOST.host,), env=ANYWHERE)
    tag, place = Tag("1.2.3"), HOST.at(DIGEST)
    questions: tuple[Callable[[], Any], ...] = (
        lambda: asked.head(HOST.tagged(tag)),
        lambda: asked.manifest(HOST.tagged(tag)),
        lambda: asked.tags(HOST),
        lambda: asked.referrers(HOST, DIGEST),
        lambda: asked.bundles(HOST, DIGEST),
        lambda: asked.has_blob(HOST, DIGEST),
        lambda: asked.blob(HOST, DIGEST),
        lambda: asked.put_tag(HOST, tag, DIGEST),
        lambda: asked._objects.put_blob(HOST, b"{}", "application/json"),
        lambda: asked._objects.check_uploads(HOST),
        lambda: asked.attach(HOST, Digest.of(b"{}"), b"{}", "https://example.com/type"),
        lambda: asked.manifest(place),
    )
    with served(data[1:]):
        attempt(questions[(data[0] if data else 0) % len(questions)])


def headers(data: bytes) -> None:
    text = data.decode("latin-1")
    came = Answer(
        url="https://registry.test/v2/owner/app/tags/list",
        status=429,
        headers={"Link": text, "Retry-After": text, "Location": text},
        body=data,
    )
    attempt(challenges, text)
    attempt(next_page, came)
    attempt(retry_after, came.headers)
    attempt(refusal, came, "it")
    if isinstance(url := attempt(told_by, came, text), str):
        attempt(plainly, url)
    proxy = {"https_proxy": text, "no_proxy": text}
    attempt(network.proxy_for, "https://registry.test:5000/", proxy)


def github(data: bytes) -> None:
    """Let the first byte choose what is asked; what follows is what GitHub answers."""
    asked = GitHub("http://api.github.test", "secret", "owner/name", pace=AT_ONCE)
    asset = Asset(id=1, name="it", size=4, uploaded=True)
    questions: tuple[Callable[[], Any], ...] = (
        lambda: asked.find_release("v1.2.3"),
        lambda: asked.get_release(1),
        asked.latest_tag,
        lambda: asked.tag_commit("v1.2.3"),
        lambda: asked.create_draft("v1.2.3", "c" * 40, "title", "body", prerelease=False),
        lambda: asked.download(asset),
        lambda: asked.publish(samples.release(), make_latest=True),
    )
    with served(data[1:]):
        attempt(questions[(data[0] if data else 0) % len(questions)])


def login(data: bytes) -> None:
    env = {**ANYWHERE, "DOCKER_CONFIG": str(_file("docker/config.json", data).parent)}
    for host in ("ghcr.io", "docker.io", "localhost:5000"):
        attempt(lambda host=host: docker_login.credentials(host, env, path="owner/app"))
        attempt(docker_login.absent_helper, host, env)


def debian(data: bytes) -> None:
    deb = attempt(Deb.read, _file("it.deb", data))
    if deb is not None:
        attempt(lambda: (deb.name, deb.version, deb.source))
        attempt(_files, deb)
    packages = samples.image_of({"var/lib/dpkg/status.d/it": data})
    attempt(debian_packages, packages)
    text = data.decode(errors="replace")
    for read in (stanzas, apt.one_line_sources, apt.deb822_sources):
        attempt(read, text)


def _files(deb: Deb) -> None:
    with deb.files() as files:
        for member in files.getmembers():
            if member.isreg():
                contents(files, member)


def findings(data: bytes) -> None:
    attempt(trivy.read_report, data)
    db = _file("cache/db/metadata.json", data).parent
    (db / "trivy.db").touch()
    attempt(trivy.database, db.parent)
    text = data.decode(errors="replace")
    attempt(govulncheck.read_messages, text)
    attempt(govulncheck._named, text, "v1.2.3")


def archive(data: bytes) -> None:
    answer = Answer(url="https://vuln.test/", status=200, headers={}, body=data)
    with mock.patch.object(govulncheck, "_followed", return_value=answer):
        attempt(govulncheck.download_database, folder() / "vulndb")


def lists(data: bytes) -> None:
    attempt(
        lambda: sbom.settled(data, digest=DIGEST, time=1, names={"a/b": "c/d"}, modules=samples.modules())
    )
    document = attempt(lambda: from_json(data, dict[str, Any], source="a list"))
    if document is not None:
        differences(document, samples.listed_image())


def programs(data: bytes) -> None:
    text = data.decode(errors="replace")
    attempt(gobinary.parse_build_info, data, "it")
    attempt(gobinary.import_path, _file("module/go.mod", data).parent, "./cmd/it")
    done = Completed(argv=("cosign",), returncode=0, stdout=text, stderr=text)
    for entry in attempt(cosign._entries, done) or ():
        attempt(cosign._signature_type, entry)
    attempt(cosign._words, done)
    attempt(checksums, text)


def repository(data: bytes) -> None:
    """Take the bytes, parted by NULs, for the names of files and tags, as git prints them."""
    names = [part.decode(errors="surrogateescape") for part in data.split(b"\0")]
    here, commit = folder(), "c" * 40

    def printed(form: str) -> Any:
        return mock.patch.object(git, "git", return_value="".join(form.format(name) for name in names))

    with printed(f"h 100644 {commit} 0\t{{}}\0"):
        attempt(git._hidden, here)
    with printed(f"160000 {commit} 0\t{{}}\0"):
        attempt(git.empty_submodules, here)
    with printed("?? {}\0"), mock.patch.object(git, "_hidden", return_value=()):
        changed = attempt(git.changed, here)
    attempt(git.fingerprint, here, commit, tuple(changed or ()))
    with printed("{}\0filter\0lfs\0"):
        attempt(git._refuse_filtered, here, "module")
    # A tag's name has no line end and no control character.
    names = [name for name in names if name.isprintable()]
    with printed(f"{commit} refs/tags/{{}}\n"):
        for tag in attempt(git.tags, here) or ():
            attempt(Version.of_tag, tag)
    with printed("refs/tags/{}\n"):
        attempt(git.merged_tags, here, commit)
    attempt(Version.of_image_tag, names[0] if names else "")


def tokens(data: bytes) -> None:
    attempt(signatory, data.decode(errors="replace"))
    # A payload alone is easier to change than one in base64.
    attempt(signatory, samples.token(data))


def bundles(data: bytes) -> None:
    verifier = _verifier()
    verifier._accepted.clear()
    attempt(lambda: verifier.read(data, samples.SUBJECT))
    attempt(lambda: samples.attested(data))


@cache
def _verifier() -> BundleVerifier:
    return samples.verifier()


def authorities(data: bytes) -> None:
    network._authorities.cache_clear()
    network._context.cache_clear()
    attempt(network.tls, {"SSL_CERT_FILE": str(_file("authorities.pem", data)), "SSL_CERT_DIR": ""})


READERS: dict[str, Reader] = {
    "elf": Reader(read=elf, samples=samples.programs),
    "layer": Reader(read=layer, samples=samples.layers),
    "loader-cache": Reader(read=loader_cache, samples=samples.loader_caches),
    "documents": Reader(read=image_documents, samples=samples.documents),
    "configuration": Reader(read=configuration, samples=samples.configurations),
    "evidence": Reader(read=evidence, samples=samples.evidence),
    "registry": Reader(read=registry, samples=samples.registry_answers),
    "headers": Reader(read=headers, samples=samples.headers),
    "github": Reader(read=github, samples=samples.github_answers),
    "login": Reader(read=login, samples=samples.logins),
    "debian": Reader(read=debian, samples=samples.packages),
    "findings": Reader(read=findings, samples=samples.findings),
    "archive": Reader(read=archive, samples=samples.archives),
    "lists": Reader(read=lists, samples=samples.lists),
    "programs": Reader(read=programs, samples=samples.printed),
    "repository": Reader(read=repository, samples=samples.names),
    "tokens": Reader(read=tokens, samples=samples.tokens),
    "bundles": Reader(read=bundles, samples=samples.bundles),
    "authorities": Reader(read=authorities, samples=samples.authorities),
}
