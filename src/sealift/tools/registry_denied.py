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
    host = repository.partition("/")[0]
    means = f"this login has no right to {repository}, or the repository does not exist yet"
    next_step = f"docker login {host}; then check that {repository} exists, and who may read and push there"
    if helper := absent_helper(host, env):
        means = f"no login was used: {helper}, which docker's configuration names for {host}, is not on PATH"
        next_step = f"install {helper}, or take it out of docker's configuration and docker login {host}"
    denied = DeniedError(error.happened, means=means, next_step=next_step, again=False)
    denied.status = answer.status
    return denied
