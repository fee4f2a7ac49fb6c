"""Image: configurations with two meanings, or with more than the plan describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sealift.stations.gate import GateRefusedError
from tests.attacks.catalogue import Attack, Kind, attacks, each
from tests.unit.stations.imaged import also, changed, look, right_image, settings, text

Change = Callable[[Any], Any]
JSON = dict[str, Any]
OTHER = "sha256:" + "0" * 64


@each(
    *attacks(
        Kind.READERS,
        "image",
        {
            "a configuration with `Config` beside `config`": (
                text(b"{", b'{"Config":{"User":"0"},'),
                "unknown field `Config`",
            ),
            "a configuration with `Rootfs` beside `rootfs`": (
                text(b"{", b'{"Rootfs":{},'),
                "unknown field `Rootfs`",
            ),
            "settings with `user` 0:0 beside `User`": (
                text(b'"User":', b'"user":"0:0","User":'),
                "unknown field `user`",
            ),
            "settings with `env` (LD_PRELOAD) beside `Env`": (
                text(b'"Env":', b'"env":["LD_PRELOAD=/tmp/x"],"Env":'),
                "unknown field `env`",
            ),
            "settings with `User` twice": (
                text(b'"User":', b'"User":"0:0","User":'),
                "the member 'User' stands twice",
            ),
        },
    )
)
def test_image_rejects_configuration_with_two_meanings(tmp_path: Path, attack: Attack[Change]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, changed("configuration", attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.MORE,
        "image",
        {
            "`created` in the future": (
                also(created="2999-01-01T00:00:00Z"),
                "configuration: created: expected",
            ),
            "a configuration with `os.version`": (
                also(**{"os.version": "10.0"}),
                "unknown field `os.version`",
            ),
            "a configuration with `os.features`": (
                also(**{"os.features": ["win32k"]}),
                "unknown field `os.features`",
            ),
            "a configuration for variant v9": (
                also(variant="v9"),
                "configuration: variant: expected nothing, got 'v9'",
            ),
            "a configuration with another author": (
                also(author="Mallory"),
                "configuration: author: expected nothing, got 'Mallory'",
            ),
            "a configuration for freebsd": (
                also(os="freebsd"),
                "platform in the configuration: expected linux/amd64",
            ),
            "a configuration with another type of root": (
                also(rootfs={"type": "other", "diff_ids": []}),
                "has a root of the type 'other'",
            ),
            "a configuration that names another layer of the base": (
                lambda f: f | {"rootfs": f["rootfs"] | {"diff_ids": [OTHER, *f["rootfs"]["diff_ids"][1:]]}},
                "configuration: rootfs.diff_ids[0]: expected",
            ),
            "a configuration without history": (also(history=[]), "history: 0 steps for 2 layers"),
            "a changed history of the base": (
                lambda f: f | {"history": [f["history"][0] | {"created_by": "RUN true"}, *f["history"][1:]]},
                "history: history[0].created_by: expected 'sealift rehearsal', got 'RUN true'",
            ),
            "a history with a command that never ran": (
                lambda f: (
                    f | {"history": [*f["history"][:-1], f["history"][-1] | {"created_by": "RUN make check"}]}
                ),
                "'RUN make check' is not what a planned image is made with",
            ),
            "a history that copies something else": (
                lambda f: (
                    f
                    | {
                        "history": [
                            s
                            | (
                                {"created_by": "COPY / / # buildkit"}
                                if s["created_by"].startswith("COPY")
                                else {}
                            )
                            for s in f["history"]
                        ]
                    }
                ),
                "'COPY / / # buildkit' is not what a planned image is made with",
            ),
            "a history with another time": (
                lambda f: (
                    f
                    | {
                        "history": [
                            *f["history"][:-1],
                            f["history"][-1] | {"created": "2000-01-01T00:00:00Z"},
                        ]
                    }
                ),
                "created: expected",
            ),
            "a history by another builder": (
                lambda f: f | {"history": [*f["history"][:-1], f["history"][-1] | {"comment": "by hand"}]},
                "made by 'by hand', not by BuildKit",
            ),
        },
    )
)
def test_image_rejects_configuration_that_differs_from_plan(tmp_path: Path, attack: Attack[Change]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, changed("configuration", attack.artefact))
    attack.assert_blocked_by(caught.value)


@each(
    *attacks(
        Kind.MORE,
        "image",
        {
            "user 0:0": ({"User": "0:0"}, "user: expected 65532:65532, got 0:0"),
            "an extra label `run`": (
                {"Labels": settings()["Labels"] | {"run": "docker run --privileged IMAGE"}},
                "label run: expected None",
            ),
            "EXPOSE 22": ({"ExposedPorts": {"22/tcp": {}}}, "ExposedPorts: 22/tcp is not one of"),
            "a port with a value": (
                {"ExposedPorts": {"8080/tcp": {"x": 1}}},
                "ExposedPorts: 8080/tcp is not one of",
            ),
            "a health check once a year": (
                {"Healthcheck": settings()["Healthcheck"] | {"Interval": 365 * 86400 * 10**9}},
                "health check: interval is",
            ),
            "a health check with 1,000 retries": (
                {"Healthcheck": settings()["Healthcheck"] | {"Retries": 1000}},
                "health check: retries is 1000, expected 1 to 10",
            ),
            "a health check with an unknown member": (
                {"Healthcheck": settings()["Healthcheck"] | {"Shell": "/bin/sh"}},
                "unknown field `Shell`",
            ),
            "an empty health check": ({"Healthcheck": {}}, "health check: expected ['CMD',"),
            "a health check NONE": ({"Healthcheck": {"Test": ["NONE"]}}, "health check: expected ['CMD',"),
            "a health check of another type": ({"Healthcheck": {"Test": [1]}}, "Expected `str`, got `int`"),
            "StopTimeout": ({"StopTimeout": 600}, "unknown field `StopTimeout`"),
            "Tty": ({"Tty": True}, "settings: Tty: expected nothing, got True"),
            "OpenStdin": ({"OpenStdin": True}, "settings: OpenStdin: expected nothing"),
            "Hostname": ({"Hostname": "other"}, "settings: Hostname: expected nothing"),
            "NetworkDisabled": ({"NetworkDisabled": True}, "unknown field `NetworkDisabled`"),
            "a volume /": ({"Volumes": {"/": {}}}, "Volumes of the base: expected None"),
            "ONBUILD": ({"OnBuild": ["RUN true"]}, "OnBuild of the base: expected None"),
            "SHELL": ({"Shell": ["/bin/sh", "-c"]}, "Shell of the base: expected None"),
            "STOPSIGNAL SIGKILL": ({"StopSignal": "SIGKILL"}, "StopSignal of the base: expected None"),
            "LD_PRELOAD in the environment": (
                {"Env": [*settings()["Env"], "LD_PRELOAD=/tmp/x"]},
                "Env of the base: expected",
            ),
        },
    )
)
def test_image_rejects_settings_that_differ_from_plan(tmp_path: Path, attack: Attack[JSON]) -> None:
    with pytest.raises(GateRefusedError) as caught:
        look(tmp_path, right_image().saying(**attack.artefact))
    attack.assert_blocked_by(caught.value)
