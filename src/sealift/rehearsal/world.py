"""A rehearsal's World: everything that a release meets outside, real and on loopback.

    wanted = Wanted(profile=Profile.PUBLIC)
    with rehearsal(plan, root, wanted, cache=cache, images=run.images) as stage:
        stage.start()
        Line(world=stage.world, ...)

What the outside remembers (registry, keys, GitHub's releases, ports) is in the world's folder and there
again at the next run.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sealift.console import say
from sealift.errors import UsageError
from sealift.model.codec import publish
from sealift.model.plan import Plan
from sealift.model.world import Base, World
from sealift.provision.programs import lasting_path
from sealift.rehearsal import advisories
from sealift.rehearsal.builder import Builder, builder_slot
from sealift.rehearsal.github.store import Store
from sealift.rehearsal.issuer import github_claims
from sealift.rehearsal.outside import client_environment, github_service, outside
from sealift.rehearsal.sigstore import LocalSigstore, prepare_sigstore
from sealift.rehearsal.sigstore_services import sigstore_services
from sealift.rehearsal.sigstore_trust import Profile
from sealift.rehearsal.stand_ins import sign_bases, world_bases
from sealift.rehearsal.worlds import ENVIRONMENT, KEPT, alone, prune
from sealift.services.buildkit import create_builder
from sealift.services.ports import lasting_ports
from sealift.services.registry import layouts_registry, public_registry
from sealift.services.service import Service
from sealift.services.supervised import Supervised, stop_kept
from sealift.tools import git
from sealift.tools.registry import Registry

PORTS = ("registry", "layouts", "github")
# Somebody is waiting, and what answers is on this machine.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What kind of world is played: which log signs, a name to play several releases in, which registry."""

    profile: Profile = Profile.PUBLIC
    name: str | None = None
    referrers_api: bool = True


