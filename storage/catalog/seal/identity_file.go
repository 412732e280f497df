package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ReadIdentityFile reads the identities of the file at path, see [ParseIdentities]. The file is refused where anybody but
// its owner has any right to it.
func ReadIdentityFile(path string) (*Identities, error) {
	file, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("identity file %s: there is no such file: %w", path, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("identity file: %w", err)
	}
	defer file.Close()
	if err := private(file); err != nil {
		return nil, fmt.Errorf("identity file %s: %w", path, err)
	}
	identities, err := ParseIdentities(file)
	if err != nil {
		return nil, fmt.Errorf("identity file %s: %w", path, err)
	}
	return identities, nil
}

// private refuses a directory, and a file that others than its owner can read, change or run.
func private(file *os.File) error {
	info, err := file.Stat()
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("it can be read or changed by others (mode %04o): run 'chmod 600 %s'", info.Mode().Perm(), file.Name())
	}
	return nil
}
