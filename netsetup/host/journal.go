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

// A journal is what setups have done to this host, in the order in which they did it first: it is what teardown needs to
// know, and nothing else asks it but the next setup. Each change is noted, on the disk, before it is made.
type journal struct {
	Want  netsetup.Want `json:"want"`
	Steps []entry       `json:"steps"`
}

// An entry is an item with its state before the first setup, and what the last one made of it.
type entry struct {
	netsetup.Item
	From text     `json:"from"`
	To   text     `json:"to"`
	Then []string `json:"then,omitempty"`
}

// A text is a string of any bytes: an administrator's file may be in an older encoding than JSON's.
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

// readJournal is the journal; an empty one when there is none.
func readJournal() (journal, error) {
	var j journal
	data, err := os.ReadFile(netsetup.JournalPath)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil
	}
	if err != nil {
		return j, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields() // a newer version's would be half understood
	if err := d.Decode(&j); err != nil {
		return j, fmt.Errorf("%s: %w", netsetup.JournalPath, err)
	}
	return j, nil
}

// write puts the journal on the disk.
func (j journal) write() error {
	data, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := netsetup.Trusted(netsetup.JournalPath); err != nil {
		return err
	}
	if err := setDirectory(netsetup.StateDir, netsetup.ModeState(0o755, "root", "root")); err != nil {
		return err
	}
	return setFile(netsetup.JournalPath, netsetup.FileState(0o644, "root", "root", append(data, '\n')))
}

// note adds a change that is about to be made. What the item was before the first setup stays noted.
func (j *journal) note(s netsetup.Step) (fresh bool, err error) {
	if i := j.index(s.Item); i >= 0 {
		j.Steps[i].To, j.Steps[i].Then = text(s.To), s.Then
		return false, j.write()
	}
	j.Steps = append(j.Steps, entry{s.Item, text(s.From), text(s.To), s.Then})
	if err := j.write(); err != nil {
		j.forget(s.Item)
		return true, err
	}
	return true, nil
}

// forget takes an entry back whose change has been undone.
func (j *journal) forget(item netsetup.Item) {
	j.Steps = slices.DeleteFunc(j.Steps, func(e entry) bool { return e.Item == item })
}

func (j *journal) index(item netsetup.Item) int {
	return slices.IndexFunc(j.Steps, func(e entry) bool { return e.Item == item })
}

func (j *journal) steps() []netsetup.Step {
	steps := make([]netsetup.Step, len(j.Steps))
	for i, e := range j.Steps {
		steps[i] = netsetup.Step{Item: e.Item, From: string(e.From), To: string(e.To), Then: e.Then}
	}
	return steps
}

// removeJournal removes all that was kept of the setup, and the leases with it.
func removeJournal() error {
	if err := netsetup.Trusted(netsetup.StateDir); err != nil {
		return err
	}
	return os.RemoveAll(netsetup.StateDir)
}
