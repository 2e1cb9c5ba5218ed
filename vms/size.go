package vms

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size uint64

// The units of a Size that are powers of two.
const (
	KiB Size = 1 << (10 * (iota + 1))
	MiB
	GiB
	TiB
	PiB
)

// sizeUnits returns the units that a file may use. A unit with an i is a power of 1024, one without is a power of
// 1000 (IEC 80000-13).
func sizeUnits() map[string]Size {
	return map[string]Size{
		"B":   1,
		"KiB": KiB, "MiB": MiB, "GiB": GiB, "TiB": TiB, "PiB": PiB,
		"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	}
}

// ParseSize parses a whole number greater than 0 and its unit, such as 2GiB or 500MB, without a space. A number
// without a unit is refused, since tools disagree about its meaning.
func ParseSize(text string) (Size, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	unit, known := sizeUnits()[text[digits:]]
	if digits == 0 || !known {
		return 0, errors.New(`must be a whole number and a unit, such as "512MiB", "2GiB" or "20GB"`)
	}
	n, err := strconv.ParseUint(text[:digits], 10, 64)
	over, product := bits.Mul64(n, uint64(unit))
	if err != nil || over != 0 {
		return 0, errors.New("is more than 64 bits can count")
	}
	if product == 0 {
		return 0, errors.New("must be greater than zero")
	}
	return Size(product), nil
}

// String returns the size in the largest unit that divides it, which is mostly the unit that it was written in.
func (s Size) String() string {
	number, unit := s, "B"
	for name, size := range sizeUnits() {
		if s%size == 0 && s/size < number {
			number, unit = s/size, name
		}
	}
	return fmt.Sprintf("%d%s", uint64(number), unit)
}

// UnmarshalText implements encoding.TextUnmarshaler with [ParseSize].
func (s *Size) UnmarshalText(text []byte) error {
	size, err := ParseSize(string(text))
	if err != nil {
		return err
	}
	*s = size
	return nil
}

// MarshalText implements encoding.TextMarshaler. An unset size is the empty text.
func (s Size) MarshalText() ([]byte, error) {
	if s == 0 {
		return nil, nil
	}
	return []byte(s.String()), nil
}
