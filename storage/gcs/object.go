package gcs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"

	gcstorage "cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"lifeboat/storage"
)

// Stat asks for the attributes of the object; see storage.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Info, error) {
	if !storage.ValidKey(key) {
		return storage.Info{}, b.failed("stat", key, storage.ErrKey)
	}
	attrs, err := b.attrs(ctx, key)
	if err != nil {
		return storage.Info{}, b.failed("stat", key, err)
	}
	return info(key, attrs), nil
}

func info(key string, attrs *gcstorage.ObjectAttrs) storage.Info {
	return storage.Info{Key: key, Size: attrs.Size, ModTime: attrs.Created}
}

func (b *Bucket) attrs(ctx context.Context, key string) (*gcstorage.ObjectAttrs, error) {
	var attrs *gcstorage.ObjectAttrs
	err := b.ask(ctx, key, func() (err error) {
		attrs, err = b.object(key).Attrs(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	if attrs.Name != b.name(key) {
		return nil, &foreignError{"answered with the attributes of another object"}
	}
	return attrs, nil
}

// ask asks for something of an object, and gives ErrNotFound only where the object is not there. A missing bucket and many
// a proxy have the same status 404: unless the store itself names the object, a listing has to say that it is absent. One
// that is listed may have come since it was asked for, so it is asked for again.
func (b *Bucket) ask(ctx context.Context, key string, question func() error) error {
	for range askTries {
		err := question()
		if !errors.Is(err, gcstorage.ErrObjectNotExist) {
			return err
		}
		if b.names(key, err) {
			return storage.ErrNotFound
		}
		listed, err := b.listed(ctx, key)
		if err != nil {
			return err
		}
		if !listed {
			return storage.ErrNotFound
		}
	}
	return errListed
}

// askTries bounds how often an object may come and go while it is asked for.
const askTries = 5

var errListed = fmt.Errorf("the object is listed and cannot be found: %w", storage.ErrUnavailable)

func (b *Bucket) listed(ctx context.Context, key string) (bool, error) {
	objects := b.handle.Objects(ctx, &gcstorage.Query{Prefix: b.name(key), Projection: gcstorage.ProjectionNoACL})
	objects.PageInfo().MaxSize = 1
	first, err := objects.Next()
	if errors.Is(err, iterator.Done) {
		return false, nil
	}
	return err == nil && first.Name == b.name(key), err
}

// names reports whether an answer says in the store's own words that this object is not there.
func (b *Bucket) names(key string, err error) bool {
	answer, ok := answerIn(err)
	return ok && answer.Code == http.StatusNotFound && message(answer) == "No such object: "+b.opts.Bucket+"/"+b.name(key)
}

// Delete removes the live version of the object; see storage.Bucket. With versions or soft deletion, the bucket keeps it
// for as long as it is set up to.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if !storage.ValidKey(key) {
		return b.failed("delete", key, storage.ErrKey)
	}
	err := b.ask(ctx, key, func() error { return b.object(key).Delete(ctx) })
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return b.failed("delete", key, err)
}

var errOrder = errors.New("the store lists objects out of order")

// List asks for one page after the other; see storage.Bucket. Objects whose names cannot be a key's, such as the
// placeholders of folders, are passed over.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := b.list(ctx, prefix, func(info storage.Info) bool { return yield(info, nil) }); err != nil {
			yield(storage.Info{}, b.failed("list", prefix, err))
		}
	}
}

func (b *Bucket) list(ctx context.Context, prefix string, yield func(storage.Info) bool) error {
	if !storage.ValidPrefix(prefix) {
		return storage.ErrKey
	}
	query := &gcstorage.Query{Prefix: b.name(prefix), Projection: gcstorage.ProjectionNoACL}
	if err := query.SetAttrSelection([]string{"Name", "Size", "Created"}); err != nil {
		return err
	}
	objects, last := b.handle.Objects(ctx, query), ""
	for {
		attrs, err := objects.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		key, ok := strings.CutPrefix(attrs.Name, b.name(""))
		if !ok || !strings.HasPrefix(key, prefix) || attrs.Name <= last {
			return errOrder
		}
		last = attrs.Name
		if storage.ValidKey(key) && !yield(info(key, attrs)) {
			return nil
		}
	}
}
