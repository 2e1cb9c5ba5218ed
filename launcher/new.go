package launcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/vms"
)

// NewRequest is a request for the definition of a new VM.
type NewRequest struct {
	Name  string
	Start vms.Start // the content of the definition; an image path is relative to the current directory
}

// New writes a definition and returns its path. It reads the format of an image from the image's header. If there is
// a definition already, it is not changed, and the error is an [*ExistsError]. A request that makes no valid
// definition is a [*RequestError], an image that cannot be used an [*ImageError], a disk that is smaller than its
// image a [*SizeError].
func New(e *Env, r NewRequest) (path string, err error) {
	if err := vms.CheckName(r.Name); err != nil {
		return "", &DefinitionError{err}
	}
	if r.Start.Image != "" {
		if r.Start.Image, err = filepath.Abs(r.Start.Image); err != nil {
			return "", err
		}
		if r.Start.Format, err = qemu.ImageFormat(r.Start.Image); err != nil {
			return "", wrongImage(r.Start.Image, err)
		}
	}
	path = e.Store.Path(r.Name)
	text := vms.Template(r.Name, r.Start)
	vm, err := vms.Parse(text, e.Store.Env(r.Name, path))
	if err != nil {
		return "", &RequestError{withoutPlaces(err)}
	}
	if err := checkSize(r.Start, vm); err != nil {
		return "", err
	}
	err = create(path, text)
	if errors.Is(err, fs.ErrExist) {
		return "", &ExistsError{r.Name, path}
	}
	return path, err
}

// ExistsError says that a VM already has a definition.
type ExistsError struct{ Name, File string }

func (e *ExistsError) Error() string { return e.File + " exists" }

// ImageError says that an image cannot be used.
type ImageError struct {
	Path string
	Err  error // a *qemu.FormatError, for an image that is neither qcow2 nor raw, has a remedy of its own
}

func (e *ImageError) Error() string { return fmt.Sprintf("image %s: %v", e.Path, e.Err) }

// Unwrap gives the reason.
func (e *ImageError) Unwrap() error { return e.Err }

// wrongImage returns the error about an image whose format is unknown: a [*RequestError], unless it has a remedy of
// its own.
func wrongImage(path string, err error) error {
	image := &ImageError{path, err}
	if isA[*qemu.FormatError](err) {
		return image
	}
	return &RequestError{image}
}

// SizeError says that an image is larger than the requested disk. It matches qemu.ErrNotShrunk.
type SizeError struct{ Want, Has vms.Size }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the image has %v: a disk %v", e.Has, qemu.ErrNotShrunk)
}

// Unwrap gives qemu.ErrNotShrunk.
func (e *SizeError) Unwrap() error { return qemu.ErrNotShrunk }

// RequestError says that a value in a request is invalid.
type RequestError struct{ Err error }

func (e *RequestError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *RequestError) Unwrap() error { return e.Err }

// checkSize refuses a disk size that is smaller than the image, which would have to be shrunk.
func checkSize(start vms.Start, vm vms.VM) error {
	if start.Image == "" || start.DiskSize == 0 {
		return nil
	}
	size, err := qemu.DiskSize(vm.Disks[0])
	if err != nil {
		return &ImageError{vm.Disks[0].Path, err}
	}
	if size > start.DiskSize {
		return &SizeError{Want: start.DiskSize, Has: size}
	}
	return nil
}

// withoutPlaces returns the mistakes of a definition without line numbers, since there is no file yet.
func withoutPlaces(err error) error {
	var texts []error
	mistakes, _ := errors.AsType[vms.Errors](err)
	for _, m := range mistakes {
		texts = append(texts, errors.New(m.Text))
	}
	return errors.Join(texts...)
}

// create writes a new file atomically, and never overwrites one.
func create(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
