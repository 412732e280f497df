package drill

import "io"

// WriteSummary writes a summary as one page that needs nothing but itself, like a drill's report.
func WriteSummary(w io.Writer, s *Summary) error {
	return writePage(w, "summary.html.tmpl", s)
}
