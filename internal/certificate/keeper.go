package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// ErrConflict says that another replica has written the set meanwhile.
var ErrConflict = errors.New("another replica has renewed the certificate")

// Store keeps a set for all replicas of a server.
type Store interface {
	// Load returns the zero Set where there is none yet.
	Load(ctx context.Context) (Set, error)
	// Save returns ErrConflict where the set is not the one last loaded.
	Save(ctx context.Context, s Set) error
}

// Memory keeps a set for this process alone.
type Memory struct{ set Set }

// Load returns what was saved last.
func (m *Memory) Load(context.Context) (Set, error) { return m.set, nil }

// Save keeps the set.
func (m *Memory) Save(_ context.Context, s Set) error {
	m.set = s
	return nil
}

// Keeper serves the set of a store and keeps it fresh.
type Keeper struct {
	Store Store
	// Names that the certificate must be good for: host names and addresses.
	Names func(context.Context) ([]string, error)
	// Publish tells those who call the server what authorities to believe. It is
	// called at every look, before anything new is served.
	Publish func(ctx context.Context, ca []byte) error
	// Failed hears of looks that could not be finished; the next one tries again.
	Failed func(error)
	Life   time.Duration
	Clock  clock.WithTicker

	mu   sync.RWMutex
	pair *tls.Certificate
}

// Every is the time between two looks: several go into the time for which a
// new authority is believed before it is needed.
func (k *Keeper) Every() time.Duration { return min(time.Minute, k.Life/48) }

// Start looks until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	wait := time.Second
	for {
		if err := k.Look(ctx); err == nil {
			wait = k.Every()
		} else if ctx.Err() == nil && k.Failed != nil {
			k.Failed(err)
		}
		t := k.Clock.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C():
		}
	}
}

// NeedLeaderElection says no: every replica serves.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Look renews what is due, whichever replica comes first, tells whom to
// believe, and only then serves it.
func (k *Keeper) Look(ctx context.Context) error {
	names, err := k.Names(ctx)
	if err != nil {
		return fmt.Errorf("find the names of the certificate: %w", err)
	}
	set, err := k.current(ctx, names)
	if err != nil {
		return err
	}
	if err := k.Publish(ctx, set.CA); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(set.Served.Cert, set.Served.Key)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pair = &pair
	return nil
}

func (k *Keeper) current(ctx context.Context, names []string) (Set, error) {
	for {
		old, err := k.Store.Load(ctx)
		if err != nil {
			return Set{}, fmt.Errorf("load the certificate: %w", err)
		}
		set, changed, err := old.Renewed(k.Clock.Now(), names, k.Life)
		if err != nil || !changed {
			return set, err
		}
		switch err := k.Store.Save(ctx, set); {
		case err == nil:
			return set, nil
		case !errors.Is(err, ErrConflict):
			return Set{}, fmt.Errorf("save the certificate: %w", err)
		case ctx.Err() != nil:
			return Set{}, ctx.Err()
		}
	}
}

// GetCertificate is for tls.Config.
func (k *Keeper) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.pair == nil {
		return nil, errors.New("there is no certificate yet")
	}
	return k.pair, nil
}
