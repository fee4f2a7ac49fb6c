"""What is made to fill memory or to keep a reader busy: our own error, in bounded memory, and no crash."""

from __future__ import annotations

import lzma
import sys
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from sealift import process
from sealift.elf.facts import read_elf
from sealift.elf.rootfs import Rootfs
from sealift.model import config
from sealift.model.evidence import Built
from sealift.model.run import RunFolder
from sealift.oci import documents
from sealift.process import Completed
from sealift.rehearsal.debian import Deb
from sealift.report import collect
from sealift.tools import cosign, gobinary, govulncheck, trivy
from sealift.tools.docker_login import credentials
from sealift.tools.http import Answer
from sealift.tools.layout import Layout
from sealift.tools.sbom import settled
from sealift.tools.sigstore_token import signatory
from tests.attacks.catalogue import Attack, each
from tests.attacks.hostile import (
    DEEP,
    KIND,
    Read,
    attack,
    bomb,
    find_release,
    hole,
    refused,
    registry,
    tags,
    told,
    written,
)
from tests.fuzz import samples
from tests.fuzz.readers import DIGEST, HOST
from tests.fuzz.wire import answer
from tests.unit.elf.crafted import crafted, many_needed, unnumbered_sections
from tests.unit.elf.tars import file, tar
from tests.unit.rehearsal import debs


def cosign_says(data: bytes) -> object:
    return cosign._entries(Completed(argv=("cosign",), returncode=0, stdout=data.decode(), stderr=""))


def stands_deep() -> Iterator[Attack[Read]]:
    """Nest JSON 100,000 deep, for every reader of it."""
    for sample, stage, code, words, read in (
        ("an index", "image", 3, "nested more than 16 deep", lambda _: documents.read_index(DEEP, "it")),
        (
            "a layout's index.json",
            "image",
            2,
            "nested too deep",
            lambda f: Layout(written(f, "index.json", b'{"a": ' + DEEP).parent).index(),
        ),
        (
            "evidence",
            "every stage",
            2,
            "cannot be read as Built",
            lambda f: RunFolder(written(f, "evidence/image/it.json", b'{"gates": ' + DEEP).parents[2]).read(
                "image", "it", Built
            ),
        ),
        (
            "a plan",
            "every stage",
            2,
            "cannot be read as Plan",
            lambda f: RunFolder(written(f, "plan.json", b'{"config": ' + DEEP).parent).read_plan(),
        ),
        (
            "a report",
            "report",
            2,
            "cannot be read as Report",
            lambda f: collect.read(written(f, "r.json", b'{"a": ' + DEEP)),
        ),
        (
            "a registry's tags",
            "promote",
            4,
            "not the JSON that was expected",
            told(tags, answer(b'{"tags": 1, "a": ' + DEEP)),
        ),
        (
            "a list of referrers",
            "verify",
            4,
            "not the JSON that was expected",
            told(
                lambda: registry().referrers(HOST, DIGEST),
                answer(b'{"a": ' + DEEP, Content_Type=documents.INDEX),
            ),
        ),
        ("GitHub's releases", "draft", 4, "not as GitHub does", told(find_release, answer(DEEP, **KIND))),
        (
            "Trivy's report",
            "scan",
            4,
            "Trivy wrote something else",
            lambda _: trivy.read_report(b'{"a": ' + DEEP),
        ),
        (
            "a list of contents",
            "sbom",
            4,
            "Trivy wrote something else",
            lambda _: settled(b'{"a": ' + DEEP, digest=DIGEST, time=0, names={}),
        ),
        (
            "govulncheck's stream",
            "scan",
            4,
            "govulncheck wrote something else",
            lambda _: govulncheck.read_messages((b'{"a": ' + DEEP).decode()),
        ),
        (
            "what govulncheck extracts",
            "scan",
            4,
            "govulncheck wrote something else",
            lambda _: govulncheck._named((DEEP + b"\n{}").decode(), "v1"),
        ),
        (
            "an identity token",
            "sign",
            4,
            "the identity token cannot be used",
            lambda _: signatory(samples.token(DEEP)),
        ),
        (
            "a bundle",
            "verify",
            3,
            "the bundle is not accepted",
            lambda _: samples.verifier().read(b'{"mediaType": ' + DEEP, samples.SUBJECT),
        ),
        ("what cosign prints", "verify", 4, "something else than JSON", lambda _: cosign_says(DEEP)),
        (
            "docker's configuration",
            "push",
            2,
            "config.json cannot be read",
            lambda f: credentials(
                "ghcr.io", {"DOCKER_CONFIG": str(written(f, "config.json", b'{"a": ' + DEEP).parent)}
            ),
        ),
        (
            "build info",
            "prove",
            2,
            "printed something else",
            lambda _: gobinary.parse_build_info(b'{"a": ' + DEEP, "it"),
        ),
    ):
        yield attack(f"{sample} nested 100,000 deep", stage, code, words, read)


@each(*stands_deep())
def test_json_that_is_nested_deep_is_refused(attack: Attack[Read], tmp_path: Path) -> None:
    refused(attack, tmp_path)


def names(count: int) -> str:
    return "\n".join(f"k{n}: 1" for n in range(count))


def laughs(form: str) -> str:
    """Let each of nine lines stand for nine of the line before it."""
    lines = [
        "a0: &a0 {x: 1, y: 2}",
        *(f"a{n}: &a{n} " + form % ", ".join([f"*a{n - 1}"] * 9) for n in range(1, 10)),
    ]
    return "\n".join(lines)


