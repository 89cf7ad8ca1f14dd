package catalogcheck

import (
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// sources reads the lines that findings are about, each file once.
type sources struct {
	// dir is what the files of places are relative to.
	dir   string
	lines map[string][]string
}

func newSources(dir string) *sources { return &sources{dir: dir, lines: map[string][]string{}} }

// absolute returns the absolute path of the file of a place.
func (s *sources) absolute(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(s.dir, file)
}

// line returns line n of file, counting from 1, without its end. A file that is
// gone or was cut short since it was checked has empty lines.
func (s *sources) line(file string, n int) string {
	lines, read := s.lines[file]
	if !read {
		content, err := os.ReadFile(s.absolute(file))
		if err == nil {
			lines = strings.Split(string(content), "\n")
		}
		s.lines[file] = lines
	}
	if n < 1 || n > len(lines) {
		return ""
	}
	return strings.TrimSuffix(lines[n-1], "\r")
}

// codePoints converts a column in bytes to one in code points.
func (s *sources) codePoints(file string, line, column int) int {
	text := s.line(file, line)
	if column < 1 || column-1 > len(text) {
		return column
	}
	return utf8.RuneCountInString(text[:column-1]) + 1
}
