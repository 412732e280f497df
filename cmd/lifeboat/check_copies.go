package main

import (
	"context"

	"lifeboat/cmd/internal/config"
	"lifeboat/storage/catalog"
)

// openAll opens the store and the repository in it, or each of several.
func (k *checker) openAll(ctx context.Context) {
	if len(k.scene.views) == 1 {
		k.open(ctx, k.checkKeys())
		return
	}
	sealed := map[bool]string{}
	for _, view := range k.scene.views {
		if repository := k.openView(ctx, view); repository != nil {
			sealed[repository.Sealed()] = view.Repository.Name.Value
		}
	}
	if len(sealed) > 1 {
		k.add("encryption", "fail", "make the plain one anew, in another place", "%s is sealed and %s is not: %v", sealed[true], sealed[false], catalog.ErrMixedSeals)
	}
	if err := k.app.openCopies(ctx, k.scene, checking()); err != nil {
		k.add("cluster", resultOf(err), hintOf(err), "%v", err)
	}
}

// openView checks one of several repositories by itself.
func (k *checker) openView(ctx context.Context, view *config.Config) *catalog.Repository {
	one := *k.scene
	one.settings, one.views = view, []*config.Config{view}
	alone := &checker{app: k.app, scene: &one}
	alone.open(ctx, alone.checkKeys())
	for _, f := range alone.findings {
		f.Subject = view.Repository.Name.Value + ": " + f.Subject
		k.findings = append(k.findings, f)
	}
	return one.repository
}

// checkCopies says what each of several repositories lacks.
func (k *checker) checkCopies(ctx context.Context) {
	list, err := k.scene.lacking(ctx)
	if err != nil {
		k.add("copies", "unproven", hintOf(err), "%v", err)
		return
	}
	for _, c := range list {
		result := map[string]string{"complete": "pass", "gap": "warn", "away": "unproven"}[c.State]
		k.add(c.Repository+": copies", result, map[bool]string{true: "lifeboat sync"}[c.State == "gap"], "%s", c.tell())
	}
}
