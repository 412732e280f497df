package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"golang.org/x/sync/errgroup"

	"lifeboat/cmd/internal/config"
	"lifeboat/restore"
)

// A scratch server has none of this process's environment, and perhaps another user. Where credentials come from there, a
// drill lends them to the server's restore_command in a file: private, of the server's user, and gone with the drill.

// lentPrefix is what the names of such files in the work directory begin with.
const lentPrefix = ".lifeboat-credentials-"

// lendInterval is how often a lent file is looked after: temporary credentials are replaced well before they expire.
const lendInterval = time.Minute

// loan is a credentials file that exists as long as the process that made it.
type loan struct {
	file     *os.File // locked, so that others can tell a loan in use from the leavings of a dead process
	provider aws.CredentialsProvider
	profile  string
	last     aws.Credentials
	cancel   context.CancelFunc
	group    errgroup.Group
}

// lendCredentials makes the file where the server's user could not come by the credentials otherwise; from is then where
// that user finds them. The loan is nil where none is needed.
func (a *app) lendCredentials(ctx context.Context, settings *config.Config, from credentialSource, owner *restore.Owner) (credentialSource, *loan, error) {
	directory := settings.Scheduler.WorkDirectory
	r := &settings.Repository
	if r.Place().Scheme != config.SchemeS3 || from.file != "" && readableBy(from.file, owner) == nil {
		return from, nil, nil
	}
	provider, err := s3Credentials(ctx, r.S3)
	if err == nil && provider == nil {
		var loaded aws.Config
		loaded, err = awsconfig.LoadDefaultConfig(ctx)
		provider = loaded.Credentials
	}
	if err != nil {
		return from, nil, fmt.Errorf("find credentials for the scratch server: %w", err)
	}
	l := &loan{provider: provider, profile: defaultProfile}
	if err := l.open(ctx, directory, owner); err != nil {
		return from, nil, err
	}
	ctx, l.cancel = context.WithCancel(ctx)
	l.group.Go(func() error { l.renew(ctx, a); return nil })
	return credentialSource{file: l.file.Name(), profile: l.profile}, l, nil
}

func (l *loan) open(ctx context.Context, directory string, owner *restore.Owner) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("lend credentials to the scratch server: %w", err)
	}
	if err := reclaimLoans(directory); err != nil {
		return err
	}
	file, err := newLoan(directory)
	if err != nil {
		return fmt.Errorf("lend credentials to the scratch server: %w", err)
	}
	l.file = file
	if owner != nil {
		err = file.Chown(owner.UID, owner.GID)
	}
	if err == nil {
		err = l.write(ctx)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("lend credentials to the scratch server: %w", err), l.remove())
	}
	return nil
}

// newLoan makes a file and locks it. Who looks for the files of dead processes may take a new one for such in the moment before it is
// locked, and remove it: then another is made.
func newLoan(directory string) (*os.File, error) {
	for {
		file, err := os.CreateTemp(directory, lentPrefix) // 0600
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			return nil, errors.Join(err, os.Remove(file.Name()), file.Close())
		}
		if _, err := os.Lstat(file.Name()); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(err, file.Close())
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

// reclaimLoans removes the files of processes that were killed.
func reclaimLoans(directory string) error {
	paths, err := filepath.Glob(filepath.Join(directory, lentPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for credentials that a killed drill has left: %w", err)
	}
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			continue // gone meanwhile, or another user's
		}
		if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.Remove(path) // another drill may have done so
			// A process that is just being started shares the file, and would keep the lock for a moment.
			_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		}
		_ = file.Close() // it was only locked
	}
	return nil
}

// write puts the present credentials into the file, whole, where they have changed. Readers open it anew each time.
func (l *loan) write(ctx context.Context) error {
	now, err := l.provider.Retrieve(ctx)
	if err != nil || now.AccessKeyID == l.last.AccessKeyID && now.SessionToken == l.last.SessionToken {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "[%s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", l.profile, now.AccessKeyID, now.SecretAccessKey)
	if now.SessionToken != "" {
		fmt.Fprintf(&text, "aws_session_token = %s\n", now.SessionToken)
	}
	if _, err := l.file.WriteAt([]byte(text.String()), 0); err != nil {
		return err
	}
	l.last = now
	return l.file.Truncate(int64(text.Len()))
}

func (l *loan) renew(ctx context.Context, a *app) {
	ticker := time.NewTicker(lendInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := l.write(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("the scratch server's credentials cannot be renewed", "error", err)
			}
		}
	}
}

// remove takes the loan back. It does nothing for a nil loan.
func (l *loan) remove() error {
	if l == nil {
		return nil
	}
	if l.cancel != nil {
		l.cancel()
	}
	if err := errors.Join(l.group.Wait(), os.Remove(l.file.Name()), l.file.Close()); err != nil {
		return fmt.Errorf("take back the scratch server's credentials: %w", err)
	}
	return nil
}

// loans are those of a drill: one for each repository that needs one.
type loans []*loan

func (l loans) remove() error {
	var errs []error
	for _, one := range l {
		errs = append(errs, one.remove())
	}
	return errors.Join(errs...)
}
