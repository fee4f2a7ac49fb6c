"""``sealift bases update``: lock what upstream publishes now, after its signature was verified."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sealift import console
from sealift.commands.opening import checkout
from sealift.errors import OutsideError, RefusedError
from sealift.model import bases as model
from sealift.model import config as configuration
from sealift.model.statements import Identity, Subject
from sealift.tools.cosign import ANY_SIGNATURE, Cosign
from sealift.tools.registry import Registry

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="The base images that production builds on.",
)


@app.callback()
def main() -> None:
    """Keep ``update`` a word of its own, though it is the only one."""


@app.command()
def update(
    *,
    upstream: Annotated[str, typer.Option(help="Where the bases are.")] = model.UPSTREAM,
    identity: Annotated[str, typer.Option(help="Who must have signed them.")] = model.GOOGLE.san,
    issuer: Annotated[str, typer.Option(help="Who vouches for the signer.")] = model.GOOGLE.issuer,
    trusted_root: Annotated[
        Path | None, typer.Option(help="Sigstore's keys, if not the public ones.")
    ] = None,
) -> None:
    """Resolve each base of ci/release.yaml's suite, verify its signature, and write ci/bases.lock.yaml."""
    from sealift.provision.cache import cache_folder
    from sealift.provision.everything import provide_all

    root = checkout()
    config = configuration.load(root / "ci" / "release.yaml")
    path = root / "ci" / "bases.lock.yaml"
    lock = model.load(path)
    provide_all(["cosign"], cache=cache_folder())
    plain = (upstream.partition("/")[0],) if upstream.startswith("localhost:") else ()
    registry = Registry(plain_http=plain)
    signer = Identity(san=identity, issuer=issuer)
    cosign = Cosign(trusted_root=trusted_root, identity=signer)
    found = {}
    for name in dict.fromkeys(v.base for v in config.variants.values()):
        repository = model.repository(name, config.suite, upstream)
        digest = registry.head(repository.tagged(model.TAG))
        if digest is None:
            raise OutsideError(f"{repository.tagged(model.TAG)} is not there", next_step="check --upstream")
        if problems := registry.readback(repository, {model.TAG: digest}, blobs=False).problems:
            raise RefusedError(
                f"{repository.tagged(model.TAG)} is not the same for every client: {problems[0]}",
                means="the registry contradicts itself, so which base the tag names is not known",
                next_step="run again; if it stays, report it to the operator of the registry",
            )
        cosign.verify(Subject(repository=repository, digest=digest), ANY_SIGNATURE)
        found[str(name)] = model.LockedBase(
            digest=digest, identity=identity, issuer=issuer, date=datetime.now(UTC).date()
        )
        console.result(f"{name} {config.suite} {digest} signed by {identity}")
    model.save(path, {**lock, config.suite: {**lock.get(config.suite, {}), **found}})
    console.say(f"written to {path}: look at the change, and commit it")
    if signer not in model.MAKERS:
        console.say(f'a release needs a waiver for it: kind: signer, id: "{identity} {issuer}"')
