package drill

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

const monthLayout = "2006-01"

// elapsed is the end of the summary's time, or the moment of the summary where that comes before.
func (c *collector) elapsed() time.Time {
	if c.Now.Before(c.To) {
		return c.Now
	}
	return c.To
}

// plan counts when drills were due by the schedules as they are now.
func (c *collector) plan() {
	end := c.elapsed()
	for name, schedule := range c.Schedules {
		if schedule.Next == nil {
			continue
		}
		for at := schedule.Next(c.From.Add(-1)); !at.IsZero() && at.Before(end); at = schedule.Next(at) {
			c.count(at, name).Planned++
		}
	}
}

// monthList is every month of the summary's time, with each drill that is planned or was run in any of them.
func (c *collector) monthList() []Month {
	names := c.names()
	var list []Month
	first := time.Date(c.From.UTC().Year(), c.From.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	for at := first; at.Before(c.To); at = at.AddDate(0, 1, 0) {
		m := Month{Month: at.Format(monthLayout), Ahead: at.After(c.Now), Drills: []Count{}}
		for _, name := range names {
			n := Count{Name: name}
			if counted := c.months[m.Month][name]; counted != nil {
				n = *counted
			}
			m.Drills = append(m.Drills, n)
			m.All.add(n)
		}
		list = append(list, m)
	}
	return list
}

// names are those of all drills that are planned or were run, those that cannot be read last.
func (c *collector) names() []string {
	seen := map[string]bool{}
	for name := range c.Schedules {
		seen[name] = true
	}
	for _, drills := range c.months {
		for name := range drills {
			seen[name] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		if a == unreadable || b == unreadable {
			return cmp.Compare(strings.Count(a, unreadable), strings.Count(b, unreadable))
		}
		return cmp.Compare(a, b)
	})
}

func (n *Count) add(more Count) {
	n.Planned += more.Planned
	n.Run += more.Run
	n.ByHand += more.ByHand
	n.Passed += more.Passed
	n.Warned += more.Warned
	n.Failed += more.Failed
	n.Unproven += more.Unproven
}

// totals are the drills over all months.
func (c *collector) totals() []Count {
	list := []Count{}
	for i, name := range c.names() {
		n := Count{Name: name, Schedule: c.Schedules[name].Text}
		for _, m := range c.sum.Months {
			n.add(m.Drills[i])
		}
		list = append(list, n)
	}
	return list
}

// gap is the longest time between two passed drills, or to the ends of the time.
func (c *collector) gap() Gap {
	var longest Gap
	from := c.From
	slices.SortFunc(c.passes, time.Time.Compare)
	for _, to := range append(slices.Clone(c.passes), c.elapsed()) {
		if spent := to.Sub(from).Seconds(); spent > longest.Seconds {
			longest = Gap{From: from.UTC(), To: to.UTC(), Seconds: spent}
		}
		from = to
	}
	return longest
}
