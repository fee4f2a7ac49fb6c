"""A change that lets a release through which its own gates would have stopped before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sealift.errors import UsageError
from sealift.model.bases import GOOGLE, LockedBase
from sealift.model.evidence import BaseLooked, Built
from sealift.model.exceptions import LONGEST, Exception_
from sealift.model.exceptions import Kind as Waived
from sealift.model.names import Digest
from sealift.model.plan import Plan
from sealift.model.settings import UserIds
from sealift.stations import base as station
from sealift.stations.gate import GateRefusedError
from sealift.stations.plan import plan
from sealift.stations.policy import CONFIG, EXCEPTIONS, LOCK
from sealift.tools.cosign import Cosign
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.tools.checkouts import Checkout
from tests.unit.stations.imaged import Image, look, planned, right_image
from tests.unit.stations.things import Shelves, world

pytestmark = pytest.mark.programs

TODAY = datetime.now(UTC).date()
DAY = timedelta(days=1)
LATEST = TODAY + LONGEST
CONFIGURED = (Path(__file__).parents[2] / CONFIG).read_text(encoding="utf-8")
EVIL = "me@evil.example https://accounts.google.com"
ENTRY = "- {{kind: {kind}, id: {id}, owner: them, reason: it is fine, until: {until}}}\n"


def waiver(kind: Waived, name: str, until: date = TODAY) -> Exception_:
    return Exception_(kind=kind, id=name, owner="them", reason="it is fine", until=until)


def entry(kind: str, name: str, until: date | str = TODAY) -> str:
    return ENTRY.format(kind=kind, id=name, until=until)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    for name in ("GITHUB_ACTIONS", "GITHUB_REF"):
        monkeypatch.delenv(name, raising=False)
    return Checkout.made(tmp_path / "checkout", {CONFIG: CONFIGURED, ".gitignore": "build/\n"})


# Waivers.


@each(
    *attacks(
        Kind.POLICY,
        "plan",
        {
            "a waiver until the year 9999": (
                entry("finding", "CVE-2026-1", "9999-12-31"),
                f"write until: {LATEST}",
            ),
            "a waiver of 181 days": (
                entry("finding", "CVE-2026-1", LATEST + DAY),
                "is more than 180 days from today",
            ),
            "a base's waiver of a year": (
                entry("base", "debian12", TODAY + 365 * DAY),
                f"write until: {LATEST}",
            ),
            "a waiver without an end date": (
                entry("finding", "CVE-2026-1").replace(f", until: {TODAY}", ""),
                "the key until is missing",
            ),
            "a waiver without an owner": (
                entry("finding", "CVE-2026-1").replace("owner: them, ", ""),
                "the key owner is missing",
            ),
            "a waiver without a reason": (
                entry("finding", "CVE-2026-1").replace("reason: it is fine, ", ""),
                "the key reason is missing",
            ),
            "a waiver for every advisory": (entry("finding", '"*"'), "'*' is not an advisory"),
            "a waiver for a part of an advisory's name": (
                entry("finding", '"CVE-"'),
                "'CVE-' is not an advisory",
            ),
            "a waiver for every user": (entry("user", '"*"'), "'*' is not image.user"),
            "a waiver for every signer": (
                entry("signer", '".* https://.*/ x"'),
                "is not identity and issuer",
            ),
            "a waiver for a signer by any issuer": (
                entry("signer", "me@evil.example"),
                "is not identity and issuer",
            ),
            "a waiver of a kind that no gate has": (entry("gate", "push"), "'gate' is not one of"),
            "two waivers for one thing": (
                entry("base", "debian12") + entry("base", "debian12", LATEST),
                "is excused twice",
            ),
        },
        exit_code=2,
    )
)
def test_plan_rejects_waiver_that_is_too_wide_or_too_long(checkout: Checkout, attack: Attack[str]) -> None:
    checkout.commit({EXCEPTIONS: attack.artefact})
    with pytest.raises(UsageError) as caught:
        plan(checkout.folder, version="1.0.0")
    attack.assert_blocked_by(caught.value)


def test_plan_accepts_waiver_of_half_a_year(checkout: Checkout) -> None:
    checkout.commit({EXCEPTIONS: entry("finding", "CVE-2026-1", LATEST) + entry("user", '"0:0"', LATEST)})
    assert [one.until for one in plan(checkout.folder, version="1.0.0").waivers] == [LATEST, LATEST]


# Root.


@dataclass(frozen=True, kw_only=True)
class Root:
    """A user of the image, and the waivers of the same change."""

    user: str
    waivers: tuple[Exception_, ...] = ()


def as_root(folder: Path, root: Root) -> Built:
    """Look at an image that is as planned, and was planned for this user."""
    config = planned().config
    user = UserIds(root.user)
    image = msgspec.structs.replace(config.image, user=user)
    changed = msgspec.structs.replace(
        planned(), config=msgspec.structs.replace(config, image=image), waivers=root.waivers
    )
    right = right_image().saying(User=root.user)
    steps = [{**s, "created_by": s["created_by"].replace(str(config.image.user), user)} for s in right.steps]
    return look(folder, replace(right, steps=tuple(steps)), plan=changed)


@each(
    *attacks(
        Kind.POLICY,
        "image",
        {
            "root as the image's user": (
                Root(user="0:0"),
                'needs a waiver in ci/exceptions.yaml: kind: user, id: "0:0"',
            ),
            "root as the user with another group": (Root(user="0:65532"), "the image runs as 0:65532"),
            "root's group": (Root(user="65532:0"), "the image runs as 65532:0"),
            "root with a waiver that ended": (
                Root(user="0:0", waivers=(waiver("user", "0:0", TODAY - DAY),)),
                f"the waiver of them ended on {TODAY - DAY}",
            ),
            "root with a waiver for root's group": (
                Root(user="0:0", waivers=(waiver("user", "65532:0"),)),
                "the image runs as 0:0",
            ),
            "root with a waiver of another kind": (
                Root(user="0:0", waivers=(waiver("finding", "0:0"),)),
                "the image runs as 0:0",
            ),
        },
    )
)
def test_image_rejects_root_without_waiver(tmp_path: Path, attack: Attack[Root]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        as_root(tmp_path, attack.artefact)
    attack.assert_blocked_by(caught.value)
    assert [gate.verdict for gate in caught.value.gates].count("refused") == 1


def test_image_accepts_root_with_waiver_and_names_it(tmp_path: Path) -> None:
    built = as_root(tmp_path, Root(user="0:0", waivers=(waiver("user", "0:0"),)))
    (excused,) = [gate.detail for gate in built.gates if gate.verdict == "excused"]
    assert excused.endswith(f"root or its group; excused by user 0:0: it is fine (them, until {TODAY})")


# Signers of a base.


class Believes(Cosign):
    """A client that accepts the signature: the evil base has a good one, of its own signer."""

    def verify(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class Answers(Shelves):
    """A registry that can be read."""

    def referrers(self, *_args: Any, **_kwargs: Any) -> tuple[()]:
        return ()


@dataclass(frozen=True, kw_only=True)
class Signed:
    """Who signed a base by the lock, and the waivers of the same change."""

    identity: str = "me@evil.example"
    issuer: str = "https://accounts.google.com"
    waivers: tuple[Exception_, ...] = ()


def built_on(folder: Path, signed: Signed, monkeypatch: pytest.MonkeyPatch) -> BaseLooked:
    monkeypatch.setattr(station, "SUPPORT_ENDS", {})
    below = Image(layers=(), settings={}, steps=(), created="").write(folder)
    locked = LockedBase(digest=below, identity=signed.identity, issuer=signed.issuer, date=TODAY)
    made = msgspec.structs.replace(planned(), bases={"static": locked}, waivers=signed.waivers)
    found = replace(world(folder).bases["static"], digest=below, signer=locked.signer)
    cosign = Believes(trusted_root=None, identity=locked.signer)
    return station.base("static", made, found, made.waivers, cosign=cosign, registry=Answers())


@each(
    *attacks(
        Kind.POLICY,
        "base",
        {
            "an evil base with its own signer": (
                Signed(),
                f'needs a waiver in ci/exceptions.yaml: kind: signer, id: "{EVIL}"',
            ),
            "the makers' name by another issuer": (
                Signed(identity=GOOGLE.san, issuer="https://evil.example"),
                "which is not its maker",
            ),
            "another name by the makers' issuer": (
                Signed(identity=f"x{GOOGLE.san}"),
                "which is not its maker",
            ),
            "another signer with a waiver that ended": (
                Signed(waivers=(waiver("signer", EVIL, TODAY - DAY),)),
                f"the waiver of them ended on {TODAY - DAY}",
            ),
            "another signer with a waiver for its other issuer": (
                Signed(issuer="https://evil.example", waivers=(waiver("signer", EVIL),)),
                "which is not its maker",
            ),
            "another signer with a waiver for the suite": (
                Signed(waivers=(waiver("base", "debian12"),)),
                "which is not its maker",
            ),
        },
    )
)
def test_base_rejects_other_signer_without_waiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack[Signed]
) -> None:
    with pytest.raises(GateRefusedError) as caught:
        built_on(tmp_path, attack.artefact, monkeypatch)
    attack.assert_blocked_by(caught.value)


def test_base_accepts_makers_and_names_waiver_of_other_signer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    makers = Signed(identity=GOOGLE.san, issuer=GOOGLE.issuer)
    gates = built_on(tmp_path / "makers", makers, monkeypatch).gates
    assert {gate.verdict for gate in gates} == {"pass"}
    waived = Signed(waivers=(waiver("signer", EVIL),))
    gates = built_on(tmp_path / "waived", waived, monkeypatch).gates
    (excused,) = [gate.detail for gate in gates if gate.verdict == "excused"]
    assert excused.endswith(f"excused by signer {EVIL}: it is fine (them, until {TODAY})")


# What a reviewer sees.

DIGEST = Digest.of(b"a base")
EVIL_LOCK = f"""\
debian12:
  static:
    {{digest: "{DIGEST}", identity: me@evil.example, issuer: https://accounts.google.com, date: 2026-01-01}}
"""
WEAK = (
    ("severities: [HIGH, CRITICAL]", "severities: [CRITICAL]"),
    ("not_checked: refuse", "not_checked: allow"),
    ("start_seconds: 30", "start_seconds: 86400"),
    ("stop_seconds: 2", "stop_seconds: 60"),
    ('user: "65532:65532"', 'user: "0:0"'),
    ("suite: debian12", "suite: debian12\nissuer: https://evil.example"),
)


def weakened() -> str:
    text = CONFIGURED
    for old, new in WEAK:
        assert old in text
        text = text.replace(old, new)
    return text


def test_plan_lists_every_weaker_setting(checkout: Checkout) -> None:
    checkout.commit({CONFIG: weakened(), EXCEPTIONS: entry("user", '"0:0"'), LOCK: EVIL_LOCK})
    found = {one.key: one.value for one in plan(checkout.folder, version="1.0.0").weaker}
    assert found == {
        "image.user": "0:0",
        "gates.severities": "CRITICAL",
        "gates.not_checked": "allow",
        "gates.start_seconds": "86400",
        "gates.stop_seconds": "60",
        "issuer": "https://evil.example",
        "ci/exceptions.yaml: user 0:0": f"until {TODAY}",
        "ci/bases.lock.yaml: debian12.static": EVIL,
    }


def test_plan_lists_no_usual_setting(checkout: Checkout) -> None:
    usual = "suite: debian12\nissuer: https://token.actions.githubusercontent.com/acme"
    checkout.commit({CONFIG: CONFIGURED.replace("suite: debian12", usual)})
    assert plan(checkout.folder, version="1.0.0").weaker == ()


def told(made: Plan) -> dict[str, tuple[str | None, str | None]]:
    return {one.key: (one.before, one.now) for one in made.policy.changes}


def test_plan_lists_every_change_since_last_release(checkout: Checkout) -> None:
    old = waiver("base", "debian12", TODAY - DAY)
    checkout.commit({EXCEPTIONS: entry("base", "debian12", TODAY - DAY)})
    checkout.git("tag", "v1.0.0")
    checkout.commit({CONFIG: weakened(), EXCEPTIONS: entry("user", '"0:0"')})
    checkout.git("tag", "v1.1.0-rc.1")
    checkout.commit({LOCK: EVIL_LOCK})
    made = plan(checkout.folder, version="1.1.0")
    assert made.policy.since == "1.0.0", "a prerelease in between hides nothing"
    assert told(made) == {
        "image.user": ("65532:65532", "0:0"),
        "gates.severities": ("HIGH, CRITICAL", "CRITICAL"),
        "gates.not_checked": ("refuse", "allow"),
        "gates.start_seconds": ("30", "86400"),
        "gates.stop_seconds": ("2", "60"),
        "issuer": ("not set", "https://evil.example"),
        "ci/exceptions.yaml: user 0:0": (None, f"until {TODAY}, them: it is fine"),
        "ci/exceptions.yaml: base debian12": (f"until {old.until}, them: it is fine", None),
        "ci/bases.lock.yaml: debian12.static": (
            None,
            f"{DIGEST}, signed by me@evil.example (https://accounts.google.com)",
        ),
    }
    checkout.git("tag", "v1.1.0")
    assert plan(checkout.folder, version="1.1.0").policy == made.policy, "its own tag is not the last release"
    checkout.commit({"more": "x"})
    assert plan(checkout.folder).policy.lines() == ("nothing has changed since 1.1.0",)


def test_plan_names_first_release(checkout: Checkout) -> None:
    checkout.git("tag", "v1.0.0")
    made = plan(checkout.folder)
    assert (made.policy.since, made.policy.changes) == (None, ())
    assert "first release" in made.policy.lines()[0]


def test_plan_lists_unreadable_former_policy_as_unknown(checkout: Checkout, tmp_path: Path) -> None:
    checkout.commit(
        {CONFIG: "service: of another time\n", EXCEPTIONS: entry("finding", "CVE-1", "9999-01-01")}
    )
    checkout.git("tag", "v1.0.0")
    checkout.commit({CONFIG: CONFIGURED, EXCEPTIONS: entry("finding", "CVE-2026-1")})
    made = plan(checkout.folder)
    (unknown,) = [one for one in made.policy.changes if one.verdict == "unknown"]
    assert (unknown.key, unknown.now) == (CONFIG, None)
    assert "ci/release.yaml: could not be compared: " in made.policy.lines()[0]
    assert told(made)["ci/exceptions.yaml: finding CVE-1"][0] == "until 9999-01-01, them: it is fine"
    clone = tmp_path / "shallow"
    checkout.git("clone", "--quiet", "--depth=1", f"file://{checkout.folder}", str(clone))
    (unknown,) = plan(clone, version="1.0.1").policy.changes
    assert unknown.verdict == "unknown"
    assert "git fetch --unshallow --tags" in str(unknown)
