package stack

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
)

// kernelSymbols hands out the symbols of the running kernel without those of modules, until each says false. An address
// is as /proc/kallsyms has it: zeros where the kernel hides it.
func kernelSymbols(each func(address, name string) bool) error {
	file, err := os.Open("/proc/kallsyms")
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // address, kind, name, and the module of one that is not the kernel's own
		if len(fields) == 3 && !each(fields[0], fields[2]) {
			return nil
		}
	}
	return lines.Err()
}

// kernelSymbol is the address of a symbol of the running kernel, 0 if it has none of that name.
func kernelSymbol(name string) (at uint64, err error) {
	failed := kernelSymbols(func(address, symbol string) bool {
		if symbol != name {
			return true
		}
		if at, err = strconv.ParseUint(address, 16, 64); err == nil && at == 0 {
			err = errors.New("the kernel hides its addresses")
		}
		return false
	})
	return at, errors.Join(failed, err)
}
