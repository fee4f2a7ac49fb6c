"""What a registry means by 401 and 403: no right, no login, or a repository that does not exist yet."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.errors import OutsideError
from sealift.tools.docker_login import absent_helper
from sealift.tools.http import Answer, refusal

UNAUTHORIZED, FORBIDDEN = 401, 403


class DeniedError(OutsideError):
    """The registry or its token server denied access.

    Many answer so for a repository that does not exist, too, so as not to tell strangers which ones do.
    ``status`` is 401 or 403.
    """

    status = UNAUTHORIZED


def refused(answer: Answer, what: str, repository: str, env: Mapping[str, str] | None) -> OutsideError:
    """Make an error of an answer that is no success; one that denies access says what may be missing."""
    error = refusal(answer, what)
    if answer.status not in (UNAUTHORIZED, FORBIDDEN):
        return error
    denied = DeniedError(
        error.happened,
        means=f"this login has no right to {repository}, or the repository does not exist yet",
        next_step=next_step_for(repository, env),
        again=False,
    )
    denied.status = answer.status
    return denied


def next_step_for(repository: str, env: Mapping[str, str] | None) -> str:
    """Return what helps where access to a repository was denied."""
    host = repository.partition("/")[0]
    if helper := absent_helper(host, env):
        return (
            f"install {helper}, which docker's configuration names for {host} and which is not on PATH; "
            f"or take it out there, and docker login {host}"
        )
    return f"docker login {host}; check that {repository} exists, and that the login may read and push there"
