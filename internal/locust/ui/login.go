package ui

import (
	"crypto/rand"
	"crypto/subtle"
	_ "embed" // the page
	"html/template"
	"net/http"
	"strings"
	"sync"

	"github.com/ragscope/ragscope/internal/web/style"
)

// Login asks for a name and a password before anything else. The nil Login asks nobody.
type Login struct {
	User, Password string

	mu       sync.Mutex
	sessions map[string]bool
}

// maxSessions bounds what is remembered of those who logged in; all are asked again then.
const maxSessions = 1000

const cookie = "loader_session"

func (l *Login) right(user, password string) bool {
	return subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(l.User+"\x00"+l.Password)) == 1
}

// guard lets those in who logged in; scripts may use HTTP basic authentication.
func (l *Login) guard(next http.Handler) http.Handler {
	if l == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); ok && l.right(user, password) || l.knows(r) {
			next.ServeHTTP(w, r)
			return
		}
		if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Location", "login") // relative: the page is at the root, wherever that is
			w.WriteHeader(http.StatusFound)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="loader"`)
		http.Error(w, "log in at /login, or send the name and password as HTTP basic authentication", http.StatusUnauthorized)
	})
}

func (l *Login) knows(r *http.Request) bool {
	c, err := r.Cookie(cookie)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sessions[c.Value]
}

func (l *Login) open() (session string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessions == nil || len(l.sessions) >= maxSessions {
		l.sessions = map[string]bool{}
	}
	session = rand.Text()
	l.sessions[session] = true
	return session
}

//go:embed login.html
var loginHTML string

var loginTemplate = template.Must(template.New("login").Parse(loginHTML))

// login is GET and POST /login.
func (u *UI) login(w http.ResponseWriter, r *http.Request) {
	l := u.cfg.Login
	if l == nil {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Location", "./")
		w.WriteHeader(http.StatusFound)
		return
	}
	wrong := false
	if r.Method == http.MethodPost {
		if l.right(r.PostFormValue("username"), r.PostFormValue("password")) {
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: l.open(), Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode})
			w.Header().Set("Location", "./")
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		wrong = true
	}
	policy(w)
	if wrong {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_ = loginTemplate.Execute(w, struct {
		CSS   template.CSS
		Wrong bool
	}{template.CSS(style.CSS + pageCSS), wrong})
}

// policy are the headers of a page: nothing from elsewhere is loaded or run.
func policy(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
}
