package catalog

import "time"

// StartedBackup says who began a backup, and when. Its document is the first object of a backup.
type StartedBackup struct {
	Label   string    `json:"label"`
	Type    string    `json:"type"` // "full"
	Started time.Time `json:"started"`
	Host    string    `json:"host"`
}
