package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// materials lists what was linked into the binary, as SPDX 2.3: it asks the
// binary itself, so the list can't differ from what runs.
func materials(binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(raw))
	doc := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: "codb",
		Namespace: "https://github.com/codb-dev/codb/sbom/" + sum,
		Creation:  creation{Created: created().Format(time.RFC3339), Creators: []string{"Tool: codb-hack-image"}},
	}
	main := module("SPDXRef-codb", &info.Main)
	main.Purpose = "APPLICATION"
	main.Checksums = []checksum{{"SHA256", sum}}
	doc.Packages = append(doc.Packages, main)
	doc.relate("SPDXRef-DOCUMENT", "DESCRIBES", main.SPDXID)
	compiler := described("SPDXRef-go", "stdlib", strings.TrimPrefix(info.GoVersion, "go"))
	doc.Packages = append(doc.Packages, compiler)
	doc.relate(main.SPDXID, "DEPENDS_ON", compiler.SPDXID)
	for i, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p := module("SPDXRef-module-"+strconv.Itoa(i+1), m)
		doc.Packages = append(doc.Packages, p)
		doc.relate(main.SPDXID, "DEPENDS_ON", p.SPDXID)
	}
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

// created is the time that a release sets for reproducible builds, or none.
func created() time.Time {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		seconds = 0
	}
	return time.Unix(seconds, 0).UTC()
}

type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	SPDXID        string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxPackage struct {
	SPDXID     string      `json:"SPDXID"`
	Name       string      `json:"name"`
	Version    string      `json:"versionInfo,omitempty"`
	Purpose    string      `json:"primaryPackagePurpose"`
	Location   string      `json:"downloadLocation"`
	Analyzed   bool        `json:"filesAnalyzed"`
	Concluded  string      `json:"licenseConcluded"`
	Declared   string      `json:"licenseDeclared"`
	Copyright  string      `json:"copyrightText"`
	Comment    string      `json:"comment,omitempty"`
	Checksums  []checksum  `json:"checksums,omitempty"`
	References []reference `json:"externalRefs,omitempty"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Kind string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

func (d *document) relate(from, kind, to string) {
	d.Relationships = append(d.Relationships, relationship{from, kind, to})
}

func module(id string, m *debug.Module) spdxPackage {
	version := m.Version
	if version == "(devel)" {
		version = ""
	}
	p := described(id, m.Path, version)
	if m.Sum != "" {
		p.Comment = "go.sum " + m.Sum
	}
	return p
}

// described says nothing of licences: a list of modules does not know them.
func described(id, name, version string) spdxPackage {
	locator := "pkg:golang/" + name
	if version != "" {
		locator += "@" + version
	}
	return spdxPackage{
		SPDXID: id, Name: name, Version: version, Purpose: "LIBRARY",
		Location: "NOASSERTION", Concluded: "NOASSERTION", Declared: "NOASSERTION", Copyright: "NOASSERTION",
		References: []reference{{"PACKAGE-MANAGER", "purl", locator}},
	}
}
