"""What the sigstore library raises when Fulcio, a log, the keys' repository or the network fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from sealift.errors import OutsideError, SealiftError
from sealift.patience import passes, retry_after
from sealift.tools.http import Http, follow_policy

if TYPE_CHECKING:
    import requests
    from sigstore.sign import SigningContext

# Seconds until a server must have taken the connection, and between two parts of its answer. A log of the
# second version answers when the entry is in its tree.
CONNECT, READ = 10.0, 60.0


def hurry(session: requests.Session) -> None:
    """Let a session follow the network policy, with timeouts: it has none, and would wait for ever."""
    follow_policy(session, timeout=(CONNECT, READ))


def hurry_all(context: SigningContext) -> Callable[[], None]:
    """Prepare all that signs, and return what each thread does first: it has sessions of its own."""
    fulcio: Any = context._fulcio  # noqa: SLF001
    hurry(fulcio.session)
    for authority in context._tsa_clients:  # noqa: SLF001
        insist(authority)
    per_thread: list[Any] = [context._rekor, *context._tsa_clients]  # noqa: SLF001

    def first() -> None:
        for client in per_thread:
            hurry(client._session)  # noqa: SLF001

    return first


def fetch_keys_by_policy() -> None:
    """Have the library fetch the public instance's keys by the network policy: it has no setting for that."""
    from functools import partial

    import sigstore._internal.tuf
    from tuf.api.exceptions import DownloadHTTPError
    from tuf.ngclient import FetcherInterface, Updater  # type: ignore[attr-defined]

    class Fetcher(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            answer = Http(connect=CONNECT, read=READ).ask("GET", url, headers={})
            if answer.status != HTTPStatus.OK:
                raise DownloadHTTPError(f"{answer.host} answered {answer.status}", answer.status)
            return iter((answer.body,))

    setattr(sigstore._internal.tuf, "Updater", partial(Updater, fetcher=Fetcher()))  # noqa: B010, SLF001


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


def own_error(err: BaseException) -> SealiftError | None:
    """Return the error of ours that the library has wrapped: a wrong setting, or what a proxy did."""
    return next((cause for cause in _causes(err) if isinstance(cause, SealiftError)), None)


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
