package truth

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// apps are the applications and what they need.
//
//go:embed app/*.py app/*.txt
var apps embed.FS

// place writes the application app/NAME.py into a folder.
func place(dir, name string) error {
	source, err := apps.ReadFile("app/" + name + ".py")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".py"), source, 0o644)
}

// basic is the environment of the applications that need no more than a server and Redis.
const basic = "requirements"

// ErrMissing is wrapped by errors about programs or rights that this machine lacks: tests skip
// on it.
var ErrMissing = errors.New("missing on this machine")

// debianPython is the interpreter that Debian ships: without a symbol table, as its extension modules.
const debianPython = "/usr/bin/python3"

// baseOf is the interpreter of an environment.
func baseOf(name string) (string, error) {
	if name != "names" {
		return "python3", nil
	}
	if b, err := os.ReadFile("/etc/debian_version"); err != nil || len(b) == 0 {
		return "", fmt.Errorf("%w: Debian's Python: this is no Debian", ErrMissing)
	}
	return debianPython, nil
}

// venv returns a Python environment with the pinned requirements of app/NAME.txt, made once and
// kept in the user's cache. Several processes may ask at the same time.
func venv(name string) (python string, err error) {
	base, err := baseOf(name)
	if err != nil {
		return "", err
	}
	requirements, err := apps.ReadFile("app/" + name + ".txt")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "ragscope", "test-venv")
	if name != basic {
		dir += "-" + name
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()

	sum := sha256.Sum256(requirements)
	stamp, want := filepath.Join(dir, "stamp"), hex.EncodeToString(sum[:])
	python = filepath.Join(dir, "bin", "python")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return python, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	list := dir + ".txt"
	if err := os.WriteFile(list, requirements, 0o644); err != nil {
		return "", err
	}
	for _, argv := range [][]string{
		{base, "-m", "venv", dir},
		{python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", list},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s: %w: %s", ErrMissing, strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return python, os.WriteFile(stamp, []byte(want), 0o644)
}

func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}
