"""What the sigstore library raises when Fulcio, a log, the keys' repository or the network fails."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sealift.errors import OutsideError
from sealift.patience import passes, retry_after

if TYPE_CHECKING:
    import requests

# Seconds until a server must have taken the connection, and between two parts of its answer. A log of the
# second version answers when the entry is in its tree.
CONNECT, READ = 10.0, 60.0


def hurry(session: requests.Session) -> None:
    """Set timeouts on a session that has none: a server that says nothing would be waited for for ever."""
    from requests.adapters import HTTPAdapter

    class Hurried(HTTPAdapter):
        def send(self, *args: Any, **told: Any) -> requests.Response:
            told["timeout"] = told.get("timeout") or (CONNECT, READ)
            return super().send(*args, **told)

    for scheme in ("https://", "http://"):
        session.mount(scheme, Hurried())


def insist(authority: Any) -> None:
    """Have signing end when a timestamp authority fails: the library only warns, and logs a bundle without.

    It is asked before the log, so nothing is logged in vain.
    """
    from sigstore._internal.timestamp import TimestampError

    ask = authority.request_timestamp

    def asked(signature: bytes) -> Any:
        try:
            return ask(signature)
        except TimestampError as err:
            raise outside(err, f"the timestamp authority gave no timestamp: {words(err)}") from err

    authority.request_timestamp = asked


def outside(err: Exception, happened: str) -> OutsideError:
    """Translate an error: whether asking again may help, and after how long."""
    again, wait = _hope(err)
    return OutsideError(happened, next_step="run again", again=again, retry_after=wait)


def words(err: BaseException) -> str:
    """Return an error's words and its cause's: the library often keeps the point in the cause."""
    said = str(err) or type(err).__name__
    return f"{said} ({err.__cause__})" if err.__cause__ is not None else said


def _hope(err: BaseException) -> tuple[bool, float | None]:
    import requests
    from sigstore.errors import VerificationError
    from tuf.api.exceptions import DownloadHTTPError, RepositoryError

    for cause in _causes(err):
        match cause:
            case requests.HTTPError(response=requests.Response() as answer):
                # "It is there already": an answer was lost on the way. Another signature is another entry.
                late = answer.status_code == HTTPStatus.CONFLICT
                return late or passes(answer.status_code), retry_after(answer.headers)
            case DownloadHTTPError():
                return passes(cause.status_code), None
            # Whoever shows a wrong certificate, signature or promise will show it again.
            case requests.exceptions.SSLError() | VerificationError() | RepositoryError():
                return False, None
    return True, None


def _causes(err: BaseException | None) -> Iterator[BaseException]:
    while err is not None:
        yield err
        err = err.__cause__ or err.__context__
