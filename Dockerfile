# codb's image: two static programs, nothing else. Where there is no Docker,
# "make image" builds the same with Go alone, and its bill of materials.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o /out/ ./cmd/codb ./cmd/codb-run

FROM scratch
COPY --from=build /out/codb /out/codb-run /
USER 65532:65532
ENTRYPOINT ["/codb"]
