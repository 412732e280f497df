package control_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeboat/internal/control"
	"lifeboat/internal/pgtest"
)

// controlFile is the pg_control of a cluster that was shut down.
func controlFile(t *testing.T, install pgtest.Install) (cluster *pgtest.Cluster, raw []byte) {
	t.Helper()
	cluster = pgtest.Start(t, install, pgtest.Options{DataChecksums: true, WALSegmentMB: 4, Settings: map[string]string{"max_connections": "42"}})
	cluster.Stop()
	raw, err := os.ReadFile(filepath.Join(cluster.DataDir, "global/pg_control"))
	if err != nil {
		t.Fatal(err)
	}
	return cluster, raw
}

func TestWhatTheServerWroteIsRead(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		_, raw := controlFile(t, install)
		c, err := control.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if c.State != control.ShutDown || c.MaxConnections != 42 || c.WALSegmentSize != 4<<20 || c.BlockSize != 8192 ||
			c.BlocksPerSegment != 131072 || c.DataChecksumVersion != 1 || c.Timeline != 1 || c.Checkpoint == 0 || c.Redo != c.Checkpoint {
			t.Errorf("%+v", c)
		}
	})
}

func TestTheServersOwnToolAgrees(t *testing.T) {
	t.Parallel()
	install := pgtest.Debian(t)
	cluster, raw := controlFile(t, install)
	c, err := control.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	said := controlData(t, install, cluster.DataDir)
	for name, want := range map[string]string{
		"pg_control version number": fmt.Sprint(c.Version), "Catalog version number": fmt.Sprint(c.CatalogVersion),
		"Database system identifier": fmt.Sprint(c.SystemIdentifier), "Latest checkpoint location": c.Checkpoint.String(),
		"Latest checkpoint's REDO location": c.Redo.String(), "max_connections setting": fmt.Sprint(c.MaxConnections),
		"max_worker_processes setting": fmt.Sprint(c.MaxWorkerProcesses), "max_wal_senders setting": fmt.Sprint(c.MaxWALSenders),
		"max_prepared_xacts setting": fmt.Sprint(c.MaxPreparedXacts), "max_locks_per_xact setting": fmt.Sprint(c.MaxLocksPerTransaction),
		"Mock authentication nonce": fmt.Sprintf("%x", c.MockNonce),
		"Bytes per WAL segment":     fmt.Sprint(c.WALSegmentSize), "Data page checksum version": fmt.Sprint(c.DataChecksumVersion),
	} {
		if said[name] != want {
			t.Errorf("%s: pg_controldata says %q, not %q", name, said[name], want)
		}
	}
}

func TestANeutralisedFileIsSoundAndPointsNowhere(t *testing.T) {
	t.Parallel()
	install := pgtest.Debian(t)
	cluster, raw := controlFile(t, install)
	neutral, err := control.Neutralise(raw)
	if err != nil {
		t.Fatal(err)
	}
	before := controlData(t, install, cluster.DataDir)
	if err := os.WriteFile(filepath.Join(cluster.DataDir, "global/pg_control"), neutral, 0o600); err != nil {
		t.Fatal(err)
	}
	after := controlData(t, install, cluster.DataDir)
	for name, value := range after {
		changed := name == "Latest checkpoint location"
		if (before[name] != value) != changed {
			t.Errorf("%s: %q before, %q after", name, before[name], value)
		}
	}
}

func TestAServerDoesNotStartFromANeutralisedFile(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		cluster, raw := controlFile(t, install)
		neutral, err := control.Neutralise(raw)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cluster.DataDir, "global/pg_control"), neutral, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pgtest.StartDir(t, install, cluster.DataDir, pgtest.Options{}); err == nil {
			t.Error("it starts")
		}
	})
}

// controlData runs pg_controldata, which warns where the CRC does not hold.
func controlData(t *testing.T, install pgtest.Install, dataDir string) map[string]string {
	t.Helper()
	out, err := pgtest.Command(t.Context(), install, "pg_controldata", dataDir).CombinedOutput()
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Fatalf("pg_controldata: %v\n%s", err, out)
	}
	said := map[string]string{}
	for _, line := range strings.Split(string(out), "\n") {
		name, value, _ := strings.Cut(line, ":")
		said[name] = strings.TrimSpace(value)
	}
	return said
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	pgtest.Each(t, func(t *testing.T, install pgtest.Install) {
		_, raw := controlFile(t, install)
		end := 292
		if install.Major >= 18 {
			end = 296
		}
		for i := range end * 8 {
			raw[i/8] ^= 1 << (i % 8)
			if _, err := control.Parse(raw); err == nil {
				t.Errorf("bit %d of byte %d", i%8, i/8)
			}
			raw[i/8] ^= 1 << (i % 8)
		}
	})
}

func TestDamageIsNamed(t *testing.T) {
	t.Parallel()
	_, raw := controlFile(t, pgtest.Newest(t))
	future := append([]byte(nil), raw...)
	binary.LittleEndian.PutUint32(future[8:], 9900)
	torn := append([]byte(nil), raw...)
	torn[32] = bits.Reverse8(torn[32]) + 1
	for name, tc := range map[string]struct {
		raw  []byte
		want error
	}{
		"empty": {nil, control.ErrShort}, "cut": {raw[:200], control.ErrShort}, "future version": {future, control.ErrVersion}, "torn": {torn, control.ErrChecksum},
	} {
		if _, err := control.Parse(tc.raw); !errors.Is(err, tc.want) {
			t.Errorf("%s: Parse says %v", name, err)
		}
		if _, err := control.Neutralise(tc.raw); !errors.Is(err, tc.want) {
			t.Errorf("%s: Neutralise says %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(make([]byte, control.FileSize))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, err := control.Parse(raw)
		if _, neutralErr := control.Neutralise(raw); (err == nil) != (neutralErr == nil) {
			t.Errorf("Parse says %v, Neutralise %v", err, neutralErr)
		}
	})
}
