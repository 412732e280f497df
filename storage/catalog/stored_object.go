package catalog

import "context"

// StoredObject is an object as it is stored. A record stands for all objects of its backup, by their checksums.
type StoredObject struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`   // in bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

// StoredRecord is the record of a backup as it is stored. The errors are those of Record.
func (c *Cluster) StoredRecord(ctx context.Context, label string) (StoredObject, error) {
	if err := checkID("backup", label); err != nil {
		return StoredObject{}, err
	}
	return c.storedDocument(ctx, c.recordKey(label), kindRecord)
}

// StoredCensus is a census as it is stored. The errors are those of Census.
func (c *Cluster) StoredCensus(ctx context.Context, id string) (StoredObject, error) {
	if err := checkID("census", id); err != nil {
		return StoredObject{}, err
	}
	return c.storedDocument(ctx, c.censusKey(id), kindCensus)
}

func (c *Cluster) storedDocument(ctx context.Context, key, kind string) (StoredObject, error) {
	if c.copies != nil {
		return ask(ctx, c.copies, func(ctx context.Context, c *Cluster) (StoredObject, error) { return c.storedDocument(ctx, key, kind) })
	}
	raw, err := c.getSigned(ctx, key, kind)
	if err != nil {
		return StoredObject{}, err
	}
	sum := sumOf(raw)
	return StoredObject{Key: key, Size: sum.Size, SHA256: sum.SHA256}, nil
}
