package host

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/qlaunch/qlaunch/netsetup"
)

// A journal records what setups have done to this host, in the order in which they first did it. Only teardown and the
// next setup read it. Each change is written to the disk before it is made.
type journal struct {
	Spec  Spec    `json:"want"`
	Steps []entry `json:"steps"`
}

// An entry is an item with its state before the first setup and the state that the last setup gave it.
type entry struct {
	Item
	From text     `json:"from"`
	To   text     `json:"to"`
	Then []string `json:"then,omitempty"`
}

// A text is a string of any bytes: an administrator's file need not be UTF-8, as JSON is.
type text string

const coded = "base64:"

// MarshalText keeps valid UTF-8 readable.
func (t text) MarshalText() ([]byte, error) {
	if utf8.ValidString(string(t)) && !strings.HasPrefix(string(t), coded) {
		return []byte(t), nil
	}
	return []byte(coded + base64.StdEncoding.EncodeToString([]byte(t))), nil
}

// UnmarshalText reads what MarshalText wrote.
func (t *text) UnmarshalText(data []byte) error {
	code, is := strings.CutPrefix(string(data), coded)
	if !is {
		*t = text(data)
		return nil
	}
	raw, err := base64.StdEncoding.DecodeString(code)
	*t = text(raw)
	return err
}

// readJournal returns the journal, empty if there is none. A caller other than root gets the Spec without the steps.
func readJournal() (journal, error) {
	var j journal
	err := decode(journalPath, &j)
	if errors.Is(err, fs.ErrPermission) {
		err = decode(wantedPath, &j.Spec)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return journal{}, nil
	}
	return j, err
}

func decode(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // refuse the journal of a newer version instead of losing parts of it
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// privately is the mode of the journal: it has the content of files that others may not be allowed to read.
const privately = 0o600

// write writes the journal to the disk.
func (j journal) write() error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	wanted, err := json.MarshalIndent(j.Spec, "", "  ")
	if err != nil {
		return err
	}
	if err := netsetup.Trusted(journalPath); err != nil {
		return err
	}
	if err := setDirectory(netsetup.StateDir, modeState(0o755, "root", "root")); err != nil {
		return err
	}
	if err := setFile(journalPath, fileState(privately, "root", "root", append(data, '\n'))); err != nil {
		return err
	}
	state := fileState(0o644, "root", "root", append(wanted, '\n'))
	if now, err := lookFile(wantedPath); err != nil || now == state {
		return err
	}
	return setFile(wantedPath, state)
}

// closeToOthers rewrites the journal of an older version, which every user could read.
func (j journal) closeToOthers() error {
	state, err := lookMode(journalPath)
	if err != nil || state == "" || state == modeState(privately, "root", "root") {
		return err
	}
	return j.write()
}

// note records a change that is about to be made, and the Spec. The item's state before the first setup is kept. If the
// journal cannot be written, it stays as it is on the disk.
func (j *journal) note(spec Spec, s Step) error {
	next := journal{spec, slices.Clone(j.Steps)}
	if i := next.index(s.Item); i >= 0 {
		next.Steps[i].To, next.Steps[i].Then = text(s.To), s.Then
	} else {
		next.Steps = append(next.Steps, entry{s.Item, text(s.From), text(s.To), s.Then})
	}
	if err := next.write(); err != nil {
		return err
	}
	*j = next
	return nil
}

// with returns the journal with the entries of another journal for these items.
func (j journal) with(other journal, items []Item) journal {
	next := journal{j.Spec, slices.Clone(j.Steps)}
	for _, e := range other.Steps {
		switch i := next.index(e.Item); {
		case !slices.Contains(items, e.Item):
		case i >= 0:
			next.Steps[i] = e
		default:
			next.Steps = append(next.Steps, e)
		}
	}
	return next
}

// save writes the journal, or removes it if it is empty.
func (j journal) save() error {
	if len(j.Steps) == 0 {
		return removeJournal()
	}
	return j.write()
}

func (j *journal) index(item Item) int {
	return slices.IndexFunc(j.Steps, func(e entry) bool { return e.Item == item })
}

func (j *journal) steps() []Step {
	steps := make([]Step, len(j.Steps))
	for i, e := range j.Steps {
		steps[i] = Step{Item: e.Item, From: string(e.From), To: string(e.To), Then: e.Then}
	}
	return steps
}

// removeJournal removes all records of the setup, and the leases.
func removeJournal() error {
	if err := netsetup.Trusted(netsetup.StateDir); err != nil {
		return err
	}
	return os.RemoveAll(netsetup.StateDir)
}
