package fakegate

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

type object = map[string]any

func (g *Gate) draw(ctx context.Context, body *json.Decoder) any {
	var q struct {
		Max  int
		Wait string
	}
	err := body.Decode(&q)
	wait, werr := time.ParseDuration(q.Wait)
	if err != nil || werr != nil || wait < 0 || wait > time.Minute || q.Max < 1 || q.Max > 1000 {
		g.t.Errorf("draw %+v: %v", q, err)
	}
	over := time.After(wait)
	for {
		g.mu.Lock()
		g.largest["draw"] = max(g.largest["draw"], q.Max)
		permits, exhausted := g.take(q.Max)
		changed := g.changed
		g.mu.Unlock()
		if ctx.Err() != nil {
			return object{"permits": permits} // which are given back
		}
		if len(permits) == 0 && !exhausted && !g.Impatient {
			select {
			case <-changed:
				continue
			case <-over:
			case <-ctx.Done():
			}
		}
		a := object{"permits": permits, "exhausted": exhausted, "held": g.Held}
		if !g.Next.IsZero() {
			a["next"] = g.Next.UTC().Format(time.RFC3339)
		}
		return a
	}
}

func (g *Gate) take(most int) ([]object, bool) {
	permits, outstanding := []object{}, g.Forever
	for _, p := range g.permits {
		if p.State == "" && len(permits) < most {
			p.State = "Drawn"
			permits = append(permits, object{
				"permit": p.ID, "principal": p.Principal, "channel": "Email", "purpose": "Marketing", "topic": "Savings", "language": "de",
				"expires": time.Now().Add(time.Minute).UTC().Format(time.RFC3339),
			})
		}
		outstanding = outstanding || p.State == "" || p.State == "Drawn" || p.State == "Redeemed" && p.Outcome == ""
	}
	return permits, !outstanding
}

// happened wakes the draws that wait.
func (g *Gate) happened() {
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *Gate) find(id string) *Permit {
	if i := slices.IndexFunc(g.permits, func(p *Permit) bool { return p.ID == id }); i >= 0 {
		return g.permits[i]
	}
	g.t.Errorf("asked for permit %s", id)
	return &Permit{}
}

func (g *Gate) redeem(body *json.Decoder) any {
	var q struct{ Permits []string }
	if err := body.Decode(&q); err != nil || len(q.Permits) < 1 || len(q.Permits) > 1000 {
		g.t.Errorf("redeem %d permits: %v", len(q.Permits), err)
	}
	results := []object{}
	for _, id := range q.Permits {
		if g.Redeeming != nil {
			g.Redeeming(g.find(id).Principal)
		}
		results = append(results, g.redeemOne(id))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.largest["redeem"] = max(g.largest["redeem"], len(q.Permits))
	g.happened()
	return object{"results": results}
}

func (g *Gate) redeemOne(id string) object {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.find(id)
	switch {
	case p.State == "Redeemed":
		return object{"permit": id, "state": "AlreadyRedeemed"}
	case strings.HasPrefix(p.Reason, "state:"):
		p.State = "Refused"
		return object{"permit": id, "state": strings.TrimPrefix(p.Reason, "state:")}
	case p.Reason != "":
		p.State = "Refused"
		return object{"permit": id, "state": "Refused", "reasons": []object{{"code": p.Reason, "message": "no longer"}}}
	}
	p.State, p.HandOverBy = "Redeemed", time.Now().Add(g.Life)
	return object{"permit": id, "state": "Redeemed", "handOverBy": p.HandOverBy.Add(g.Off).UTC().Format(time.RFC3339Nano)}
}

func (g *Gate) release(body *json.Decoder) any {
	var q struct{ Permits []string }
	if err := body.Decode(&q); err != nil || len(q.Permits) < 1 || len(q.Permits) > 1000 {
		g.t.Errorf("release %d permits: %v", len(q.Permits), err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.happened()
	results := []object{}
	for _, id := range q.Permits {
		p, state := g.find(id), "Voided"
		switch p.State {
		case "Drawn":
			p.State, state = "", "Released"
		case "Redeemed":
			state = "AlreadyRedeemed"
		}
		results = append(results, object{"permit": id, "state": state})
	}
	return object{"results": results}
}

// detail is what the gate takes: ASCII without addresses.
var detail = regexp.MustCompile(`^[\x20-\x3F\x41-\x7E]{0,128}$`)

func (g *Gate) report(body *json.Decoder) any {
	var q struct {
		Outcomes []struct{ Permit, Outcome, Detail string }
	}
	if err := body.Decode(&q); err != nil || len(q.Outcomes) < 1 || len(q.Outcomes) > 1000 {
		g.t.Errorf("report %d outcomes: %v", len(q.Outcomes), err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.happened()
	results := []object{}
	for _, o := range q.Outcomes {
		p := g.find(o.Permit)
		if !detail.MatchString(o.Detail) || p.State != "Redeemed" {
			g.t.Errorf("%s is %s, and reported as %s with the detail %q", o.Permit, p.State, o.Outcome, o.Detail)
		}
		if p.Outcome != "" && p.Outcome != o.Outcome {
			results = append(results, object{"permit": o.Permit, "recorded": false, "why": "it has another outcome already"})
			continue
		}
		p.Outcome, p.Detail = o.Outcome, o.Detail
		p.Reports++
		results = append(results, object{"permit": o.Permit, "recorded": true})
	}
	return object{"results": results}
}

// Settle says that the gate no longer waits for a permit's outcome.
func (g *Gate) Settle(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.find(id).Outcome = "unknown"
	g.happened()
}

// Expire makes permits that were drawn and not redeemed available again.
func (g *Gate) Expire() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.permits {
		if p.State == "Drawn" {
			p.State = ""
		}
	}
}
