package ledger

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/codb-dev/codb/internal/contacts"
	"github.com/codb-dev/codb/internal/permit"
)

// A backup is the ledger's records in their order, as JSON, one a line, after a
// header, gzipped. Both kinds of store are backed up and restored so, while they
// work and into each other: the ledger only grows, and any beginning of it is a
// state that it once had.
type header struct {
	// Codb tells the file from others, and is the number of its format.
	Codb   int       `json:"codbLedgerBackup"`
	Ledger string    `json:"ledger"`
	At     time.Time `json:"at"`
	// Records is how many follow.
	Records uint64 `json:"records"`
}

const backupFormat = 1

// ErrBackup says that a file is not a whole backup.
var ErrBackup = errors.New("it is not a whole backup of a contact ledger")

// Reading is what a backup is made of: a Store, or a gate.
type Reading interface {
	After(ctx context.Context, sequence uint64, limit int) (contacts.Page, error)
}

// Backup writes all records that the ledger has when it begins, and says how
// many.
func Backup(ctx context.Context, from Reading, now time.Time, to io.Writer) (uint64, error) {
	head, err := from.After(ctx, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("back up the ledger: %w", err)
	}
	packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return 0, err
	}
	out := json.NewEncoder(packed)
	err = out.Encode(header{Codb: backupFormat, Ledger: head.Ledger, At: now.UTC(), Records: head.Sequence})
	for at := uint64(0); err == nil && at < head.Sequence; {
		var page contacts.Page
		page, err = from.After(ctx, at, int(min(contacts.MaxBatch, head.Sequence-at)))
		switch {
		case err != nil:
		case page.Ledger != head.Ledger || len(page.Records) == 0:
			err = errors.New("another ledger has come in its place")
		default:
			at = page.Records[len(page.Records)-1].Sequence
		}
		for i := range page.Records {
			if err == nil {
				err = out.Encode(&page.Records[i])
			}
		}
	}
	if err = errors.Join(err, packed.Close()); err != nil {
		return 0, fmt.Errorf("back up the ledger: %w", err)
	}
	return head.Sequence, nil
}

// Restore fills an empty ledger with a backup, or goes on where that was
// interrupted. From the first record on the ledger says that it was restored:
// until somebody vouches for what happened since the backup, nobody is contacted.
// It is another ledger than the one that was backed up, and no permit of that is
// good in it.
func Restore(ctx context.Context, from io.Reader, to Store, now time.Time) (uint64, error) {
	packed, err := gzip.NewReader(bufio.NewReader(from))
	if err != nil {
		return 0, fmt.Errorf("restore the ledger: %w: %w", ErrBackup, err)
	}
	var (
		in = json.NewDecoder(packed)
		h  header
	)
	in.DisallowUnknownFields()
	if err := in.Decode(&h); err != nil || h.Codb == 0 || h.Ledger == "" {
		return 0, fmt.Errorf("restore the ledger: %w", ErrBackup)
	}
	if h.Codb > backupFormat {
		return 0, fmt.Errorf("restore the ledger: %w: a newer version of codb made the backup", ErrFormat)
	}
	mark := contacts.Restore(h.Ledger+"/"+strconv.FormatInt(h.At.UnixNano(), 10), h.At, now)
	if err := mine(ctx, to, &mark); err != nil {
		return 0, fmt.Errorf("restore the ledger: %w", err)
	}
	for left := h.Records; left > 0; {
		batch := make([]Record, min(left, contacts.MaxBatch))
		for i := range batch {
			if err := in.Decode(&batch[i]); err != nil {
				return 0, fmt.Errorf("restore the ledger: record %d of %d: %w: %w", h.Records-left+uint64(i)+1, h.Records, ErrBackup, err)
			}
			batch[i].Sequence = 0
		}
		if _, err := to.Append(ctx, batch); err != nil {
			return 0, fmt.Errorf("restore the ledger: %w", err)
		}
		left -= uint64(len(batch))
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) { // the checksum is read with the end
		return 0, fmt.Errorf("restore the ledger: %w: it does not end where it should", ErrBackup)
	}
	return h.Records, void(ctx, to, mark.Key, now)
}

// mine begins an empty ledger with the mark, or finds that it began so.
func mine(ctx context.Context, to Store, mark *Record) error {
	page, err := to.After(ctx, 0, 1)
	switch {
	case err != nil:
		return err
	case len(page.Records) == 0:
		_, err = to.Append(ctx, []Record{*mark})
		return err
	case page.Records[0].Key != mark.Key:
		return errors.New("there is a ledger already; give an empty folder or database")
	}
	return nil
}

// Renewing is a Store that can become another ledger.
type Renewing interface {
	Store
	// Renew gives the ledger another id. Whoever has it open finds out, and is to
	// open it again.
	Renew(ctx context.Context) error
}

// Renew makes another ledger of one that was brought back by other means, a dump
// of the database or a snapshot of the volume, and says in it what Restore says.
func Renew(ctx context.Context, s Renewing, now time.Time) error {
	last, err := s.After(ctx, max(s.Sequence(), 1)-1, 1)
	if err != nil {
		return fmt.Errorf("renew the ledger: %w", err)
	}
	known := now
	if len(last.Records) > 0 && last.Records[0].At.Before(now) {
		known = last.Records[0].At
	}
	mark := contacts.Restore(s.ID()+"/"+strconv.FormatUint(s.Sequence(), 10), known, now)
	if _, err := s.Append(ctx, []Record{mark}); err != nil {
		return fmt.Errorf("renew the ledger: %w", err)
	}
	if err := void(ctx, s, mark.Key, now); err != nil {
		return err
	}
	return s.Renew(ctx)
}

// codeRestored is why permits of before are void.
const codeRestored = "LedgerRestored"

// void takes back what was drawn before: whoever holds it may have used it.
func void(ctx context.Context, s Store, key string, now time.Time) error {
	book := permit.NewBook()
	if err := each(ctx, s, book.Apply); err != nil {
		return fmt.Errorf("take back the permits of before: %w", err)
	}
	for _, p := range book.Live() {
		if _, err := s.Append(ctx, []Record{p.Void(key+"/"+p.ID, now, codeRestored)}); err != nil {
			return fmt.Errorf("take back the permits of before: %w", err)
		}
	}
	return nil
}

// Gap is a *contacts.GapError while nobody has vouched for what happened
// between a backup of the ledger and its restoration.
func Gap(ctx context.Context, s Store) error {
	p := contacts.NewProjection(0)
	for {
		page, err := s.After(ctx, p.Position().Sequence, contacts.MaxBatch)
		if err != nil {
			return err
		}
		if len(page.Records) == 0 {
			return p.Gap()
		}
		if err := p.Apply(page); err != nil {
			return err
		}
	}
}

func each(ctx context.Context, s Store, take func([]Record)) error {
	for at := uint64(0); ; {
		page, err := s.After(ctx, at, contacts.MaxBatch)
		if err != nil || len(page.Records) == 0 {
			return err
		}
		take(page.Records)
		at = page.Records[len(page.Records)-1].Sequence
	}
}
