package decision

import (
	"context"
	"time"

	"github.com/codb-dev/codb/internal/expr"
)

// Source is all customers in columns, as they were at one moment. It does not
// change and may be read by several goroutines.
type Source interface {
	// Chunks is how many there are.
	Chunks() int
	// Chunk of no more than expr.Chunk rows, with regard to a brand.
	Chunk(i int, brand string) Chunk
	// Buckets puts those of a chunk's rows [lo, hi), with regard to a campaign, into
	// these places of a slice that has some for all rows.
	Buckets(i, lo, hi int, c *Campaign, into []int64)
	// Subject in a row that is alive, with regard to a campaign.
	Subject(chunk, row int, c *Campaign) Subject
}

// Chunk is a part of a Source. It is shared and never written to.
type Chunk struct {
	// Columns without buckets, which are another campaign's each.
	Columns *expr.Columns
	// Dicts by column of ids. They are the same for all chunks and for later
	// sources of the same table, where an id never gets another meaning.
	Dicts []*expr.Dict
	// Live are the rows that somebody is in; what others say is void.
	Live expr.Bits
	// Odd are the rows that columns can't hold exactly, ascending.
	Odd []int
}

// Sweep asks about many customers of several campaigns at one instant.
type Sweep struct {
	Now       time.Time
	Campaigns []Campaign
	Source    Source
	// Chunks that are asked about, ascending; nil: all.
	Chunks []int
	// Rows says who of a chunk is asked about for a campaign, by its number: live
	// rows only, and nobody where it is empty. A nil Rows is all who are alive.
	Rows func(campaign, chunk int) expr.Bits
	// Answer hears once of each campaign and chunk that somebody is asked about
	// in, from several goroutines at once. The Bulk is about these rows of the
	// chunk only and nobody is left. The Until of its reasons is the latest of
	// anybody's who has it, and zero where somebody's is unknown; StaleAt is void
	// for other rows. The Bulk is the sweeper's again when Answer returns. An error
	// ends the sweep.
	Answer func(campaign, chunk int, b *Bulk) error
}

// Sweeper answers for all of a Source, for several campaigns at once, exactly as
// it would as a Judge. When it returns an error nothing may be concluded from
// what it answered.
type Sweeper interface {
	Sweep(ctx context.Context, s Sweep) error
	// Doubted is how often something was found wrong that had been answered: who
	// keeps answers from before the latest time asks about everybody again, also
	// after a Sweep that returned an error over it.
	Doubted() uint64
}
