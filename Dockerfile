# codb's image: one static binary, nothing else. Where there is no Docker,
# "make image" builds the same with Go alone, and its bill of materials.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags="-s -w -buildid=" -o /codb ./cmd/codb

FROM scratch
COPY --from=build /codb /codb
USER 65532:65532
ENTRYPOINT ["/codb"]
