package pyroscope

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
)

// Access is how a client shows a server who it is; the zero value shows nothing. It never
// prints its secrets.
type Access struct {
	User, Password string // basic auth; those of the URL, if it has any, come first
	Token          string // bearer token, instead of them
	Tenant         string // header X-Scope-OrgID
}

// String says what there is without saying it.
func (a Access) String() string {
	kind := "no authentication"
	switch {
	case a.Token != "":
		kind = "bearer token"
	case a.User != "":
		kind = "basic auth"
	}
	if a.Tenant != "" {
		kind += ", tenant " + a.Tenant
	}
	return kind
}

// LogValue keeps the secrets out of logs.
func (a Access) LogValue() slog.Value { return slog.StringValue(a.String()) }

// header are the headers of every request.
func (a Access) header() http.Header {
	r := http.Request{Header: http.Header{}}
	switch {
	case a.Token != "":
		r.Header.Set("Authorization", "Bearer "+a.Token)
	case a.User != "" || a.Password != "":
		r.SetBasicAuth(a.User, a.Password)
	}
	if a.Tenant != "" {
		r.Header.Set("X-Scope-OrgID", a.Tenant)
	}
	return r.Header
}

// address parses a server's URL. User information becomes basic auth and leaves the URL, which
// turns up in errors and logs; so no error here repeats what was given.
func address(raw string, a Access) (base string, _ Access, err error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", a, errors.New("the URL of the Pyroscope server should look like http://host:4040 or https://host")
	}
	if u.User != nil {
		a.User = u.User.Username()
		a.Password, _ = u.User.Password()
		u.User = nil
	}
	if a.Token != "" && (a.User != "" || a.Password != "") {
		return "", a, fmt.Errorf("give %s either a token or a user and password, not both", u.Host)
	}
	for _, s := range []string{a.Token, a.Tenant} {
		for _, c := range []byte(s) {
			if c < ' ' || c == 0x7f {
				return "", a, errors.New("a token and a tenant are one line without control characters")
			}
		}
	}
	return u.String(), a, nil
}

// Check says what is wrong with the address of a server. It does not talk to it.
func Check(url string, a Access) error {
	_, _, err := address(url, a)
	return err
}
