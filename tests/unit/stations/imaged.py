"""An image as BuildKit writes it, and a base below it, small enough to change one thing of them at a time."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from sealift.model.evidence import Built, Proven
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.world import Base
from sealift.oci.documents import CONFIG, INDEX, LAYER, MANIFEST
from sealift.rehearsal.distroless import CONFIG as DISTROLESS
from sealift.rehearsal.oci_writer import LayerTar, Packed
from sealift.stations.expected import REWRITTEN, moment
from sealift.stations.image import inspect, labels
from sealift.tools.layout import Layout
from tests.unit.stations.things import AMD64, digest_of, plan, world

JSON = dict[str, Any]
PROGRAM = b"\x7fELF the proven program"
NAME = "health-caretaker"
SECOND = 10**9


def entry(name: str = NAME, size: int = len(PROGRAM), **changed: Any) -> tarfile.TarInfo:
    """Describe one entry, by default the one that is right."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, 0o755, planned().time
    for key, value in changed.items():
        setattr(info, key, value)
    return info


Form = Literal[0, 1, 2]
GNU: Form = tarfile.GNU_FORMAT
PAX: Form = tarfile.PAX_FORMAT
USTAR: Form = tarfile.USTAR_FORMAT


def go_tar(*members: tuple[tarfile.TarInfo, bytes], form: Form = USTAR) -> bytes:
    """Write a tar as Go does: two blocks at its end, and no more; device numbers are written, too."""
    raw = io.BytesIO()
    for info, data in members:
        header = bytearray(info.tobuf(form))
        at = len(header) - 512
        if form == USTAR:
            header[at + 329 : at + 345] = b"0000000\0" * 2
            header = resummed(header, at)
        raw.write(header + data + b"\0" * (-len(data) % 512))
    return raw.getvalue() + b"\0" * 1024


def resummed(header: bytes | bytearray, at: int = 0) -> bytearray:
    """Write a header's sum anew."""
    new = bytearray(header)
    new[at + 148 : at + 156] = b" " * 8
    new[at + 148 : at + 156] = b"%06o\0 " % sum(new[at : at + 512])
    return new


def edited(at: int, new: bytes) -> bytes:
    """Change bytes of the right tar's only header."""
    raw = bytearray(go_tar((entry(), PROGRAM)))
    raw[at : at + len(new)] = new
    return bytes(resummed(raw[:512]) + raw[512:])


def extended(records: dict[str, str], name: str = NAME, data: bytes = PROGRAM) -> bytes:
    """Write a tar of one entry with PAX records."""
    info = entry(name, len(data))
    info.pax_headers = records
    return go_tar((info, data), form=PAX)


def packed(tar: bytes, blob: bytes | None = None) -> Packed:
    return Packed(diff_id=Digest.of(tar), blob=gzip.compress(tar, mtime=0) if blob is None else blob)


def bomb(pieces: int = 96) -> bytes:
    """Pack a megabyte of zeros many times: what stops it must not unpack it all."""
    stream = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(stream.compress(b"\0" * 1024**2) for _ in range(pieces)) + stream.flush()


def planned() -> Plan:
    made = plan()
    config = msgspec.structs.replace(made.config, platforms=(AMD64,))
    return msgspec.structs.replace(made, config=config)


def library(name: str, *, entry_point: int = 0, kind: int = 3, interpreter: bool = False) -> bytes:
    """Write the head of an ELF file."""
    segments = [struct.pack("<IIQQQQQQ", 3, 4, 0, 0, 0, 0, 0, 1)] if interpreter else []
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", kind, 62, 1, entry_point, 64, 0, 0, 64, 56, len(segments), 0, 0, 0
    )
    return head + b"".join(segments) + name.encode()


def base_tree() -> LayerTar:
    tree = LayerTar().directory("").file("etc/passwd", b"root:x:0:0\n").directory("tmp", 0o1777)
    tree.directory("home").directory("home/nonroot", 0o700, owner=65532)
    return tree.file("usr/lib/libone.so.1", library("libone.so.1"))


def settings() -> JSON:
    return {
        "User": str(planned().config.image.user),
        "ExposedPorts": {"8080/tcp": {}, "9091/tcp": {}},
        "Env": DISTROLESS["Env"],
        "Entrypoint": [f"/{NAME}"],
        "WorkingDir": DISTROLESS["WorkingDir"],
        "Labels": labels(planned()),
        "Healthcheck": {
            "Test": ["CMD", f"/{NAME}", "-healthcheck"],
            "Interval": 10 * SECOND,
            "Timeout": 3 * SECOND,
            "StartPeriod": 5 * SECOND,
        },
    }


