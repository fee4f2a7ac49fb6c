"""The files of one platform's image, as a container engine would lay them out, without laying them out.

Layers are applied in order, with whiteouts and links, and every path is resolved inside the image: a
link to ``/etc/passwd`` means the image's file and never this machine's.

    rootfs = Rootfs.from_layout(layout, manifest_digest)
    entry = rootfs.resolve("/lib64/ld-linux-x86-64.so.2")
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sealift.elf.layer import Kind, Layer, Member, Steps, read_layer, steps_of
from sealift.errors import RefusedError, UsageError
from sealift.model.names import Digest
from sealift.tools.layout import Layout

# As many links as Linux follows before it says ELOOP.
MOST_LINKS = 40
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
# What other ways of stacking layers left behind; engines pass over it.
WHITEOUT_META = ".wh..wh."


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One file, folder, link or device; ``target`` is where a symlink points."""

    path: str
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    layer_index: int
    target: str = ""


class _Node(msgspec.Struct, frozen=True):
    """What lies at a path: the member that put it there, from which layer."""

    member: Member
    kind: Kind
    layer: Layer | None
    index: int


ROOT = Member(steps=(), kind="dir", mode=0o755, uid=0, gid=0, size=0, offset=0, target="")


class Rootfs:
    """One image's files; ``origin`` names the image in messages."""

    def __init__(self, layers: Iterable[bytes], origin: str, diff_ids: tuple[str, ...] | None = None) -> None:
        """Apply layer tars, lowest first, plain or compressed; diff ids that are given must fit."""
        self.origin = origin
        self._nodes: dict[Steps, _Node] = {(): _Node(ROOT, "dir", None, -1)}
        index = -1
        for index, blob in enumerate(layers):
            layer = read_layer(blob, f"layer {index} of {origin}")
            if diff_ids is not None and layer.content.diff_id not in diff_ids[index : index + 1]:
                raise _contradicts(layer.name, layer.content.diff_id, diff_ids[index : index + 1])
            self._apply(layer, index)
        if diff_ids is not None and len(diff_ids) != index + 1:
            raise _contradicts(origin, f"{index + 1} layers", (f"{len(diff_ids)} layers",))

    @classmethod
    def from_layout(cls, layout: Layout, manifest_digest: Digest, origin: str = "") -> Rootfs:
        """Read one platform's image, and hold each layer against what the configuration says of it."""
        config = layout.config(manifest_digest)
        match config:
            case {"rootfs": {"diff_ids": [*diff_ids]}}:
                blobs = (layout.read(layer.digest) for layer in layout.layers(manifest_digest))
                return cls(blobs, origin or f"{layout.root.name}@{manifest_digest}", tuple(diff_ids))
            case _:
                raise UsageError(f"the configuration of {manifest_digest} does not list its layers' diff_ids")

    def entries(self) -> Iterator[Entry]:
        """Yield everything in the image, by path, without the root itself."""
        for steps in sorted(self._nodes):
            if steps:
                yield self._entry(steps)

    def resolve(self, path: str) -> Entry | None:
        """Follow links as a process in the image would; None where it would find nothing."""
        steps = self._find(path)
        return None if steps is None else self._entry(steps)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        steps = self._find(path)
        node = None if steps is None else self._nodes[steps]
        if node is None or node.kind != "file" or node.layer is None:
            what = "nothing" if node is None else f"a {node.kind}"
            raise UsageError(f"{path} in {self.origin} is {what}, not a file")
        start = node.member.offset
        return node.layer.content.data[start : start + node.member.size]

    def _entry(self, steps: Steps) -> Entry:
        node = self._nodes[steps]
        return Entry(
            path="/" + "/".join(steps),
            kind=node.kind,
            mode=node.member.mode,
            uid=node.member.uid,
            gid=node.member.gid,
            size=node.member.size,
            layer_index=node.index,
            target=node.member.target if node.kind == "symlink" else "",
        )

    def _find(self, path: str) -> Steps | None:
        """Walk a path with the image's root as ``/``: no number of ``..`` leads out of it."""
        todo = path.split("/")[::-1]
        at: Steps = ()
        links = 0
        while todo:
            step = todo.pop()
            if step in ("", ".", ".."):
                at = at[:-1] if step == ".." else at
                continue
            node = self._nodes.get((*at, step))
            if node is None or links > MOST_LINKS:
                return None
            if node.kind == "symlink":
                links += 1
                at = () if node.member.target.startswith("/") else at
                todo.extend(node.member.target.split("/")[::-1])
            elif node.kind != "dir" and todo:
                return None
            else:
                at = (*at, step)
        return at

    def _apply(self, layer: Layer, index: int) -> None:
        """Hide first, then add: a whiteout is about the layers below, wherever it stands in its own."""
        folders = {member.steps for member in layer.content.members if member.kind == "dir"}
        members = [member for member in layer.content.members if not _is_left_behind(member)]
        for member in members:
            if _is_whiteout(member, layer):
                self._hide(member.steps, layer, folders)
        for member in members:
            if not _is_whiteout(member, layer):
                self._add(member, layer, index)

    def _hide(self, steps: Steps, layer: Layer, folders: set[Steps]) -> None:
        *parents, name = steps
        parent = tuple(parents)
        for depth in range(1, len(parent) + 1):
            above = self._nodes.get(parent[:depth])
            if above is None or (parent[:depth] in folders and above.kind != "dir"):
                return  # nothing below, or this layer puts a folder in its place
            if above.kind == "symlink":
                raise _through_link(layer, steps, parent[:depth])
        if name == OPAQUE:
            self._remove(parent, itself=False)
        elif name[len(WHITEOUT) :] in ("", ".", ".."):
            raise RefusedError(f"{layer.name} holds a whiteout without a name: {'/'.join(steps)!r}")
        elif not name.startswith(WHITEOUT_META):
            self._remove((*parent, name[len(WHITEOUT) :]), itself=True)

    def _remove(self, steps: Steps, *, itself: bool) -> None:
        depth = len(steps)
        gone = [path for path in self._nodes if path[:depth] == steps and (itself or path != steps)]
        for path in gone:
            del self._nodes[path]

    def _add(self, member: Member, layer: Layer, index: int) -> None:
        if not member.steps:
            if member.kind == "dir":
                self._nodes[()] = _Node(member, "dir", layer, index)
            return
        steps = (*self._parent(member.steps, layer, index), member.steps[-1])
        old = self._nodes.get(steps)
        if old is not None and old.kind == "dir" and member.kind != "dir":
            self._remove(steps, itself=True)
        if member.kind == "hardlink":
            linked = self._linked(steps_of(member.target, layer.name))
            if linked is None or linked.kind == "dir":
                raise RefusedError(
                    f"{layer.name} links {'/'.join(steps)!r} to {member.target!r}, which is no file there",
                    means="a container engine cannot unpack this layer",
                    next_step="build the image again",
                )
            self._nodes[steps] = _Node(linked.member, linked.kind, linked.layer, index)
        else:
            self._nodes[steps] = _Node(member, member.kind, layer, index)

    def _linked(self, steps: Steps) -> _Node | None:
        """Return what a hard link names: its folders may be links, the last step is taken as it is."""
        parent = self._find("/".join(steps[:-1]))
        return None if parent is None or not steps else self._nodes.get((*parent, steps[-1]))

    def _parent(self, steps: Steps, layer: Layer, index: int) -> Steps:
        """Return the folder that a member goes into, made where no layer has named it."""
        at: Steps = ()
        for step in steps[:-1]:
            at = (*at, step)
            node = self._nodes.get(at)
            if node is None:
                self._nodes[at] = _Node(ROOT, "dir", layer, index)
            elif node.kind == "symlink" and node.index == index:
                found = self._find("/".join(at))
                if found is None or self._nodes[found].kind != "dir":
                    raise _through_link(layer, steps, at)
                at = found
            elif node.kind != "dir":
                raise _through_link(layer, steps, at)
        return at


def _is_left_behind(member: Member) -> bool:
    return member.steps != () and member.steps[0].startswith(WHITEOUT_META) and member.steps != (OPAQUE,)


def _is_whiteout(member: Member, layer: Layer) -> bool:
    if any(step.startswith(WHITEOUT) for step in member.steps[:-1]):
        raise RefusedError(
            f"{layer.name} holds {'/'.join(member.steps)!r}, which lies inside a whiteout",
            means="engines do not agree whether it is in the image",
            next_step="build the layer without it",
        )
    return bool(member.steps) and member.steps[-1].startswith(WHITEOUT)


def _through_link(layer: Layer, steps: Steps, link: Steps) -> RefusedError:
    return RefusedError(
        f"{layer.name} holds {'/'.join(steps)!r}, but /{'/'.join(link)} is no folder below it",
        means="some engines follow what is there, others put a folder in its place and hide what it led to",
        next_step="build the layer with the real path",
    )


def _contradicts(what: str, found: str, said: tuple[str, ...]) -> RefusedError:
    return RefusedError(
        f"{what} has {found}, its configuration says {', '.join(said) or 'nothing'}",
        means="a container engine refuses to unpack this image",
        next_step="build or fetch the image again",
    )
