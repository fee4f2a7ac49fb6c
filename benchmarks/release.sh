#!/usr/bin/env bash
# A careful release by hand: the line's work with the line's programs, one command after the other.
#
# It prints one JSON object for each stage on stdout, {"stage": "sign", "seconds": 3.41}; everything else goes
# to stderr. It is what `sealift release` is measured against (docs/performance.md), so nothing in it is slower
# than its author would write it for himself: Trivy keeps what it has read of a layer, cosign signs an index
# and its platforms in one call, no program is started that the stage does not need.
#
# The harness gives the outside, as `sealift rehearse env` prints it, and:
#   SOURCE COMMIT VERSION   the checkout, and what is released of it     WORK  an empty folder
#   PREFIX                  before the repositories' names, "script/"    BUILDX_CONFIG BUILDX_BUILDER
#   BASES                   a folder with both bases, OCI layouts       BASE_REPOSITORY BASE_IDENTITY BASE_ISSUER
#   ADVISORIES GO_ADVISORIES  Trivy's cache folder, the Go database      CACHE  of compilers   GITHUB_TOKEN
#   PYTHON                  a Python with ziglang, the C compiler of the dynamic variant
set -euo pipefail
shopt -s inherit_errexit

readonly SERVICE=health-caretaker SUITE=debian12 GLIBC=2.36 REPOSITORY=sealift/sealift
readonly VARIANTS=(static base) ARCHITECTURES=(amd64 arm64)
readonly API="$SEALIFT_GITHUB/repos/$REPOSITORY"
declare -Ar repository=([static]="$SEALIFT_REGISTRY/$PREFIX$SERVICE" [base]="$SEALIFT_REGISTRY/$PREFIX$SERVICE-base")
declare -Ar dockerfile=([static]=Dockerfile [base]=Dockerfile.distroless-base)
declare -A index platform # digests: of a variant, of a variant/architecture

exec 3>&1 1>&2
cd "$WORK"
mkdir scan sbom assets downloaded

die() { echo "release.sh: $*" && exit 1; }

stage() { # NAME FUNCTION
  local begin=${EPOCHREALTIME/./} microseconds
  "$2"
  microseconds=$((${EPOCHREALTIME/./} - begin))
  printf '{"stage": "%s", "seconds": %d.%06d}\n' "$1" $((microseconds / 1000000)) $((microseconds % 1000000)) >&3
}
digest_of_layout() { jq -er '.manifests[0].digest' "$1/index.json"; }
blob() { cat "$1/blobs/${2/://}"; } # LAYOUT DIGEST
regctl_() { regctl --host "reg=$SEALIFT_REGISTRY,tls=disabled" "$@"; }

clone() {
  git clone --quiet --no-tags --no-checkout "$SOURCE" source
  git -C source checkout --quiet --detach "$COMMIT"
  SOURCE_DATE_EPOCH=$(git -C source show -s --format=%ct HEAD)
  CREATED=$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
  export SOURCE_DATE_EPOCH CREATED
}

base() {
  local variant
  for variant in "${VARIANTS[@]}"; do
    cosign verify --trusted-root "$SEALIFT_TRUSTED_ROOT" --output text \
      --certificate-identity "$BASE_IDENTITY" --certificate-oidc-issuer "$BASE_ISSUER" \
      "$BASE_REPOSITORY/$variant-$SUITE@$(digest_of_layout "$BASES/$variant")" >/dev/null
  done
}

go_build() { # VARIANT ARCHITECTURE WORDS...: settings for this build alone
  local out="$WORK/dist/$1/linux/$2/$SERVICE" ldflags="-s -w -buildid= -X main.version=$VERSION"
  if [[ $1 == base ]]; then ldflags+=" -linkmode=external -extldflags=-s"; fi
  env GOENV=off GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off GOOS=linux GOARCH="$2" \
    GOAMD64=v1 GOARM64=v8.0 GOCACHE="$CACHE/go-build" GOMODCACHE="$CACHE/go-mod" "${@:3}" \
    go build -C source/src/$SERVICE -trimpath -buildvcs=true "-ldflags=$ldflags" -o "$out" ./cmd/$SERVICE
}

compile() {
  local arch zig="$CACHE/zig"
  declare -A cpu=([amd64]=x86_64 [arm64]=aarch64)
  for arch in "${ARCHITECTURES[@]}"; do
    go_build static "$arch" CGO_ENABLED=0
    go_build base "$arch" CGO_ENABLED=1 ZIG_GLOBAL_CACHE_DIR="$zig" ZIG_LOCAL_CACHE_DIR="$zig" \
      "CC=$PYTHON -m ziglang cc -target ${cpu[$arch]}-linux-gnu.$GLIBC"
  done
}

