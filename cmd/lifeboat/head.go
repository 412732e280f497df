package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lifeboat/storage"
	"lifeboat/storage/catalog"
	"lifeboat/verify"
)

// remembered is what this machine keeps of the last look into a repository. Losing it loses the comparison, nothing else.
type remembered struct {
	Repository string       `json:"repository"` // where the head was seen: another place starts anew
	Head       catalog.Head `json:"head"`
}

const setBackHint = "find out who set the repository back, before you rely on it: an old copy was put in its place, or objects were removed; " +
	"where that was meant, remove %s"

// rememberHead compares the repository with what this machine has seen of it and remembers what is there now. It warns,
// and never stops a command that has work to do.
func (a *app) rememberHead(ctx context.Context, s *scene) {
	for _, one := range s.apart(ctx) {
		a.rememberOne(ctx, one)
	}
}

// apart is the scene as seen in each repository by itself that is open: each has a past of its own.
func (s *scene) apart(ctx context.Context) []*scene {
	if len(s.copies) == 0 {
		return []*scene{s}
	}
	var list []*scene
	for _, c := range s.copies {
		one := &scene{settings: c.settings, bucket: c.bucket, repository: c.repository, name: s.name, config: s.config}
		if c.repository != nil && one.findCluster(storage.WithPatience(ctx, copyPatience)) == nil && one.cluster != nil {
			list = append(list, one)
		}
	}
	return list
}

func (a *app) rememberOne(ctx context.Context, s *scene) {
	inventory, err := s.cluster.Inventory(ctx)
	if err != nil {
		a.log.Warn("how far the repository has come is not remembered", "error", err)
		return
	}
	for _, lost := range a.compareHead(ctx, s, inventory) {
		a.errors.Printf("lifeboat: the repository was set back: %s\n  hint: %s\n", lost, fmt.Sprintf(setBackHint, s.headFile()))
	}
}

// compareHead says what the repository once held and holds no longer. Where there is no such thing, what it holds now is
// remembered.
func (a *app) compareHead(ctx context.Context, s *scene, inventory *catalog.Inventory) []string {
	now, err := s.cluster.Head(ctx, inventory)
	if err != nil {
		a.log.Warn("how far the repository has come is not remembered", "error", err)
		return nil
	}
	before, err := readHead(s.headFile())
	if err != nil {
		a.log.Warn("what was remembered of the repository cannot be read", "file", s.headFile(), "error", err)
	}
	if before != nil && before.Repository == s.repository.Location() {
		if lost := before.Head.SetBack(now); len(lost) > 0 {
			return lost
		}
	}
	if err := writeHead(s.headFile(), remembered{Repository: s.repository.Location(), Head: now}); err != nil {
		a.log.Warn("how far the repository has come is not remembered: make state_directory one that this user can write to", "error", err)
	}
	return nil
}

func (s *scene) headFile() string {
	name := s.name
	if repository := s.settings.Repository.Name.Value; repository != "" {
		name += "." + repository
	}
	return filepath.Join(s.settings.StateDirectory.Value, name+".head.json")
}

// readHead is nil where nothing is remembered.
func readHead(path string) (*remembered, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r remembered
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// writeHead replaces the file in one step. What root makes belongs to the owner of the directory, so that PostgreSQL's
// user goes on with it.
func writeHead(path string, r remembered) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	directory := filepath.Dir(path)
	if err := makeStateDirectory(directory); err != nil {
		return err
	}
	file, err := os.CreateTemp(directory, ".head-*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n'))
	err = errors.Join(err, giveToServer(file.Name(), directory), file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return syncDirectory(directory)
}

func makeStateDirectory(directory string) error {
	if _, err := os.Stat(directory); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := nearest(directory)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return err
	}
	return giveToServer(directory, parent)
}

// checkHead tells of a repository that holds less than it did.
func (k *checker) checkHead(ctx context.Context, inventory *catalog.Inventory) {
	if len(k.scene.copies) == 0 {
		k.checkOneHead(ctx, k.scene, inventory)
		return
	}
	for _, one := range k.scene.apart(ctx) {
		alone, err := one.cluster.Inventory(ctx)
		if err != nil {
			k.add("set back", "unproven", hintOf(err), "%v", err)
			continue
		}
		k.checkOneHead(ctx, one, alone)
	}
}

func (k *checker) checkOneHead(ctx context.Context, s *scene, inventory *catalog.Inventory) {
	lost := k.app.compareHead(ctx, s, inventory)
	if len(lost) > 0 {
		k.add("set back", "fail", fmt.Sprintf(setBackHint, s.headFile()), "%s: %s", s.repository.Location(), strings.Join(lost, "; "))
	}
}

// addSetBack adds to a verification what each cluster once had and no longer has.
func (a *app) addSetBack(ctx context.Context, s *scene, report *verify.Report) error {
	for _, name := range s.settings.ClusterNames() {
		one := &scene{settings: s.settings, config: s.settings.Clusters[name], repository: s.repository, name: name}
		if a.clusterName != "" && name != a.clusterName || !s.settings.Uses(name) {
			continue
		}
		if err := one.findCluster(ctx); err != nil || one.cluster == nil {
			continue // the report says so, or it was never made known
		}
		inventory, err := one.cluster.Inventory(ctx)
		if err != nil {
			return err
		}
		for _, lost := range a.compareHead(ctx, one, inventory) {
			report.Findings = append(report.Findings, verify.Finding{
				Severity: verify.Fail, Object: "cluster " + name, Detail: "the repository was set back: " + lost, Hint: fmt.Sprintf(setBackHint, one.headFile()),
			})
		}
	}
	return nil
}
