package vms

import (
	"errors"
	"time"
)

// Duration is a length of time, more than zero and at most a day.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler: "90s", "2m30s".
func (d *Duration) UnmarshalText(text []byte) error {
	t, err := time.ParseDuration(string(text))
	switch {
	case err != nil:
		return errors.New(`must be a number and a unit, such as "90s" or "2m"`)
	case t <= 0:
		return errors.New("must be greater than zero")
	case t > 24*time.Hour:
		return errors.New("must be at most 24h")
	}
	*d = Duration(t)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String returns the duration as package time writes it: "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }
