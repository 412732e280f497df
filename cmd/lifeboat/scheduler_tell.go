package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lifeboat/cmd/internal/config"
	"lifeboat/cmd/internal/dashboard"
	"lifeboat/cmd/internal/tell"
	"lifeboat/drill"
)

const (
	// tellInterval is how often the scheduler looks for changes that are to be told, and tries again what could not be.
	tellInterval = 5 * time.Second
	toldFile     = "notifications.json"
	catchUp      = 2 * time.Minute // after the start, in which missed drills begin
	tryPatience  = time.Minute     // of the messages that try the channels
)

// herald tells people what has changed in what the scheduler knows.
type herald struct {
	teller  *tell.Teller
	started time.Time
	log     *slog.Logger
}

func (a *app) newHerald(settings *config.Config) *herald {
	return &herald{
		teller:  tell.New(filepath.Join(settings.StateDirectory.Value, toldFile), a.now, a.log),
		started: a.now(), log: a.log,
	}
}

// run tells changes until ctx ends. What it is given is what is in force and known at the moment; nil: nothing yet.
func (h *herald) run(ctx context.Context, now func() (*config.Config, *dashboard.Page)) error {
	for {
		if settings, page := now(); page != nil {
			h.round(ctx, settings, page)
		}
		if !pause(ctx, tellInterval) {
			return nil
		}
	}
}

func (h *herald) round(ctx context.Context, settings *config.Config, page *dashboard.Page) {
	channels, err := channelsOf(&settings.Scheduler.Notify)
	if err != nil {
		h.log.Error("not everybody can be notified", keyError, err)
	}
	h.teller.Round(ctx, conditions(page, h.started), channels, time.Duration(settings.Scheduler.Notify.Remind))
}

// tryNotifications sends one message by each way that is configured, and says how that went.
func (a *app) tryNotifications(ctx context.Context) error {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	channels, err := channelsOf(&settings.Scheduler.Notify)
	if err != nil {
		return err
	}
	if len(channels) == 0 {
		return usagef("scheduler.notify names nobody who could be told")
	}
	ctx, cancel := context.WithTimeout(ctx, tryPatience)
	defer cancel()
	for _, c := range channels {
		if failed := c.Send(ctx, tell.TestMessage(a.now())); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		a.out.Printf("%s: delivered\n", c.Name())
	}
	return err
}

// channelsOf are the ways to tell somebody. Those that can be used are returned with the error about the others.
func channelsOf(n *config.Notify) (channels []tell.Channel, err error) {
	if w := n.Webhook; w != nil {
		roots, rootsErr := authorities(w.CAFile.Value)
		if rootsErr == nil {
			channels = append(channels, &tell.Webhook{URL: w.URL.Value, SecretFile: w.SecretFile.Value, Roots: roots})
		}
		err = errors.Join(err, rootsErr)
	}
	if e := n.Email; e != nil {
		roots, rootsErr := authorities(e.CAFile.Value)
		if rootsErr == nil {
			channels = append(channels, emailOf(e, roots))
		}
		err = errors.Join(err, rootsErr)
	}
	return channels, err
}

func emailOf(e *config.Email, roots *x509.CertPool) *tell.Email {
	mail := &tell.Email{From: e.From.Value, Username: e.Username.Value, PasswordFile: e.PasswordFile.Value, Roots: roots}
	mail.Host, mail.Port, mail.ImplicitTLS = e.Server()
	for _, to := range e.To {
		mail.To = append(mail.To, to.Value)
	}
	return mail
}

// authorities are the system's and those of a file, which may be empty: then nil, the system's alone.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read certificate authorities: %s holds no certificate", file)
	}
	return pool, nil
}

// conditions are what is known of each cluster, as far as it is to be told. A scheduler that has just started does not
// complain that it has not looked yet, and says nothing about what it has not seen.
func conditions(page *dashboard.Page, started time.Time) []tell.Condition {
	var list []tell.Condition
	for i := range page.Clusters {
		c := &page.Clusters[i]
		stale := c.Stale(page.Now, page.StaleAfter)
		if stale && page.Now.Sub(started) < page.StaleAfter {
			continue
		}
		_, concerns := c.Judge(page.Now, page.StaleAfter)
		list = append(list, conditionOf(c.Name, dashboard.AboutView, concerns))
		if stale {
			continue
		}
		for _, subject := range subjectsOf(c, page.Now, started) {
			list = append(list, conditionOf(c.Name, subject, concerns))
		}
	}
	return list
}

// subjectsOf are those of a cluster beside the view, without drills that have had no reason to run yet, and those that the
// scheduler has missed and is about to begin.
func subjectsOf(c *dashboard.Cluster, now, started time.Time) []string {
	subjects := []string{dashboard.AboutBackups, dashboard.AboutGaps, dashboard.AboutObjects, dashboard.AboutDrills}
	for _, d := range c.Drills {
		overdue := d.Overdue(now)
		if overdue && now.Sub(started) < catchUp {
			continue
		}
		if d.Last != nil || overdue {
			subjects = append(subjects, dashboard.AboutDrill(d.Name))
		}
	}
	return subjects
}

// conditionOf sums up the concerns about one subject.
func conditionOf(cluster, subject string, concerns []dashboard.Concern) tell.Condition {
	condition := tell.Condition{Cluster: cluster, Subject: subject, State: string(drill.Pass)}
	var marks, details []string
	for _, c := range concerns { // the worst first
		if c.About != subject {
			continue
		}
		if len(details) == 0 {
			condition.State = string(c.Result)
		}
		marks, details = append(marks, c.Mark), append(details, c.Text)
	}
	condition.Mark, condition.Detail = strings.Join(marks, " "), strings.Join(details, " ")
	return condition
}

func notificationsWaiting() *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_notifications_waiting", "Changes that a channel was not told of yet.", []string{"channel"}, nil)
}

func notificationFailures() *prometheus.Desc {
	return prometheus.NewDesc("lifeboat_notification_failures_total", "Messages that could not be delivered; each is tried again.", []string{"channel"}, nil)
}

// Describe implements prometheus.Collector.
func (*herald) Describe(out chan<- *prometheus.Desc) {
	out <- notificationsWaiting()
	out <- notificationFailures()
}

// Collect implements prometheus.Collector.
func (h *herald) Collect(out chan<- prometheus.Metric) {
	for channel, b := range h.teller.Backlogs() {
		out <- prometheus.MustNewConstMetric(notificationsWaiting(), prometheus.GaugeValue, float64(b.Waiting), channel)
		out <- prometheus.MustNewConstMetric(notificationFailures(), prometheus.CounterValue, float64(b.Failures), channel)
	}
}
