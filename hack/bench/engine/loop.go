package main

import (
	"time"

	"github.com/codb-dev/codb/internal/expr"
)

// chunkAnswer is what the expert's loop says of a chunk: a mask of reasons and when
// the answer goes stale, by row.
type chunkAnswer struct {
	masks []uint64
	stale []int64
}

// loop answers for the rows of a chunk.
func (x *expert) loop(c *rawChunk, buckets []int64, out *chunkAnswer) {
	for row := range c.rows {
		born := c.birthYear[row]
		age, stage, depth, blocked := x.byYear[born], x.byStage[c.lifeStage[row]], x.byDepth[c.depth[row]], x.byBlocked[c.blockedTopics[row]]
		zone := c.timeZone[row]
		quiet, open := x.quiet[zone][c.quietHours[row]], x.open[zone][c.contactWindows[row]]
		r := rowAnswer{
			mask:  age.mask | stage.mask | depth.mask | blocked.mask | quiet.mask | open.mask,
			stale: min(age.stale, quiet.stale, open.stale),
		}
		if at := c.authorizedAt.at(row); at == expr.Missing || at > x.now {
			if x.children[born] {
				r.mask |= 1 << guardianMissing
			}
			if at > x.now {
				r.stale = min(r.stale, at)
			}
		}
		if c.optOut.at(row) != expr.Missing {
			r.mask |= 1 << optedOut
		}
		if from := c.pauseFrom.at(row); from != expr.Missing {
			x.pause(from, c.pauseUntil.at(row), &r)
		}
		for i := c.objectionsAt[row]; i < c.objectionsAt[row+1]; i++ {
			r.mask |= x.byObjection[c.objectionPurpose[i]].mask
		}
		renewed := x.answers(c, row, &r)
		if c.eventsAt[row] < c.eventsAt[row+1] {
			x.events(c, row, renewed, &r)
		}
		x.contacts(c, row, zone, &r)
		if x.held > 0 && buckets[row] < x.held {
			r.mask |= 1 << heldOut
		}
		if x.asks {
			x.coolDown(c, row, &r)
		}
		out.masks[row], out.stale[row] = r.mask, r.stale
	}
}

// rowAnswer is what is known so far.
type rowAnswer struct {
	mask  uint64
	stale int64
}

func (r *rowAnswer) sooner(at, now int64) {
	if at > now && at < r.stale {
		r.stale = at
	}
}

func (x *expert) pause(from, until int64, r *rowAnswer) {
	if from <= x.now && x.now < until {
		r.mask |= 1 << paused
	}
	r.sooner(from, x.now)
	r.sooner(until, x.now)
}

// answers goes through what the customer answered. It returns when the customer
// last consented in so many words.
func (x *expert) answers(c *rawChunk, row int, r *rowAnswer) (renewed int64) {
	matching, elsewhere := false, false
	renewed = expr.Missing
	for i := int(c.grantsAt[row]); i < int(c.grantsAt[row+1]); i++ {
		switch {
		case !x.grant.purpose[c.grantPurpose[i]]:
		case x.grant.channel[c.grantChannel[i]]:
			matching = true
			renewed = max(renewed, x.answer(c, row, i, r))
		default:
			elsewhere = elsewhere || x.grant.given[c.grantStatus[i]]
		}
	}
	switch {
	case matching:
	case elsewhere:
		r.mask |= 1 << channelNotGranted
	default:
		r.mask |= 1 << noGrant
	}
	return renewed
}

// answer is one about the campaign's purpose and channel.
func (x *expert) answer(c *rawChunk, row, i int, r *rowAnswer) (renewed int64) {
	t, status, kind := &x.grant, c.grantStatus[i], c.grantType[i]
	given, code, captured := t.given[status], t.code[status], c.grantCaptured.at(i)
	renewed = expr.Missing
	switch {
	case !given:
		r.mask |= 1 << (optInCode - 1 + code)
	case !t.expressed[kind]:
		x.implied(c, row, i, r)
	case captured <= x.now:
		renewed = captured
	}
	if given && !t.carries[c.grantBasis[i]] {
		r.mask |= 1 << legalBasisMissing
	}
	if code == 4 {
		r.mask |= 1 << withdrawn
	}
	if code == 2 {
		r.mask |= 1 << refused
	}
	to := c.grantTo.at(i)
	if to != expr.Missing && to <= x.now || code == 3 {
		r.mask |= 1 << expired
	}
	r.sooner(to, x.now)
	if starts := max(captured, c.grantFrom.at(i)); starts > x.now {
		r.mask |= 1 << notYetEffective
		r.sooner(starts, x.now)
	}
	if x.confirms && (given || code == 1) && !t.implied[kind] && !t.excused[c.grantBasis[i]] {
		confirmed := c.grantConfirmed.at(i)
		if !given || confirmed == expr.Missing || confirmed > x.now {
			r.mask |= 1 << unconfirmed
		}
		r.sooner(confirmed, x.now)
	}
	if t.topicMissing[c.grantTopics[i]] {
		r.mask |= 1 << topicNotGranted
	}
	if c.eventsAt[row] < c.eventsAt[row+1] { // a consent in time to come may lift a suppression
		r.sooner(captured, x.now)
	}
	return renewed
}