def history() -> list[JSON]:
    times = "Interval:10s Timeout:3s StartPeriod:5s StartInterval:0s"
    steps = [
        "ARG TARGETOS=linux TARGETARCH=amd64",
        f"COPY --chmod=0755 /linux/amd64/{NAME} /{NAME} # buildkit",
        "EXPOSE [8080/tcp 9091/tcp]",
        f"HEALTHCHECK {{Test:[CMD /{NAME} -healthcheck] {times} Retries:0}}",
        f"USER {planned().config.image.user}",
        f'ENTRYPOINT ["/{NAME}"]',
    ]
    made = [
        {"created": moment(planned().time), "created_by": step, "comment": "buildkit.dockerfile.v0"}
        for step in steps
    ]
    return [step | ({} if step["created_by"].startswith("COPY") else {"empty_layer": True}) for step in made]


BASE_HISTORY = [{"created": "1970-01-01T00:00:00Z", "created_by": "sealift rehearsal"}]


@dataclass(frozen=True, kw_only=True)
class Image:
    """One platform's image; each of its functions changes a document before it is written."""

    layers: tuple[Packed, ...]
    settings: JSON
    steps: tuple[JSON, ...]
    created: str
    configuration: Callable[[JSON], Any] = lambda found: found
    manifest: Callable[[JSON], Any] = lambda found: found
    index: Callable[[JSON], Any] = lambda found: found
    top: Callable[[JSON], Any] = lambda found: found
    mark: Mapping[str, str] = field(default_factory=dict)

    def saying(self, **changed: Any) -> Image:
        return replace(self, settings=self.settings | changed)

    def topped(self, tar: bytes, blob: bytes | None = None) -> Image:
        """Put another layer in the place of the highest."""
        return replace(self, layers=(*self.layers[:-1], packed(tar, blob)))

    def write(self, root: Path) -> Digest:
        blobs = root / "blobs" / "sha256"
        blobs.mkdir(parents=True)

        def put(data: bytes, kind: str) -> JSON:
            (blobs / Digest.of(data).hex).write_bytes(data)
            return {"mediaType": kind, "digest": str(Digest.of(data)), "size": len(data)}

        def put_document(value: Any, kind: str) -> JSON:
            return put(value if isinstance(value, bytes) else msgspec.json.encode(value), kind)

        layers = [put(layer.blob, LAYER) for layer in self.layers]
        if self.mark:
            layers[-1]["annotations"] = dict(self.mark)
        config = put_document(
            self.configuration(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": self.settings,
                    "created": self.created,
                    "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in self.layers]},
                    "history": list(self.steps),
                }
            ),
            CONFIG,
        )
        described = put_document(
            self.manifest({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}),
            MANIFEST,
        )
        described["platform"] = {"architecture": "amd64", "os": "linux"}
        index = put_document(
            self.index({"schemaVersion": 2, "mediaType": INDEX, "manifests": [described]}), INDEX
        )
        top = self.top({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]})
        (root / "index.json").write_bytes(top if isinstance(top, bytes) else msgspec.json.encode(top))
        return Digest(index["digest"])


def changed(part: str, change: Callable[[Any], Any]) -> Image:
    """Change one document of the right image: top, index, manifest or configuration."""
    changes: JSON = {part: change}
    return replace(right_image(), **changes)


def text(old: bytes, new: bytes) -> Callable[[Any], bytes]:
    """Change a document's text, so that it can say what no value can."""

    def change(found: Any) -> bytes:
        raw = msgspec.json.encode(found)
        assert old in raw, raw
        return raw.replace(old, new, 1)

    return change


def also(**members: Any) -> Callable[[JSON], JSON]:
    """Put members into a document, or others in their place."""
    return lambda found: found | members


def first(part: str, **members: Any) -> Callable[[JSON], JSON]:
    """Change the first, or the only, descriptor of a part."""

    def change(found: JSON) -> JSON:
        old = found[part]
        return found | {part: [old[0] | members, *old[1:]] if isinstance(old, list) else old | members}

    return change


def base_image() -> Image:
    return Image(
        layers=(base_tree().pack(),),
        settings=dict(DISTROLESS),
        steps=tuple(BASE_HISTORY),
        created="1970-01-01T00:00:00Z",
    )


def right_image(base: Image | None = None) -> Image:
    below = base or base_image()
    return Image(
        layers=(*below.layers, packed(go_tar((entry(), PROGRAM)))),
        settings=settings(),
        steps=(*below.steps, *history()),
        created=moment(planned().time),
        mark={REWRITTEN: str(planned().time)},
    )


def look(folder: Path, image: Image, base: Image | None = None, *, plan: Plan | None = None) -> Built:
    """Write both, and let the stage compare."""
    wanted = plan or planned()
    below = (base or base_image()).write(folder / "base")
    image.write(folder / "image")
    found = world(folder).bases["static"]
    proven = Proven(
        gates=(),
        sha256=digest_of(PROGRAM),
        linkage="static",
        interpreter=None,
        libraries=(),
        go_version="go1.26.8",
        modules=(),
        main_module="example.com/hello",
        revision="",
        modified=False,
    )
    cells = wanted.cells_of("static")
    return inspect(
        "static",
        wanted,
        dict.fromkeys(cells, proven),
        Layout(folder / "image"),
        Base(
            trusted_root=None,
            name=found.name,
            digest=below,
            layout=folder / "base",
            source=found.source,
            signer=found.signer,
        ),
        {},
    )