CONFIGURATIONS = {
    "brackets nested 100,000 deep": ("[" * 100_000, "more than 32 levels or 20000 values"),
    "dashes nested 100,000 deep": ("- " * 100_000 + "a", "more than 32 levels or 20000 values"),
    "aliases of aliases, a billion values": (laughs("[%s]"), "more than 32 levels or 20000 values"),
    "merged keys of merged keys": (laughs("{<<: [%s]}"), "more than 32 levels or 20000 values"),
    "10,000 unknown keys": (names(9_000), "and 80 more"),
    "two megabytes": ("# " + "a" * (2 << 20), "has more than 1 MiB"),
    "brackets where true is wanted": (
        (samples.ROOT / "ci" / "release.yaml")
        .read_text()
        .replace("require_fix: true", f"require_fix: '{'[' * 50_000}'"),
        "gates.require_fix",
    ),
}


def configured(text: str) -> Read:
    return lambda folder: config.load(written(folder, "c.yaml", text.encode()))


@each(
    *(
        attack(f"a configuration: {name}", "plan", 2, words, configured(text))
        for name, (text, words) in CONFIGURATIONS.items()
    )
)
def test_a_configuration_that_grows_is_refused(attack: Attack[Read], tmp_path: Path) -> None:
    refused(attack, tmp_path)


def unpacked(blob: bytes) -> Read:
    return lambda _: Rootfs([blob], "it")


def pax(size: int) -> bytes:
    data = bytearray(tar(file("a", b"x")))
    data[156:157], data[124:136] = b"x", b"%011o\0" % size
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)


def package(**parts: bytes) -> bytes:
    return debs.ar(
        [("debian-binary", b"2.0\n"), *((name.replace("_", "."), data) for name, data in parts.items())]
    )


def zipped(*files: tuple[str, bytes]) -> Read:
    raw = BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in (("index/modules.json", b"[]"), *files):
            out.writestr(name, data)
    changed = raw.getvalue()

    def read(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            came = Answer(url="https://vuln.test/", status=200, headers={}, body=changed)
            patch.setattr(govulncheck, "_followed", lambda *_: came)
            patch.setattr(govulncheck, "LARGEST", 1 << 20)
            govulncheck.download_database(folder / "go")

    return read


@each(
    attack(
        "a layer of 6 MB that unpacks to 6 GB", "image", 3, "unpacks to more than", unpacked(bomb(6 << 30))
    ),
    attack(
        "a layer of 100 KB that unpacks to 100 MB",
        "image",
        3,
        "unpacks to more than",
        unpacked(bomb(100 << 20)),
    ),
    attack(
        "a layer with an extension header of 8 GB", "image", 3, "is not a whole tar", unpacked(pax(8**11 - 1))
    ),
    attack(
        "a Debian package that unpacks to 1 GB",
        "bases",
        4,
        "unpacks to more than 128 MiB",
        lambda f: Deb.read(written(f, "a.deb", package(control_tar_gz=bomb(1 << 30)))),
    ),
    attack(
        "a Debian package that wants 4 GB to be unpacked",
        "bases",
        4,
        "Memory usage limit",
        lambda f: Deb.read(written(f, "a.deb", package(control_tar_xz=wide()))),
    ),
    attack(
        "a Debian package of 1 GB",
        "bases",
        4,
        "has more than 64 MiB",
        lambda f: Deb.read(hole(f, "a.deb", 1 << 30)),
    ),
    attack(
        "a packed advisory database of 2 MB, unpacked",
        "scan",
        4,
        "unpacks to more than",
        zipped(("a", bytes(2 << 20))),
    ),
    attack(
        "an advisory database with a file outside of it",
        "scan",
        4,
        "it holds '../../a'",
        zipped(("../../a", b"x")),
    ),
    attack(
        "evidence of 1 GB",
        "every stage",
        3,
        "bytes, more than 67108864",
        lambda f: RunFolder(hole(f, "evidence/image/it.json", 1 << 30).parents[2]).read("image", "it", Built),
    ),
    attack(
        "a report of 1 GB",
        "report",
        2,
        "has more than 64 MiB",
        lambda f: collect.read(hole(f, "r.json", 1 << 30)),
    ),
    attack(
        "a program with 2**40 sections",
        "prove",
        2,
        "more than 65536",
        lambda _: read_elf(unnumbered_sections(2**40)),
    ),
    attack(
        "a program that needs 4,000 libraries",
        "prove",
        2,
        "more than 512",
        lambda _: read_elf(many_needed(4000)),
    ),
    attack(
        "a program with 65,000 segments",
        "prove",
        2,
        "more than 256",
        lambda _: read_elf(crafted([], segments=[(0, 0, 0)] * 65_000)),
    ),
)
def test_what_unpacks_or_declares_too_much_is_refused(attack: Attack[Read], tmp_path: Path) -> None:
    refused(attack, tmp_path)


@pytest.mark.programs
@each(attack("a program that prints without end", "every stage", 4, "printed", lambda _: prints()))
def test_a_program_that_prints_too_much_is_refused(attack: Attack[Read], tmp_path: Path) -> None:
    refused(attack, tmp_path)


def wide() -> bytes:
    """Write the head of an xz stream whose dictionary has 4 GB: the size stands in the block's header."""
    data = bytearray(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
    size = (data[12] + 1) * 4
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 40
    data[12 + size - 4 : 12 + size] = zlib.crc32(data[12 : 12 + size - 4]).to_bytes(4, "little")
    return bytes(data)


def prints() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "MOST_PRINTED", 1 << 20)
        return process.run([sys.executable, "-c", "print('a' * (2 << 20))"])