@dataclass(kw_only=True)
class Stage:
    """One world, prepared: its files are there; ``start`` brings up its services."""

    plan: Plan
    folder: Path
    wanted: Wanted
    images: Path
    ports: dict[str, int]
    sigstore: LocalSigstore
    builder: Builder
    bases: dict[str, Base]
    ci: Path
    supervised: Supervised | None = field(default=None, init=False)
    _begun: Future[None] | None = field(default=None, init=False)

    @cached_property
    def world(self) -> World:
        """The outside, as the stations see it."""
        local = self.sigstore
        env = client_environment(self.folder / "home")
        seen = outside(self.plan, self.folder, self.ports, issuer=local.issuer, env=env)
        return replace(
            seen,
            patience_seconds=PATIENCE_SECONDS,
            builder=self.builder.name,
            sigstore=replace(seen.sigstore, trust_config=local.trust_config, token_env=local.environment()),
            bases=self.bases,
            stand_ins=self._stand_ins(),
        )

    @property
    def github_token(self) -> Path:
        """The file with the token that the stand-in takes."""
        return self.folder / "github.token"

    def start_looking(self) -> None:
        """Bring up what remembers: the registry and GitHub show what is out."""
        self._start(self._remembering())

    def start(self) -> None:
        """Bring up every service, and sign the bases as their makers would."""
        services = [*sigstore_services(self.sigstore), *self._working()]
        self._start(services if self.supervised is not None else [*services, *self._remembering()])
        self.sigstore.plant_first_entry()
        create_builder(self.builder.socket, self.builder.name, env=self.world.env)
        registry = Registry(plain_http=(self.world.registry,), env=self.world.env)
        sign_bases(self._equals(), self.sigstore, registry)

    def begin(self) -> Callable[[], None]:
        """Start beside us, and return what waits until all is up, or raises what went wrong."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="stage")
        self._begun = pool.submit(self.start)
        pool.shutdown(wait=False)
        return self._begun.result

    def close(self) -> None:
        """End every service, also those that are still on their way up, unless they are kept."""
        if self.supervised is not None:
            self.supervised.close()
        if self._begun is not None and not self._begun.done():
            wait([self._begun])
            if self.supervised is not None:
                self.supervised.close()

    def exports(self) -> dict[str, str]:
        """Return what ``rehearse env`` prints: all that a stranger needs to look at the release."""
        local = self.sigstore
        return {
            "SEALIFT_REGISTRY": self.world.registry,
            "SEALIFT_TRUSTED_ROOT": str(local.trusted_root),
            "SEALIFT_SIGNING_CONFIG": str(local.signing_config),
            "SEALIFT_TRUST_CONFIG": str(local.trust_config),
            "SEALIFT_IDENTITY": local.identity,
            "SEALIFT_ISSUER": local.issuer,
            "SEALIFT_GITHUB": self.world.github.api,
            **local.environment(),
            "PATH": lasting_path(self.folder / "bin"),
        }

    def keep(self) -> None:
        """Leave the services up after this process, with what ``rehearse env`` prints beside them."""
        if self.supervised is None:
            raise UsageError("there are no services to keep", next_step="sealift release --keep")
        _private(self.folder / ENVIRONMENT, json.dumps(self.exports(), indent=1))
        self.supervised.keep(self.folder / KEPT)

    def _start(self, services: list[Service]) -> None:
        if self.supervised is None:
            self.supervised = Supervised(log=self.folder / "logs" / "supervisor.log")
        self.supervised.start(services)

    def _remembering(self) -> list[Service]:
        logs = self.folder / "logs"
        return [
            public_registry(
                self.folder / "registry",
                self.ports["registry"],
                log=logs / "registry.log",
                referrers_api=self.wanted.referrers_api,
            ),
            self._github_service(logs / "github.log"),
        ]

    def _working(self) -> list[Service]:
        logs = self.folder / "logs"
        return [
            layouts_registry(self.images, self.ports["layouts"], log=logs / "layouts.log"),
            self.builder.service(log=logs / "buildkitd.log"),
        ]

    def _github_service(self, log: Path) -> Service:
        return github_service(
            self.folder / "github",
            self.ports["github"],
            repository=self.plan.config.source,
            token_file=self.github_token,
            log=log,
        )

    def _equals(self) -> tuple[Base, ...]:
        """Return the bases that stand in for those of their makers."""
        return tuple(b for b in self.bases.values() if b.trusted_root == self.sigstore.trusted_root)

    def _stand_ins(self) -> tuple[str, ...]:
        checked = advisories.load(self.ci / "advisories.yaml").checked
        return (
            *(
                f"{found.name}: an equal, assembled from Debian's signed packages, {found.digest}"
                for found in self._equals()
            ),
            f"advisories: ci/advisories.yaml, compared with its sources on {checked}",
            f"Sigstore: Fulcio, CT log, Rekor ({self.wanted.profile}), timestamp authority on loopback",
            "GitHub: releases, assets and tags in a folder",
            f"registry: olareg on loopback, {_with(self.wanted.referrers_api)} the Referrers API",
        )


@contextmanager
def rehearsal(
    plan: Plan, root: Path, wanted: Wanted, *, cache: Path, images: Path, fingerprint: str
) -> Iterator[Stage]:
    """Open a plan's world and end its services afterwards, unless they are kept.

    ``fingerprint`` names the tree that is played: the commit, or the hash of a changed tree.
    """
    folder = root / "build" / "rehearsal" / (wanted.name or fingerprint)
    with alone(folder), builder_slot(cache) as builder:
        folder.mkdir(exist_ok=True)
        os.utime(folder)
        prune(root)
        if stop_kept(folder / KEPT):
            say("ended the services that an earlier --keep left")
        stage = _prepare(
            plan, folder, wanted, cache=cache, images=images, ci=_ci(plan, root, folder), builder=builder
        )
        try:
            yield stage
        finally:
            stage.close()


def _ci(plan: Plan, root: Path, folder: Path) -> Path:
    """Give the folder with what the tree that is played says of advisories."""
    name = "ci/advisories.yaml"
    text = git.working_file(root, name) if plan.modified else git.file_of(root, plan.commit, name)
    publish(folder / name, text.encode())
    return folder / "ci"


def _prepare(
    plan: Plan, folder: Path, wanted: Wanted, *, cache: Path, images: Path, ci: Path, builder: Builder
) -> Stage:
    ports = lasting_ports(folder / "ports.json", PORTS, claims=cache / "ports")
    sigstore = prepare_sigstore(
        folder / "sigstore",
        profile=wanted.profile,
        claims=github_claims(plan.config.source, plan.commit, plan.version, plan.config.signer),
        cache=cache,
        server=plan.config.host.url,
    )
    token = folder / "github.token"
    if not token.exists():
        _private(token, secrets.token_urlsafe(32))
    # A release begins with a tag that was pushed.
    Store(folder / "github").add_tag(plan.version.git_tag, plan.commit)
    facts = advisories.load(ci / "advisories.yaml")
    advisories.write_trivy_database(facts, folder / "advisories" / "trivy", datetime.now(UTC))
    advisories.write_go_database(facts, folder / "advisories" / "go")
    # olareg keeps layouts as they are, so equals need no push.
    host, env = f"localhost:{ports['registry']}", client_environment(folder / "home")
    bases = world_bases(plan, folder, sigstore, cache=cache, host=host, env=env)
    return Stage(
        plan=plan,
        folder=folder,
        wanted=wanted,
        images=images,
        ports=ports,
        sigstore=sigstore,
        builder=builder,
        bases=bases,
        ci=ci,
    )


def _with(there: bool) -> str:
    return "with" if there else "without"


def _private(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
