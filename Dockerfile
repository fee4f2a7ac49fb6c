# health-caretaker on distroless static: one binary that needs no library.
#
# By hand `docker build .` compiles. The pipeline passes the proven binaries in place of the whole
# first stage (--build-context binary=DIR) and the verified base in place of the second.
ARG SUITE=debian12

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS binary
ARG TARGETOS TARGETARCH VERSION=dev
# The golang image is only a place to compile in: every step is exec form, so any image with Go will do.
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOTOOLCHAIN=local \
    GOCACHE=/cache/build GOMODCACHE=/cache/modules \
    GOFLAGS="-trimpath -buildvcs=false '-ldflags=-s -w -buildid= -X main.version=$VERSION'"
WORKDIR /$TARGETOS/$TARGETARCH/src
COPY src/health-caretaker/ .
RUN --mount=type=cache,target=/cache ["go", "build", "-o", "../health-caretaker", "./cmd/health-caretaker"]

FROM gcr.io/distroless/static-$SUITE:nonroot
ARG TARGETOS TARGETARCH
COPY --from=binary --chmod=0755 /$TARGETOS/$TARGETARCH/health-caretaker /health-caretaker
EXPOSE 8080 9091
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/health-caretaker", "-healthcheck"]
USER 65532:65532
ENTRYPOINT ["/health-caretaker"]
