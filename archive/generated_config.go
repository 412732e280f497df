package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// presets are recorded settings that no configuration file may set.
var presets = []string{"server_encoding", "lc_collate", "lc_ctype"}

const generatedHead = "# Written by Lifeboat: the data directory had no %s of its own, since the server was told to look elsewhere.\n" +
	"# Compare with the original before this cluster goes into service.\n"

// missingConfig makes the configuration files without which a server does not start from the directory alone, as far as
// it has none of its own. Distributions such as Debian keep them elsewhere.
func missingConfig(dataDirectory string, settings map[string]string) (map[string][]byte, error) {
	all := map[string][]byte{
		"postgresql.conf": configText(settings),
		"pg_hba.conf":     []byte(fmt.Sprintf(generatedHead, "pg_hba.conf") + "local all all peer\nlocal replication all peer\n"),
		"pg_ident.conf":   fmt.Appendf(nil, generatedHead, "pg_ident.conf"),
	}
	missing := map[string][]byte{}
	for name, text := range all {
		info, err := os.Lstat(filepath.Join(dataDirectory, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, unreadable(err)
		}
		if err != nil || !info.Mode().IsRegular() {
			missing[name] = text
		}
	}
	return missing, nil
}

// configText is a postgresql.conf with the recorded settings.
// https://www.postgresql.org/docs/current/config-setting.html#CONFIG-SETTING-CONFIGURATION-FILE
func configText(settings map[string]string) []byte {
	var text strings.Builder
	fmt.Fprintf(&text, generatedHead, "postgresql.conf")
	for _, name := range recordedSettings {
		value, ok := settings[name]
		if !ok || slices.Contains(presets, name) {
			continue
		}
		fmt.Fprintf(&text, "%s = %s\n", name, quoteSetting(value))
	}
	return []byte(text.String())
}

// quoteSetting quotes a value for postgresql.conf (guc-file.l: DeescapeQuotedString).
func quoteSetting(value string) string {
	value = strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(value)
	return "'" + value + "'"
}