prove() {
  local variant arch binary facts needed newest
  declare -A machine=([amd64]=x86-64 [arm64]="ARM aarch64")
  for variant in "${VARIANTS[@]}"; do for arch in "${ARCHITECTURES[@]}"; do
    binary=dist/$variant/linux/$arch/$SERVICE
    facts=$(file --brief "$binary")
    [[ $facts == *"${machine[$arch]}"* ]] || die "$binary is for another machine: $facts"
    needed=$(readelf --dynamic --wide "$binary" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort | paste -sd' ')
    if [[ $variant == static ]]; then
      [[ $facts == *"statically linked"* && -z $needed ]] || die "$binary is not static: $facts"
    else
      [[ $needed == libc.so.6 ]] || die "$binary needs $needed"
      newest=$(readelf --version-info --wide "$binary" | grep -o 'GLIBC_2\.[0-9]*' | sort -uV | tail -n1)
      [[ $(printf '%s\n' "$newest" "GLIBC_$GLIBC" | sort -V | tail -n1) == "GLIBC_$GLIBC" ]] ||
        die "$binary needs $newest"
    fi
    facts=$(go version -m "$binary")
    [[ $facts == *"vcs.revision=$COMMIT"* && $facts == *"vcs.modified=false"* && $facts == *"GOARCH=$arch"* ]] ||
      die "$binary is not of $COMMIT: $facts"
  done; done
}

image() {
  local variant layout label=org.opencontainers.image url="https://github.com/$REPOSITORY" arch config
  for variant in "${VARIANTS[@]}"; do
    layout=layouts/$variant
    docker-buildx build --progress=plain --provenance=false --sbom=false \
      --file "source/${dockerfile[$variant]}" --platform linux/amd64,linux/arm64 --build-arg SUITE=$SUITE \
      --build-context "binary=dist/$variant" --build-context \
      "gcr.io/distroless/$variant-$SUITE:nonroot=oci-layout://$BASES/$variant@$(digest_of_layout "$BASES/$variant")" \
      --label "$label.created=$CREATED" --label "$label.revision=$COMMIT" --label "$label.version=$VERSION" \
      --label "$label.title=$SERVICE" --label "$label.source=$url" --label "$label.url=$url" \
      --label "$label.licenses=Apache-2.0" \
      --output "type=oci,tar=false,dest=$layout,rewrite-timestamp=true,name=$SERVICE:$VERSION" source
    index[$variant]=$(digest_of_layout "$layout")
    for arch in "${ARCHITECTURES[@]}"; do
      platform[$variant/$arch]=$(blob "$layout" "${index[$variant]}" |
        jq -er --arg arch "$arch" '.manifests[] | select(.platform.architecture == $arch).digest')
      config=$(blob "$layout" "$(blob "$layout" "${platform[$variant/$arch]}" | jq -er .config.digest)")
      jq -e --arg revision "$COMMIT" --arg binary "/$SERVICE" --arg key $label.revision '.config |
        .User == "65532:65532" and .Entrypoint == [$binary] and .Labels[$key] == $revision' \
        <<<"$config" >/dev/null || die "the image $variant/$arch is not as planned: $config"
    done
  done
}

push() { # by digest: no tag names it before everything has passed
  local variant
  for variant in "${VARIANTS[@]}"; do
    regctl_ image copy "ocidir://layouts/$variant@${index[$variant]}" "${repository[$variant]}@${index[$variant]}"
    [[ $(regctl_ manifest head "${repository[$variant]}@${index[$variant]}") == "${index[$variant]}" ]] ||
      die "${repository[$variant]} does not hold ${index[$variant]}"
  done
}

answers() { # URL: asks until 200, for 30 s at most
  local deadline=$((SECONDS + 30))
  until curl --silent --fail --output /dev/null "$1"; do
    if ((SECONDS < deadline)); then sleep 0.05; else die "$1 does not answer"; fi
  done
}

