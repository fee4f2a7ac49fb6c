"""Take a real image apart, change one thing, and put it together again with digests that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import msgspec

from sealift.model.evidence import Built, BuiltPlatform
from sealift.model.names import Digest, Platform, RunPath
from sealift.oci.documents import CONFIG, LAYER, MANIFEST
from sealift.rehearsal.oci_writer import LayerTar, Packed, Writer, writing
from sealift.tools.layout import Layout

JSON = dict[str, Any]
# How BuildKit marks what a Dockerfile did.
DOCKERFILE = "buildkit.dockerfile.v0"
AMD64, ARM64 = Platform("linux/amd64"), Platform("linux/arm64")


@dataclass(frozen=True, kw_only=True)
class Image:
    """One platform's image: its configuration, and its layers, lowest first."""

    config: JSON
    layers: tuple[Packed, ...]
    rewritten: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)

    @classmethod
    def read(cls, layout: Layout, manifest: Digest) -> Self:
        config = layout.config(manifest)
        blobs = [layout.read(layer.digest) for layer in layout.layers(manifest)]
        diffs = map(Digest, config["rootfs"]["diff_ids"])
        layers = tuple(Packed(diff_id=d, blob=b) for d, b in zip(diffs, blobs, strict=True))
        return cls(config=config, layers=layers)

    def saying(self, **changed: Any) -> Image:
        """Change what the configuration tells an engine; None takes a field away."""
        told = {k: v for k, v in (self.config["config"] | changed).items() if v is not None}
        return replace(self, config=self.config | {"config": told})

    def labelled(self, **changed: str | None) -> Image:
        """Change labels by the last word of their names; None takes one away."""
        labels = dict(self.config["config"]["Labels"])
        for word, value in changed.items():
            labels.pop(name := f"org.opencontainers.image.{word}")
            if value is not None:
                labels[name] = value
        return self.saying(Labels=labels)

    def with_layers(self, *layers: Packed) -> Image:
        return replace(self, layers=layers)

    def plus(self, tree: LayerTar) -> Image:
        """Put a layer on top."""
        return self.with_layers(*self.layers, tree.pack())

    def with_program(self, tree: LayerTar) -> Image:
        """Put a layer in the place of the one that holds the program."""
        return self.with_layers(*self.layers[:-1], tree.pack())

    def below_program(self, tree: LayerTar) -> Image:
        """Put a layer between the base and the program."""
        return self.with_layers(*self.layers[:-1], tree.pack(), self.layers[-1])

    def rewriting(self, part: str, old: bytes, text: bytes) -> Image:
        """Change the text of the configuration or the manifest, so that it says what no value can."""

        def change(raw: bytes) -> bytes:
            assert old in raw, raw
            return raw.replace(old, text, 1)

        return replace(self, rewritten={**self.rewritten, part: change})

    def write(self, new: Writer, platform: Platform) -> JSON:
        """Write the image and return its descriptor."""
        diffs = [str(layer.diff_id) for layer in self.layers]
        config = self.config | {"rootfs": {"type": "layers", "diff_ids": diffs}, "history": self._history()}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": new.blob(self._encoded("config", config), CONFIG),
            "layers": [new.blob(layer.blob, LAYER) for layer in self.layers],
        }
        described = new.blob(self._encoded("manifest", manifest), MANIFEST)
        return {**described, "platform": {"os": platform.os, "architecture": platform.arch}}

    def _encoded(self, part: str, value: JSON) -> bytes:
        raw = msgspec.json.encode(value)
        return self.rewritten[part](raw) if part in self.rewritten else raw

    def _history(self) -> list[JSON]:
        """Tell of layers that were put in where they lie: above the base, below the Dockerfile's."""
        steps: list[JSON] = list(self.config["history"])
        of_layers = sum(not step.get("empty_layer") for step in steps)
        at = next((n for n, step in enumerate(steps) if step.get("comment") == DOCKERFILE), len(steps))
        return steps[:at] + steps[at - 1 : at] * (len(self.layers) - of_layers) + steps[at:]


Change = Callable[[Image], Image]


def same(image: Image) -> Image:
    """Change nothing."""
    return image


def forge(source: Layout, out: Path, changes: Mapping[Platform, Change]) -> Built:
    """Write a changed copy of an image; only the platforms that are named are in it."""
    found: dict[str, BuiltPlatform] = {}
    described = []
    with writing(out) as new:
        for platform, manifest in source.platforms(source.index()).items():
            if platform in changes:
                entry = changes[platform](Image.read(source, manifest)).write(new, platform)
                described.append(entry)
                digest = Digest(entry["digest"])
                found[platform] = BuiltPlatform(digest=digest, binary_sha256="0" * 64, compressed_bytes=1)
        index = new.index(described, "forged")
    return Built(
        layout=RunPath(f"images/{out.name}"), digest=index, platforms=found, base_digest=index, programs={}
    )
