package crd

import (
	"fmt"
	"strings"
)

// LargestConsent is a CustomerConsent at every bound of the API: as many of
// everything, and everything as long, as the schema takes.
func LargestConsent(name string) Object {
	spec := Object{
		"timeZone": "America/" + strings.Repeat("Z", 32), "timeZoneSource": "Declared",
		"jurisdiction": "DE-BAY", "language": "fra-CA", "birthYear": int64(2200), "lifeStage": "SelfEmployed",
		"guardian":       Object{"ref": long("g", 0, 63), "authorizedAt": "2026-03-01T09:00:00Z"},
		"pause":          Object{"from": "2026-12-20T00:00:00Z", "until": "2027-01-06T00:00:00Z"},
		"quietHours":     list(14, window),
		"contactWindows": list(14, window),
		"caps":           list(8, consentCap),
		"blockedTopics":  list(32, topic),
		"lifeEvents": list(16, func(i int) any {
			return Object{"eventType": "DomesticPartnership", "eventDate": fmt.Sprintf("2026-01-%02d", i+1), "expirationDate": "2027-04-01"}
		}),
		"relationships": list(32, relationship),
	}
	return Object{
		"apiVersion": "consent.codb.dev/v1alpha1", "kind": "CustomerConsent",
		"metadata": Object{"name": name, "namespace": "codb-customers"},
		"spec":     spec,
	}
}

func relationship(i int) any {
	return Object{
		"brand": long("b", i, 63), "depth": "Analytics",
		"reward":     Object{"statement": long("r", 0, 256), "value": long("v", 0, 64)},
		"caps":       list(4, consentCap),
		"objections": list(12, func(i int) any { return Object{"purpose": long("P", i, 63), "since": "2026-03-01T09:00:00Z"} }),
		"grants":     list(12, grant),
	}
}

func grant(i int) any {
	return Object{
		"purpose": long("P", i, 63), "channel": "InApp", "topics": list(16, topic),
		"status": "ConsentRequestDeferred", "consentType": "ImpliedConsent", "legalBasis": "LegitimateInterest",
		"captureDate": "2026-03-01T09:00:00Z", "captureSource": "PreferenceCentre",
		"doubleConsentCaptureDate": "2026-03-01T09:04:00Z",
		"effectiveFrom":            "2026-03-01T09:04:00Z", "effectiveTo": "2028-03-01T00:00:00Z",
		"impliedBy":     Object{"event": "Purchase", "eventDate": "2026-01-10T00:00:00Z"},
		"privacyNotice": Object{"version": long("v", 0, 32), "digest": "sha256:" + strings.Repeat("0", 64)},
		"artifact":      long("a", 0, 128),
	}
}

func consentCap(i int) any {
	return Object{
		"name": long("c", i, 32), "max": int64(1000), "window": "CalendarWeek", "zone": "America/" + strings.Repeat("Z", 32),
		"counts":   []any{"Marketing", "Service"},
		"channels": []any{"Email", "SMS", "Phone", "Post", "Push", "InApp", "Social", "Web"},
	}
}

func topic(i int) any { return long("T", i, 63) }

func window(int) any {
	return Object{"days": []any{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}, "start": "21:00", "end": "08:00"}
}

// long is a word of n letters that begins with prefix and differs for each i.
func long(prefix string, i, n int) string {
	tail := fmt.Sprintf("%03d", i)
	return prefix + strings.Repeat("x", n-len(prefix)-len(tail)) + tail
}

func list(n int, item func(int) any) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = item(i)
	}
	return out
}