smoke() {
  local engine=(docker) pull=() run=() started=() variant arch reference options name said port status
  if ! docker version >/dev/null 2>&1; then
    engine=(podman --runtime=runc --cgroup-manager=cgroupfs) pull=(--tls-verify=false)
    run=(--ulimit=nofile=1024:1024 --ulimit=nproc=1024:1024 --pull=never)
  fi
  for variant in "${VARIANTS[@]}"; do for arch in "${ARCHITECTURES[@]}"; do
    reference="${repository[$variant]}@${platform[$variant/$arch]}" name="script-$variant-$arch-$$"
    options=("--platform=linux/$arch" --read-only --cap-drop=ALL --security-opt=no-new-privileges
      --user=65532:65532 "${run[@]}")
    "${engine[@]}" pull --quiet "--platform=linux/$arch" "${pull[@]}" "$reference" >/dev/null
    "${engine[@]}" run --detach "--name=$name" "${options[@]}" --publish=127.0.0.1::8080 \
      --publish=127.0.0.1::9091 "$reference" >/dev/null
    port=$("${engine[@]}" port "$name" 8080)
    answers "http://$port/healthz"
    answers "http://$port/readyz"
    answers "http://$("${engine[@]}" port "$name" 9091)/metrics"
    said=$("${engine[@]}" exec "$name" /health-caretaker -version)
    [[ " $said " == *" $VERSION "* ]] || die "$reference says it is $said"
    status=0
    "${engine[@]}" exec "$name" sh -c true || status=$?
    ((status == 126 || status == 127)) || die "a shell starts in $reference, or the engine fails: $status"
    "${engine[@]}" stop --time=2 "$name" >/dev/null
    [[ $("${engine[@]}" inspect --format='{{.State.ExitCode}}' "$name") == 0 ]] || die "$name did not stop well"
    "${engine[@]}" rm --force "$name" >/dev/null
    started+=("$reference")
  done; done
  "${engine[@]}" rmi "${started[@]}" >/dev/null
}

trivy_() { # VARIANT/ARCHITECTURE FORMAT FILE
  trivy image --image-src remote --platform "linux/${1#*/}" --scanners vuln --offline-scan --skip-db-update \
    --skip-java-db-update --skip-version-check --skip-vex-repo-update --disable-telemetry --quiet \
    --cache-dir "$ADVISORIES" --format "$2" --output "$3" "${repository[${1%/*}]}@${platform[$1]}"
}

