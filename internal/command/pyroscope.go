package command

import (
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/export/pyroscope"
)

// PyroscopeFlags say where profiles go, and how to get in. what goes there is the program's.
func PyroscopeFlags(category, what string) []cli.Flag {
	const secret = ", or @FILE that holds it; on the command line others see it in the list of processes"
	return []cli.Flag{
		&cli.StringFlag{Category: category, Name: "pyroscope", EnvVars: Env("pyroscope"), Usage: "`URL` of a Pyroscope server, http:// or https://, for " + what},
		&cli.StringFlag{Category: category, Name: "pyroscope-token", EnvVars: Env("pyroscope-token"), Usage: "bearer `TOKEN` for it" + secret},
		&cli.StringFlag{Category: category, Name: "pyroscope-basic-auth", EnvVars: Env("pyroscope-basic-auth"), Usage: "`USER:PASSWORD` for it" + secret},
		&cli.StringFlag{Category: category, Name: "pyroscope-tenant", EnvVars: Env("pyroscope-tenant"), Usage: "`TENANT` of it, sent as X-Scope-OrgID"},
		&cli.BoolFlag{Category: category, Name: "self-profile", EnvVars: Env("self-profile"), Usage: "send profiles of this program itself to it, to see what it costs"},
	}
}

// Pyroscope is where profiles go; URL is "" where they go nowhere.
type Pyroscope struct {
	URL    string
	Access pyroscope.Access
	Self   bool // profiles of this program, too
}

// PyroscopeOf reads the flags, and says what is wrong with them. It does not talk to the server.
func PyroscopeOf(c *cli.Context) (p Pyroscope, err error) {
	p = Pyroscope{URL: c.String("pyroscope"), Self: c.Bool("self-profile")}
	p.Access.Tenant = c.String("pyroscope-tenant")
	if p.Access.Token, err = secret(c, "pyroscope-token"); err != nil {
		return p, err
	}
	pair, err := secret(c, "pyroscope-basic-auth")
	if err != nil {
		return p, err
	}
	if pair != "" {
		var ok bool
		if p.Access.User, p.Access.Password, ok = strings.Cut(pair, ":"); !ok || p.Access.User == "" {
			return p, Wrong("--pyroscope-basic-auth: want USER:PASSWORD, or @FILE with that in it")
		}
	}
	if p.URL == "" {
		for _, name := range []string{"self-profile", "pyroscope-token", "pyroscope-basic-auth", "pyroscope-tenant"} {
			if c.IsSet(name) && (name != "self-profile" || p.Self) {
				return p, Wrong("--%s needs --pyroscope: the URL of the server", name)
			}
		}
		return p, nil
	}
	if err := pyroscope.Check(p.URL, p.Access); err != nil {
		return p, Wrong("--pyroscope: %w", err)
	}
	return p, nil
}

// secret is the value of a flag, or what is in the file that it names.
func secret(c *cli.Context, flag string) (string, error) {
	value := c.String(flag)
	path, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", NotAllowed(fmt.Errorf("--%s: %w", flag, err))
	}
	value = strings.TrimSpace(string(b))
	if value == "" {
		return "", Wrong("--%s: %s is empty", flag, path)
	}
	return value, nil
}
