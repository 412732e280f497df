package main

import (
	"cmp"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lifeboat/drill"
)

// mandateFlags say who stands for one run of a drill, and what started it.
type mandateFlags struct {
	approver, ticket, scheduler string
	command                     string // the command line, as it was understood
}

func (f *mandateFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.approver, "approver", "", "`NAME` of who approves this run, for the evidence (default: the configuration's)")
	flags.StringVar(&f.ticket, "ticket", "", "`TICKET` that this run belongs to, for the evidence (default: the configuration's)")
	flags.StringVar(&f.scheduler, "scheduler", "", "`NAME` of the scheduler, such as cron, that starts this run; without it the evidence says that it was started by hand")
}

// complete adds to a drill's options what its evidence says of its policy and its origin.
func (f *mandateFlags) complete(o *drill.Options, s *scene) error {
	policy := s.config.PolicyOf(o.Name)
	sum, err := s.config.Fingerprint(o.Name)
	if err != nil {
		return err
	}
	o.Mandate = drill.Mandate{
		Name: policy.Name.Value, Version: policy.Version.Value, SHA256: sum, Schedule: s.config.Drills[o.Name].Schedule.Value,
		Approver: cmp.Or(f.approver, policy.Approver.Value), Ticket: cmp.Or(f.ticket, policy.Ticket.Value),
	}
	o.Origin = drill.Origin{Trigger: drill.ByHand, By: whoRuns(), Command: f.command}
	if f.scheduler != "" {
		o.Origin.Trigger, o.Origin.By = drill.BySchedule, f.scheduler+", as "+whoRuns()
	}
	return nil
}

// whoRuns is the user of this process and the machine's name.
func whoRuns() string {
	name, host := "unknown", "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// commandLine is a command with its operands and the flags that were given.
func commandLine(c *cobra.Command, args []string) string {
	words := append([]string{c.CommandPath()}, args...)
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.Type() == "bool" {
			words = append(words, "--"+f.Name+"="+f.Value.String())
			return
		}
		words = append(words, "--"+f.Name, f.Value.String())
	})
	return strings.Join(words, " ")
}