scan() {
  local cell name
  for cell in "${!platform[@]}"; do
    name=${cell/\//-}
    trivy_ "$cell" json "scan/$name.json"
    jq -e '[.Results[]?.Vulnerabilities[]? | select(.FixedVersion and (.Severity | IN("HIGH", "CRITICAL")))]
      == []' "scan/$name.json" >/dev/null || die "$cell has weaknesses with a fix: see scan/$name.json"
    trivy convert --quiet --cache-dir "$ADVISORIES" --format cosign-vuln --output "scan/$name.vuln.json" \
      "scan/$name.json"
    # A finding ends it with status 3.
    govulncheck -mode=binary -db "file://$GO_ADVISORIES" "dist/${cell%/*}/linux/${cell#*/}/$SERVICE"
  done
}

sbom() {
  local cell name
  for cell in "${!platform[@]}"; do
    name=${cell/\//-}
    trivy_ "$cell" spdx-json "sbom/$name.spdx.json"
    trivy_ "$cell" cyclonedx "sbom/$name.cdx.json"
    jq -e '[.packages[] | select(.name == "stdlib")] != []' "sbom/$name.spdx.json" >/dev/null ||
      die "the SPDX list of $cell has no Go modules"
    jq -e '[.components[] | select(.purl // "" | startswith("pkg:deb/"))] != []' "sbom/$name.cdx.json" \
      >/dev/null || die "the CycloneDX list of $cell has no Debian packages"
  done
}

provenance() { # VARIANT
  jq -n --arg source "git+https://github.com/$REPOSITORY" --arg ref "refs/tags/v$VERSION" --arg commit "$COMMIT" \
    --arg base "oci://gcr.io/distroless/$1-$SUITE:nonroot" --arg builder "$SEALIFT_IDENTITY" --arg variant "$1" \
    --arg digest "$(digest_of_layout "$BASES/$1")" --arg version "$VERSION" --arg service "$SERVICE" '{
      buildDefinition: {
        buildType: "https://github.com/sealift/sealift/buildtypes/oci-image/v1",
        externalParameters: {source: {uri: $source, ref: $ref}, service: $service, variant: $variant, version: $version},
        resolvedDependencies: [
          {uri: "\($source)@\($ref)", digest: {gitCommit: $commit}},
          {uri: $base, digest: {sha256: ($digest | ltrimstr("sha256:"))}}]},
      runDetails: {builder: {id: $builder}}}'
}

cosign_() { # VERB WORDS...
  cosign "$1" --yes --trusted-root "$SEALIFT_TRUSTED_ROOT" --signing-config "$SEALIFT_SIGNING_CONFIG" "${@:2}"
}

sign() {
  local variant arch subject name
  for variant in "${VARIANTS[@]}"; do
    provenance "$variant" >"$variant.provenance.json"
    cosign_ sign --recursive "${repository[$variant]}@${index[$variant]}"
    cosign_ attest --type slsaprovenance1 --predicate "$variant.provenance.json" \
      "${repository[$variant]}@${index[$variant]}"
    for arch in "${ARCHITECTURES[@]}"; do
      subject=${repository[$variant]}@${platform[$variant/$arch]} name=$variant-$arch
      cosign_ attest --type slsaprovenance1 --predicate "$variant.provenance.json" "$subject"
      cosign_ attest --type spdxjson --predicate "sbom/$name.spdx.json" "$subject"
      cosign_ attest --type cyclonedx --predicate "sbom/$name.cdx.json" "$subject"
      cosign_ attest --type vuln --predicate "scan/$name.vuln.json" "$subject"
    done
  done
}

accepted() { # VERB WORDS...
  cosign "$1" --trusted-root "$SEALIFT_TRUSTED_ROOT" --certificate-identity "$SEALIFT_IDENTITY" \
    --certificate-oidc-issuer "$SEALIFT_ISSUER" --certificate-github-workflow-sha "$COMMIT" "${@:2}" >/dev/null
}

verify() {
  local variant arch kind
  for variant in "${VARIANTS[@]}"; do
    accepted verify "${repository[$variant]}@${index[$variant]}"
    accepted verify-attestation --type slsaprovenance1 "${repository[$variant]}@${index[$variant]}"
    for arch in "${ARCHITECTURES[@]}"; do
      # cosign verify takes any attestation for a signature; the type says that it is one.
      accepted verify-attestation --type https://sigstore.dev/cosign/sign/v1 \
        "${repository[$variant]}@${platform[$variant/$arch]}"
      for kind in slsaprovenance1 spdxjson cyclonedx vuln; do
        accepted verify-attestation --type $kind "${repository[$variant]}@${platform[$variant/$arch]}"
      done
    done
  done
}

github() { curl --silent --show-error --fail --header "Authorization: Bearer $GITHUB_TOKEN" "$@"; }

draft() {
  local cell stem release name upload
  for cell in "${!platform[@]}"; do
    stem=assets/$SERVICE-$VERSION-${cell%/*}-linux-${cell#*/}
    cp "dist/${cell%/*}/linux/${cell#*/}/$SERVICE" "$stem"
    cp "sbom/${cell/\//-}.spdx.json" "$stem.spdx.json"
    cp "sbom/${cell/\//-}.cdx.json" "$stem.cdx.json"
  done
  (cd assets && sha256sum -- * >SHA256SUMS)
  release=$(github --data "$(jq -n --arg tag "v$VERSION" --arg commit "$COMMIT" --arg name "$SERVICE $VERSION" \
    '{tag_name: $tag, target_commitish: $commit, name: $name, draft: true}')" "$API/releases")
  RELEASE=$(jq -er .url <<<"$release") upload=$(jq -er '.upload_url | sub("\\{.*"; "")' <<<"$release")
  for name in assets/*; do
    github --output /dev/null --header "Content-Type: application/octet-stream" --data-binary "@$name" \
      "$upload?name=${name#assets/}"
  done
  github "$RELEASE/assets?per_page=100" | jq -r '.[] | "\(.name) \(.url)"' >asset-urls
  while read -r name url; do
    github --location --header "Accept: application/octet-stream" --output "downloaded/$name" "$url"
  done <asset-urls
  diff --recursive --brief assets downloaded
}

promote() { # version tags, the release, then the tags that move
  local variant tag
  for variant in "${VARIANTS[@]}"; do
    if regctl_ tag ls "${repository[$variant]}" | grep -qx "$VERSION"; then
      die "${repository[$variant]}:$VERSION is there already"
    fi
    tag_ "${repository[$variant]}" "${index[$variant]}" "$VERSION"
  done
  github --output /dev/null --request PATCH --data '{"draft": false}' "$RELEASE"
  for variant in "${VARIANTS[@]}"; do for tag in "${VERSION%.*}" "${VERSION%%.*}" latest; do
    tag_ "${repository[$variant]}" "${index[$variant]}" "$tag"
  done; done
}

tag_() { # REPOSITORY DIGEST TAG
  regctl_ image copy "$1@$2" "$1:$3"
  [[ $(regctl_ manifest head "$1:$3") == "$2" ]] || die "$1:$3 does not name $2"
}

for name in clone base compile prove image push smoke scan sbom sign verify draft promote; do
  stage $name $name
done
