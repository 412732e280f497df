package sandbox

// Spec says what the inside looks like, beside the system's own programs and libraries.
type Spec struct {
	Root   string // an empty directory of the user as whom the program runs; the new root is mounted there, seen by nobody else
	Binds  []Bind
	Places []Place
}

// Bind is a file or directory that is seen inside, with all that is mounted below it.
type Bind struct {
	From, To string // absolute; no To: the same path as outside
	Writable bool   // a writable one holds no programs that could be run, and no libraries that could be loaded
}

// Place is a directory that is made at a path of the inside, which may be any, and leads to a directory that is seen there
// already.
type Place struct{ Path, Directory string }

func (b Bind) to() string {
	if b.To == "" {
		return b.From
	}
	return b.To
}

// job is what the parent tells the process that makes the root.
type job struct {
	Spec
	UID, GID int
	Program  string   // path, as seen inside; empty: only try whether all this can be had
	Args     []string // with the program's name
}
