package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// materials lists what was linked into the programs, as SPDX 2.3: it asks the
// programs themselves, so the list can't differ from what runs.
func materials(binaries []string) ([]byte, error) {
	doc := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", Name: "codb",
		Creation: creation{Created: created().Format(time.RFC3339), Creators: []string{"Tool: codb-hack-image"}},
	}
	known := map[string]string{} // ids of modules that are listed
	sums := sha256.New()
	for _, binary := range binaries {
		sum, err := doc.add(binary, known)
		if err != nil {
			return nil, err
		}
		fmt.Fprint(sums, sum)
	}
	doc.Namespace = fmt.Sprintf("https://github.com/codb-dev/codb/sbom/%x", sums.Sum(nil))
	out, err := json.MarshalIndent(doc, "", "  ")
	return append(out, '\n'), err
}

// add lists a program, and the modules in it that are not listed yet.
func (d *document) add(binary string, known map[string]string) (string, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return "", err
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		return "", err
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(raw))
	program := module("SPDXRef-"+filepath.Base(binary), &info.Main)
	program.Name = info.Path
	program.Purpose = "APPLICATION"
	program.Checksums = []checksum{{"SHA256", sum}}
	d.Packages = append(d.Packages, program)
	d.relate("SPDXRef-DOCUMENT", "DESCRIBES", program.SPDXID)
	compiler := described("", "stdlib", strings.TrimPrefix(info.GoVersion, "go"))
	for _, p := range append([]spdxPackage{compiler}, modules(info.Deps)...) {
		key := p.Name + "@" + p.Version
		if known[key] == "" {
			known[key] = "SPDXRef-module-" + strconv.Itoa(len(known)+1)
			p.SPDXID = known[key]
			d.Packages = append(d.Packages, p)
		}
		d.relate(program.SPDXID, "DEPENDS_ON", known[key])
	}
	return sum, nil
}

func modules(deps []*debug.Module) []spdxPackage {
	var all []spdxPackage
	for _, m := range deps {
		if m.Replace != nil {
			m = m.Replace
		}
		all = append(all, module("", m))
	}
	return all
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