// implied looks at what implies a consent, and until when.
func (x *expert) implied(c *rawChunk, row, i int, r *rowAnswer) {
	t, ends := &x.grant, expr.Missing
	if at, event := c.grantEventDate.at(i), c.grantEvent[i]; event != id(expr.Absent) {
		begun := t.contracted[event] || at <= x.now
		switch {
		case !begun:
			r.sooner(at, x.now)
		case t.purchase[event]:
			ends = months(at, 24)
		case t.inquiry[event]:
			ends = months(at, 6)
		}
	}
	for e := c.eventsAt[row]; e < c.eventsAt[row+1]; e++ {
		at, kind := c.eventAt.at(int(e)), c.eventType[e]
		switch {
		case at > x.now || !x.event.brand[c.eventBrand[e]]:
		case x.event.purchase[kind]:
			ends = max(ends, months(at, 24))
		case x.event.inquiry[kind]:
			ends = max(ends, months(at, 6))
		}
	}
	if ends <= x.now {
		r.mask |= 1<<optInLapsed | 1<<lapsed
	}
	r.sooner(ends, x.now)
}

// months later; where the month is too short, on its last day.
func months(ns int64, n int) int64 {
	from := time.Unix(0, ns).UTC()
	to := from.AddDate(0, n, 0)
	if to.Day() != from.Day() {
		to = to.AddDate(0, 0, -to.Day())
	}
	return to.UnixNano()
}

// events are what came back of earlier contacts.
func (x *expert) events(c *rawChunk, row int, renewed int64, r *rowAnswer) {
	t := &x.event
	for e := c.eventsAt[row]; e < c.eventsAt[row+1]; e++ {
		if c.eventAt.at(int(e)) < renewed {
			continue
		}
		kind := c.eventType[e]
		here := t.brandOrNone[c.eventBrand[e]] && x.campaign.PurposeClass != "Service"
		switch {
		case t.bounce[kind] && t.channelOrNone[c.eventChannel[e]]:
			r.mask |= 1 << bounced
		case t.complaint[kind] && here:
			r.mask |= 1 << complained
		case t.unsubscribe[kind] && here:
			r.mask |= 1 << unsubscribed
		}
	}
}

// contacts counts those of the past, newest first, for the policy's cap of three
// in seven days and for the customer's own.
func (x *expert) contacts(c *rawChunk, row int, zone id, r *rowAnswer) {
	const week = 7 * 24 * int64(time.Hour)
	lo, hi := c.sentAt[row], c.sentAt[row+1]
	n := 0
	for i := lo; i < hi && c.sentWhen.at(int(i)) > x.now-week; i++ {
		if x.sent.class[c.sentClass[i]] && x.sent.brand[c.sentBrand[i]] {
			if n++; n == 3 {
				r.mask |= 1 << policyCap
				r.sooner(c.sentWhen.at(int(i))+week, x.now)
				break
			}
		}
	}
	for k := c.capsAt[row]; k < c.capsAt[row+1]; k++ {
		if l := &x.caps[c.cap[k]]; l.governs {
			x.own(c, lo, hi, l, zone, r)
		}
	}
}

func (x *expert) own(c *rawChunk, lo, hi uint16, l *limit, zone id, r *rowAnswer) {
	if l.max == 0 {
		r.mask |= 1 << l.bit
		return
	}
	from := x.now - l.length + 1
	if l.calendar {
		if from = l.start[zone]; from == never {
			r.mask |= 1 << capNoZone
			return
		}
	}
	n := 0
	for i := lo; i < hi && c.sentWhen.at(int(i)) >= from; i++ {
		if !l.counts[c.sentClass[i]] || !l.channels[c.sentChannel[i]] || !l.brands[c.sentBrand[i]] {
			continue
		}
		if n++; n < l.max {
			continue
		}
		r.mask |= 1 << l.bit
		if l.calendar {
			r.sooner(l.free[zone], x.now)
		} else {
			r.sooner(c.sentWhen.at(int(i))+l.length, x.now)
		}
		return
	}
}

// coolDown spares those who refused less than 366 days ago.
func (x *expert) coolDown(c *rawChunk, row int, r *rowAnswer) {
	last := c.optOut.at(row)
	for i := c.grantsAt[row]; i < c.grantsAt[row+1]; i++ {
		if code := x.grant.code[c.grantStatus[i]]; code == 2 || code == 4 {
			last = max(last, c.grantCaptured.at(int(i)))
		}
	}
	for i := c.objectionsAt[row]; i < c.objectionsAt[row+1]; i++ {
		last = max(last, c.objectionSince.at(int(i)))
	}
	if last == expr.Missing {
		return
	}
	if over := last + 366*24*int64(time.Hour); over > x.now {
		r.mask |= 1 << coolDown
		r.sooner(over, x.now)
	}
}

func newChunkAnswer(rows int) chunkAnswer {
	return chunkAnswer{make([]uint64, rows), make([]int64, rows)}
}
