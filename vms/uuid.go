package vms

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// UUID identifies a machine to its guest: the product UUID of its SMBIOS tables.
type UUID [16]byte

// ParseUUID parses the text form of RFC 9562, section 4: 36 characters, in upper or lower case. It refuses the nil
// UUID, which identifies nothing.
func ParseUUID(text string) (UUID, error) {
	var id UUID
	digits := strings.ReplaceAll(text, "-", "")
	_, err := hex.Decode(id[:], []byte(digits[:min(len(digits), 2*len(id))]))
	if err != nil || !strings.EqualFold(id.String(), text) {
		return UUID{}, errors.New(`must be 32 digits in hex in five groups, such as "1f8a5b6c-0d2e-4f3a-8b7c-9d0e1f2a3b4c"`)
	}
	if id == (UUID{}) {
		return UUID{}, errors.New("must not be all zeroes")
	}
	return id, nil
}

// StableUUID returns the UUID of a VM that has none in its file. It is the same at every start, and differs between
// hosts, users and VMs.
//
// The UUID is the first 16 bytes of the SHA-256 of these four lines, joined by newlines, without a newline at the
// end, with the version 8 and the variant of RFC 9562, section 5.8:
//
//	qlaunch uuid
//	MACHINE-ID    the host's, as in /etc/machine-id
//	UID           in decimal
//	NAME          the VM's
func StableUUID(machineID string, uid int, name string) UUID {
	sum := sha256.Sum256(fmt.Appendf(nil, "qlaunch uuid\n%s\n%d\n%s", machineID, uid, name))
	id := UUID(sum[:16])
	id[6] = 0x80 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return id
}

// String returns the UUID in lower case with dashes.
func (id UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// UnmarshalText implements encoding.TextUnmarshaler with [ParseUUID].
func (id *UUID) UnmarshalText(text []byte) error {
	read, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*id = read
	return nil
}

// MarshalText implements encoding.TextMarshaler. An unset UUID is the empty text.
func (id UUID) MarshalText() ([]byte, error) {
	if id == (UUID{}) {
		return nil, nil
	}
	return []byte(id.String()), nil
}
