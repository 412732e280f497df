package main

import (
	"context"

	"lifeboat/storage/catalog"
)

func (a *app) rememberHead(ctx context.Context, s *scene) {}
func (a *app) sweep(ctx context.Context, s *scene)        {}

func (k *checker) checkHead(inventory *catalog.Inventory) {}
