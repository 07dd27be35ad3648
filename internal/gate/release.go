package gate

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

type releaseRequest struct {
	Permits []string `json:"permits"`
}

type releaseResponse struct {
	Results []Released `json:"results"`
}

// Released is what became of one permit that was given back.
type Released struct {
	Permit string        `json:"permit"`
	State  permit.Answer `json:"state"`
}

// release is POST /v1/permits/release.
func (s *Server) release(w http.ResponseWriter, r *http.Request, h Holder) error {
	var req releaseRequest
	if err := s.permitBody(w, r, &req); err != nil {
		return err
	}
	out, err := s.released(r.Context(), h, &req)
	if err != nil {
		return err
	}
	return answer(w, out)
}

func (s *Server) released(ctx context.Context, h Holder, req *releaseRequest) (*releaseResponse, error) {
	if err := bounded("permits", len(req.Permits)); err != nil {
		return nil, err
	}
	out := &releaseResponse{}
	return out, s.inTime(ctx, h, func(ctx context.Context) (err error) {
		out.Results, err = s.desk.Release(ctx, h, req.Permits)
		return err
	})
}

// Release gives back permits that the pod holds and will not redeem. It asks
// nobody: it must work for a pod whose Job was stopped, and frees a place at most.
func (d *Desk) Release(ctx context.Context, h Holder, ids []string) ([]Released, error) {
	states := make(map[string]permit.Answer, len(ids))
	open := slices.Compact(slices.Sorted(slices.Values(ids)))
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errBusy, err)
		}
		seen, err := d.advance(ctx)
		if err != nil {
			return nil, err
		}
		var records []contacts.Record
		open = slices.DeleteFunc(open, func(id string) bool {
			p, answer := d.giving(id, h)
			if answer != "" {
				states[id] = answer
				return true
			}
			records = append(records, p.Return(newKey("permit/"+id), d.clock().UTC()))
			return false
		})
		if len(open) == 0 {
			break
		}
		if _, err := d.append(ctx, records, seen); err != nil {
			return nil, err
		}
	}
	results := make([]Released, len(ids))
	for i, id := range ids {
		results[i] = Released{Permit: id, State: states[id]}
	}
	return results, nil
}

func (d *Desk) giving(id string, h Holder) (permit.Permit, permit.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.book.Release(id, h.Run(), h.Pod)
}
