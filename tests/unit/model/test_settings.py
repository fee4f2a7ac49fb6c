"""Every value of ci/release.yaml is held against its grammar, and the right spelling is offered."""

from __future__ import annotations

import pytest

from sealift.errors import UsageError
from sealift.model import settings
from sealift.model.names import Repository, Text

Grammar = type[Text]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (settings.RegistryName, "ghcr.io/my_org__x"),
        (settings.RegistryName, "localhost:5000"),
        (settings.RegistryName, "127.0.0.1:5000/a/b"),
        (settings.RegistryName, "[::1]:5000/a"),
        (settings.RepositoryPath, "team/health-caretaker"),
        (settings.Source, "Owner_acme/na.me"),
        (settings.GitHubHost, "github.example.com:8443"),
        (settings.IssuerUrl, "https://token.actions.githubusercontent.com/acme"),
        (settings.IssuerUrl, "https://github.example.com/_services/token"),
        (settings.GoPackage, "."),
        (settings.GoPackage, "./cmd/service"),
        (settings.GoPackage, "example.com/team/service/cmd/service"),
        (settings.LinkerSymbol, "example.com/team/service.v2/internal/build.Version"),
        (settings.LinkerSymbol, "main.größe"),
        (settings.GlibcVersion, "2.40"),
        (settings.UserIds, "0:2147483647"),
        (settings.Line, "Café, 100 %"),
    ],
)
def test_what_keeps_the_grammar_is_taken_as_it_is(kind: Grammar, text: str) -> None:
    assert kind.parse(text) == text


@pytest.mark.parametrize(
    ("kind", "text", "right"),
    [
        (settings.RegistryName, "https://ghcr.io/MyOrg/", "ghcr.io/myorg"),
        (settings.RegistryName, "https://index.docker.io/v1/", "index.docker.io"),
        (settings.RegistryName, "docker://ghcr.io//a", "ghcr.io/a"),
        (settings.RegistryName, "ghcr.io/a:1.2", "ghcr.io/a"),
        (settings.RegistryName, f"ghcr.io/a@sha256:{'0' * 64}", "ghcr.io/a"),
        (settings.RegistryName, "GHCR.io/a", "ghcr.io/a"),
        (settings.RegistryName, "ghcr.io/a\n", "ghcr.io/a"),
        (settings.RepositoryPath, "Health-Caretaker", "health-caretaker"),
        (settings.RepositoryPath, "/health-caretaker:1", "health-caretaker"),
        (settings.RepositoryPath, "health caretaker", "health-caretaker"),
        (settings.Source, "https://github.com/owner/name.git", "owner/name"),
        (settings.Source, "git@github.example.com:owner/name.git", "owner/name"),
        (settings.Source, "github.com/owner/name/tree/main", "owner/name"),
        (settings.GitHubHost, "https://GitHub.example.com/", "github.example.com"),
        (settings.GitHubHost, "api.github.com", "github.com"),
        (settings.IssuerUrl, "http://github.example.com/_services/token/", "https://github.example.com/_services/token"),
        (settings.IssuerUrl, "Token.example.com/.well-known/openid-configuration", "https://token.example.com"),
        (settings.ServiceName, "my service", "my-service"),
        (settings.RelativePath, "src\\service", "src/service"),
        (settings.RelativePath, "/src/service", "src/service"),
        (settings.RelativePath, "src/../service", "service"),
        (settings.GoPackage, "cmd/service", "./cmd/service"),
        (settings.GoPackage, "./cmd/service/...", "./cmd/service"),
        (settings.LinkerSymbol, "version", "main.version"),
        (settings.LinkerSymbol, "-X main.version=1.2.3", "main.version"),
        (settings.GlibcVersion, "glibc 2.36", "2.36"),
        (settings.UserIds, "65532", "65532:65532"),
        (settings.Line, "two\nlines", "two lines"),
        (settings.WorkflowRef, "a/b/.github/workflows/c.yml@v4", "a/b/.github/workflows/c.yml@refs/tags/v4"),
    ],
)  # fmt: skip
def test_a_slip_is_refused_with_what_was_meant(kind: Grammar, text: str, right: str) -> None:
    with pytest.raises(UsageError, match="is not a") as refused:
        kind.parse(text)
    assert refused.value.next_step == f"write it as {right}"
    assert kind.parse(right) == right


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (settings.RegistryName, "myorg"),
        (settings.RegistryName, "ghcr.io:99999/a"),
        (settings.RegistryName, "-ghcr.io/a"),
        (settings.RegistryName, "a..b/c"),
        (settings.RegistryName, ""),
        (settings.RepositoryPath, "---"),
        (settings.Source, "name"),
        (settings.Source, "owner/.."),
        (settings.Source, "-owner/name"),
        (settings.GitHubHost, "github"),
        (settings.IssuerUrl, "https://exa mple.com"),
        (settings.RelativePath, ""),
        (settings.RelativePath, "../elsewhere"),
        (settings.RelativePath, "-o"),
        (settings.RelativePath, "~/service"),
        (settings.RelativePath, ".git/hooks"),
        (settings.RelativePath, "https://example.com/a"),
        (settings.GoPackage, "-toolexec=x"),
        (settings.GoPackage, "./cmd/my service"),
        (settings.LinkerSymbol, "main.my version"),
        (settings.LinkerSymbol, "main.1st"),
        (settings.GlibcVersion, "2"),
        (settings.UserIds, "nonroot"),
        (settings.UserIds, "0:2147483648"),
        (settings.Line, "\t"),
        (settings.WorkflowRef, "owner/name/.github/workflows/../x.yml"),
        (settings.WorkflowRef, "owner/../.github/workflows/x.yml"),
        (settings.WorkflowRef, "owner/name/workflows/x.yml"),
        (settings.WorkflowRef, "owner/name/.github/workflows/x.yml@"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_an_example(kind: Grammar, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        kind.parse(text)
    assert refused.value.next_step == f"write it as {kind.example}"


def test_a_path_has_one_spelling() -> None:
    assert settings.RelativePath.parse("./src/service/") == "src/service"
    assert settings.RelativePath.parse(".") == "."


def test_a_login_in_an_address_is_not_shown() -> None:
    with pytest.raises(UsageError) as refused:
        settings.RegistryName("https://me:hunter2@ghcr.io/me")
    assert "hunter2" not in str(refused.value)
    assert refused.value.next_step == "write it as ghcr.io/me"


@pytest.mark.parametrize(
    "text", ["a..b/c", "a-.io/c", "ghcr.io:0/c", "ghcr.io:70000/c", f"ghcr.io/{'a' * 250}"]
)
def test_a_repository_that_no_registry_has(text: str) -> None:
    with pytest.raises(UsageError, match="not a repository"):
        Repository(text)


@pytest.mark.parametrize(
    ("host", "api", "issuer"),
    [
        ("github.com", "https://api.github.com", "https://token.actions.githubusercontent.com"),
        ("github.example.com", "https://github.example.com/api/v3", "https://github.example.com/_services/token"),
        ("acme.ghe.com", "https://api.acme.ghe.com", "https://token.actions.acme.ghe.com"),
    ],
)  # fmt: skip
def test_a_host_of_github_leads_to_its_api_and_its_issuer(host: str, api: str, issuer: str) -> None:
    found = settings.GitHubHost(host)
    assert (found.url, found.api, found.issuer) == (f"https://{host}", api, issuer)
