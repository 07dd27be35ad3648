package gate

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/codb-dev/codb/internal/contacts"
)

func TestBadInput(t *testing.T) {
	h := newHouse(t)
	with := func(field string, value any) string {
		r := map[string]any{
			"key": "k", "at": "2026-03-02T11:00:00Z", "principal": "c-secret", "brand": "acme",
			"class": "Marketing", "channel": "Email", "event": "Sent",
		}
		if value == nil {
			delete(r, field)
		} else {
			r[field] = value
		}
		data, err := json.Marshal(map[string]any{"records": []any{r}})
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	and := func(fields string) string { return strings.TrimSuffix(with("key", "k"), "}") + "," + fields + "}" }
	campaign := func(uid string, generation int) map[string]any {
		return map[string]any{"namespace": "acme-shop", "name": "spring", "uid": uid, "generation": generation}
	}
	post := func(status int, field, body string) badInput {
		return badInput{"POST", "/v1/contacts", body, status, field}
	}
	get := func(status int, field, path string) badInput { return badInput{"GET", path, "", status, field} }
	many := with("key", "k")
	many = `{"records":[` + strings.Repeat(many[12:len(many)-2]+",", contacts.MaxBatch) + many[12:len(many)-2] + "]}"
	for name, tc := range map[string]badInput{
		"NoJSON":               post(400, "body", "principal=c-secret"),
		"CutOff":               post(400, "body", `{"records":[{"principal":"c-secret"`),
		"MoreThanOneValue":     post(400, "body", with("key", "k")+"{}"),
		"AnUnknownField":       post(400, "records[0].address", with("address", "c-secret")),
		"AFieldInOtherCase":    post(400, "records[0].Key", with("Key", "k")),
		"AFieldTwice":          post(400, "records", `{"records":[],"records":[]}`),
		"AnotherType":          post(400, "records.principal", with("principal", 17)),
		"NoTime":               post(422, "records[0].at", with("at", nil)),
		"AWrongTime":           post(400, "body", with("at", "yesterday")),
		"TheFuture":            post(422, "records[0].at", with("at", "2026-03-02T12:01:01Z")),
		"LongAgo":              post(422, "records[0].at", with("at", "1989-12-31T23:59:59Z")),
		"NoRecords":            post(422, "records", `{"records":[]}`),
		"NothingAtAll":         post(422, "records", `{}`),
		"TooManyRecords":       post(422, "records", many),
		"TooManyBytes":         post(413, "body", `{"records":[],"x":"`+strings.Repeat("x", maxBody)+`"}`),
		"SeenOfNoLedger":       post(422, "ledger", and(`"seen":[7]`)),
		"SeenOfAnother":        post(422, "ledger", and(`"ledger":"other","seen":[7]`)),
		"TooMuchSeen":          post(422, "seen", and(`"ledger":"other","seen":[7,8]`)),
		"ALedgerAndNoneSeen":   post(422, "seen", and(`"ledger":"other"`)),
		"SeenLessThanNothing":  post(400, "seen", and(`"ledger":"other","seen":[-1]`)),
		"ASequence":            post(422, "records[0].sequence", with("sequence", 7)),
		"NoKey":                post(422, "records[0].key", with("key", nil)),
		"ALongKey":             post(422, "records[0].key", with("key", strings.Repeat("k", 129))),
		"AKeyWithBlanks":       post(422, "records[0].key", with("key", "c secret")),
		"AnAddress":            post(422, "records[0].principal", with("principal", "c-secret@example.com")),
		"ALongPrincipal":       post(422, "records[0].principal", with("principal", strings.Repeat("c", 64))),
		"NoBrand":              post(422, "records[0].brand", with("brand", nil)),
		"APurposeInSmall":      post(422, "records[0].purpose", with("purpose", "news")),
		"AnUnknownClass":       post(422, "records[0].class", with("class", "Promo")),
		"AContactWithoutClass": post(422, "records[0].class", with("class", nil)),
		"AnUnknownChannel":     post(422, "records[0].channel", with("channel", "Fax")),
		"WithoutChannel":       post(422, "records[0].channel", with("channel", nil)),
		"ATopicOfTwoWords":     post(422, "records[0].topic", with("topic", "Garden tools")),
		"AnUnknownEvent":       post(422, "records[0].event", with("event", "Opened")),
		"ACampaignWithoutUID":  post(422, "records[0].campaign.uid", with("campaign", campaign("", 1))),
		"OfGenerationZero":     post(422, "records[0].campaign.generation", with("campaign", campaign("u", 0))),
		"AStateWithoutPermit":  post(422, "records[0].state", with("state", "Drawn")),
		"SomebodysPermit":      post(422, "records[0].permit", with("permit", "p-1")),
		"ADraw":                post(422, "records[0].permit", with("event", "Drawn")),
		"ARestoration":         post(422, "records[0].event", with("event", "Restored")),
		"AWordOnThat":          post(422, "records[0].event", with("event", "Vouched")),
		"ARefusal":             post(422, "records[0].permit", with("event", "Refused")),
		"AShortDigest":         post(422, "records[0].policyDigest", with("policyDigest", "sha256:12")),
		"ALongRevision":        post(422, "records[0].consentRevision", with("consentRevision", strings.Repeat("r", 129))),
		"AnUnknownParameter":   get(422, "query", "/v1/contacts?afer=3"),
		"AParameterTwice":      get(422, "after", "/v1/contacts?after=3&after=4"),
		"ANegativeSequence":    get(422, "after", "/v1/contacts?after=-1"),
		"TooHighALimit":        get(422, "limit", "/v1/contacts?limit=1001"),
		"TooLongAWait":         get(422, "wait", "/v1/contacts?wait=61s"),
		"AWaitWithoutUnit":     get(422, "wait", "/v1/contacts?wait=30"),
		"ABrokenQuery":         get(422, "query", "/v1/contacts?after=%zz"),
		"NoPrincipal":          get(422, "principal", "/v1/contacts/C-SECRET"),
		"AnEncodedSlash":       get(422, "principal", "/v1/contacts/c%2Fsecret"),
		"AWrongSince":          get(422, "since", "/v1/contacts/c-secret?since=yesterday"),
		"NoSuchPath":           get(404, "", "/v2/contacts"),
		"NoSuchMethod":         {"DELETE", "/v1/contacts/c-secret", "", 405, ""},
	} {
		t.Run(name, func(t *testing.T) { tc.check(t, h) })
	}
	status, _, text := h.ask("POST", "/v1/contacts", "operator", "{}", "Content-Type", "text/plain")
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("text: got %d %s", status, text)
	}
	if h.ledger.Sequence() != 0 {
		t.Errorf("something was appended: the ledger is at %d", h.ledger.Sequence())
	}
}

type badInput struct {
	method, path, body string
	status             int
	field              string
}

func (b badInput) check(t *testing.T, h *house) {
	t.Helper()
	status, _, text := h.ask(b.method, b.path, "operator", b.body)
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("got %d %s: %v", status, text, err)
	}
	if status != b.status || p.Status != b.status || p.Field != b.field || p.Remedy == "" || p.Type == "" || p.Title == "" {
		t.Errorf("got %d %s; want %d, field %q and a remedy", status, text, b.status, b.field)
	}
	if strings.Contains(strings.ToLower(text), "secret") {
		t.Errorf("the problem repeats a principal or a key: %s", text)
	}
}
