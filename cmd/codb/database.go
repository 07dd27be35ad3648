package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// databaseOptions say where a PostgreSQL database is.
type databaseOptions struct {
	flag  string // its name
	given string
	file  string
}

func (o *databaseOptions) register(f *pflag.FlagSet, flag, usage string) {
	o.flag = flag
	f.StringVar(&o.given, flag, "", usage+":\n"+
		"postgres://user@host:port/database; its password is taken from $PGPASSWORD or the file $PGPASSFILE")
	f.StringVar(&o.file, flag+"-file", "", "file that holds such an address, password and all")
}

// named says that there is to be one.
func (o *databaseOptions) named() bool { return o.given != "" || o.file != "" }

// address is the database's; empty: there is none. No error repeats it.
func (o *databaseOptions) address() (string, error) {
	switch {
	case o.given != "" && o.file != "":
		return "", fmt.Errorf("--%s and --%[1]s-file: give one of them", o.flag)
	case o.file != "":
		text, err := os.ReadFile(o.file)
		if err != nil {
			return "", fmt.Errorf("--%s-file: %w", o.flag, err)
		}
		at := strings.TrimSpace(string(text))
		if _, err := databaseURL(at); err != nil {
			return "", fmt.Errorf("--%s-file %s: %w", o.flag, o.file, err)
		}
		return at, nil
	case o.given != "":
		u, err := databaseURL(o.given)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", o.flag, err)
		}
		if _, given := u.User.Password(); given || u.Query().Has("password") {
			return "", fmt.Errorf("--%s: everybody on this machine can read a password there; use --%[1]s-file, $PGPASSWORD or $PGPASSFILE", o.flag)
		}
	}
	return o.given, nil
}

func databaseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("want postgres://user@host:port/database")
	}
	return u, nil
}
