package catalog

import (
	"encoding/json"
	"fmt"
)

// recordSecrets is the part of a record that is sealed: what it says about the server besides positions, times and
// sizes. Label and system identifier show a part that was moved to another record.
type recordSecrets struct {
	Label            string            `json:"label"`
	SystemIdentifier uint64            `json:"system_identifier,string"`
	BackupLabel      string            `json:"backup_label"`
	TablespaceMap    string            `json:"tablespace_map"`
	Tablespaces      []Tablespace      `json:"tablespaces"`
	Superuser        string            `json:"superuser"`
	Settings         map[string]string `json:"settings"`
	DamagedPages     []DamagedPage     `json:"damaged_pages"`
}

// sealedRecord is the body of a record as it is stored sealed. Its own fields hide those of the same name in the
// Record, so that these are left out.
type sealedRecord struct {
	Record
	BackupLabel   *struct{} `json:"backup_label,omitempty"`
	TablespaceMap *struct{} `json:"tablespace_map,omitempty"`
	Tablespaces   *struct{} `json:"tablespaces,omitempty"`
	Superuser     *struct{} `json:"superuser,omitempty"`
	Settings      *struct{} `json:"settings,omitempty"`
	DamagedPages  *struct{} `json:"damaged_pages,omitempty"`
	Sealed        []byte    `json:"sealed"` // an age file of the JSON of recordSecrets
}

// recordBody is the body of a record in either form.
type recordBody struct {
	Record
	Sealed []byte `json:"sealed,omitempty"`
}

// encodeRecord is the record's document.
func (s *store) encodeRecord(rec Record) ([]byte, error) {
	if !s.seals() {
		rec.Recipients = nil
		return encodeDocument(kindRecord, rec)
	}
	rec.Recipients = s.keys.Recipients.Strings()
	secrets, err := json.Marshal(recordSecrets{
		Label: rec.Label, SystemIdentifier: rec.SystemIdentifier, BackupLabel: rec.BackupLabel,
		TablespaceMap: rec.TablespaceMap, Tablespaces: rec.Tablespaces, Superuser: rec.Superuser, Settings: rec.Settings,
		DamagedPages: rec.DamagedPages,
	})
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	sealed, err := s.keys.Recipients.Seal(secrets)
	if err != nil {
		return nil, err
	}
	return encodeDocument(kindRecord, sealedRecord{Record: rec, Sealed: sealed})
}

// openRecord completes a record from its sealed part, or says in it why that cannot be opened.
func (s *store) openRecord(key string, body recordBody) (Record, error) {
	rec := body.Record
	if body.Sealed == nil {
		return rec, s.checkForm(key, false)
	}
	plain, err := s.unseal(key, body.Sealed)
	if isLocked(err) {
		rec.Locked = err
		return rec, nil
	}
	if err != nil {
		return rec, err
	}
	var secrets recordSecrets
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return rec, &DamagedError{Key: key, Detail: "sealed part", Err: err}
	}
	if secrets.Label != rec.Label || secrets.SystemIdentifier != rec.SystemIdentifier {
		return rec, damaged(key, "has the sealed part of backup %q", secrets.Label)
	}
	rec.BackupLabel, rec.TablespaceMap, rec.Tablespaces = secrets.BackupLabel, secrets.TablespaceMap, secrets.Tablespaces
	rec.Superuser, rec.Settings, rec.DamagedPages = secrets.Superuser, secrets.Settings, secrets.DamagedPages
	return rec, nil
}
