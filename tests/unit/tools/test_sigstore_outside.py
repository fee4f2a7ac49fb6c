"""What the sigstore library raises, and whether asking again may help."""

from __future__ import annotations

import pytest
import requests
from requests.structures import CaseInsensitiveDict
from sigstore._internal.fulcio.client import FulcioClientError
from sigstore._internal.rekor import RekorClientError
from sigstore._internal.timestamp import TimestampError
from sigstore.errors import TUFError, VerificationError
from tuf.api.exceptions import DownloadError, DownloadHTTPError, ExpiredMetadataError

from sealift.errors import OutsideError
from sealift.tools.sigstore_outside import insist, outside


def answer(status: int, **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict({name.replace("_", "-"): text for name, text in headers.items()})
    return requests.HTTPError(f"{status} from the server", response=response)


def fulcio(cause: Exception) -> Exception:
    error = FulcioClientError()
    error.__cause__ = cause
    return error


def rekor(cause: requests.HTTPError) -> Exception:
    """Raise it as the library does: in a handler, without ``from``."""
    try:
        try:
            raise cause
        except requests.HTTPError as err:
            raise RekorClientError(err)  # noqa: B904 - the library's own way
    except RekorClientError as err:
        return err


def keys(cause: Exception) -> Exception:
    error = TUFError("Failed to refresh TUF metadata")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "again", "wait"),
    [
        (fulcio(answer(503, Retry_After="12")), True, 12),
        (fulcio(answer(500)), True, None),
        (fulcio(answer(429, Retry_After="30")), True, 30),
        (fulcio(answer(400)), False, None),
        (fulcio(answer(401)), False, None),
        (fulcio(answer(403)), False, None),
        (rekor(answer(502)), True, None),
        (rekor(answer(408)), True, None),
        (rekor(answer(400)), False, None),
        (rekor(answer(413)), False, None),
        (rekor(answer(409)), True, None),
        (requests.ConnectionError("refused"), True, None),
        (requests.ReadTimeout("silence"), True, None),
        (requests.exceptions.ChunkedEncodingError("broke off"), True, None),
        (requests.exceptions.SSLError("a certificate that nobody believes"), False, None),
        (requests.exceptions.JSONDecodeError("a page", "<html>", 0), True, None),
        (KeyError("signedCertificateEmbeddedSct"), True, None),
        (VerificationError("the promise of the CT log is wrong"), False, None),
        (keys(DownloadError("unreachable")), True, None),
        (keys(DownloadHTTPError("busy", 503)), True, None),
        (keys(DownloadHTTPError("forbidden", 403)), False, None),
        (keys(ExpiredMetadataError("too old")), False, None),
    ],
    ids=lambda value: repr(value.__cause__ or value) if isinstance(value, Exception) else None,
)
def test_whether_asking_again_may_help(error: Exception, again: bool, wait: float | None) -> None:
    told = outside(error, "it was not signed")
    assert (told.exit_code, told.again, told.retry_after) == (4, again, wait)
    assert told.happened == "it was not signed"


class Authority:
    """A timestamp authority's client, which fails as the library's does."""

    def __init__(self, status: int) -> None:
        self.status = status

    def request_timestamp(self, signature: bytes) -> bytes:
        if self.status == 200:
            return signature
        try:
            raise answer(self.status, Retry_After="7")
        except requests.HTTPError as err:
            raise TimestampError(f"error while sending the request: {err}")  # noqa: B904 - the library's way


@pytest.mark.parametrize(("status", "again"), [(429, True), (500, True), (401, False)])
def test_an_authority_that_gives_no_timestamp_ends_the_signing(status: int, again: bool) -> None:
    authority = Authority(status)
    insist(authority)
    with pytest.raises(OutsideError, match="gave no timestamp: error while sending") as caught:
        authority.request_timestamp(b"signature")
    assert (caught.value.again, caught.value.retry_after) == (again, 7)


def test_one_that_gives_it_is_left_alone() -> None:
    authority = Authority(200)
    insist(authority)
    assert authority.request_timestamp(b"signature") == b"signature"
