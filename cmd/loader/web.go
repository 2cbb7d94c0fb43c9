package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/load"
	"github.com/ragscope/ragscope/internal/locust"
	"github.com/ragscope/ragscope/internal/locust/ui"
	"github.com/ragscope/ragscope/internal/recording"
	"github.com/ragscope/ragscope/internal/scenario"
)

// checkWeb complains about flags of the web UI that do not go together.
func checkWeb(c *cli.Context) error {
	switch {
	case c.IsSet("autoquit") && !c.Bool("autostart"):
		return command.Wrong("--autoquit only has a meaning together with --autostart")
	case c.Bool("headless"):
		return nil
	case (c.String("tls-cert") == "") != (c.String("tls-key") == ""):
		return command.Wrong("--tls-cert and --tls-key belong together: give both or none")
	case c.String("web-auth") != "" && !strings.Contains(c.String("web-auth"), ":"):
		return command.Wrong("--web-auth: write NAME:PASSWORD")
	}
	if p := c.Int("web-port"); p < 0 || p > 65535 {
		return command.Wrong("--web-port %d: write a port, 1 to 65535", p)
	}
	if base := c.String("web-base-path"); base != "" && !strings.HasPrefix(base, "/") {
		return command.Wrong("--web-base-path %q must begin with /", base)
	}
	return nil
}

// web runs the web UI until it is interrupted, or until --autoquit, and writes the results of
// the last run.
func web(c *cli.Context, abort context.Context, s *scenario.Scenario) error {
	stopTimeout, err := scenario.ParseDuration(c.String("stop-timeout"))
	if err != nil {
		return command.Wrong("--stop-timeout: %w", err)
	}
	seed, shard, err := drawing(c)
	if err != nil {
		return err
	}
	out, err := newOutput(c, s)
	if err != nil {
		return err
	}
	listener, err := listen(c)
	if err != nil {
		return err
	}
	defer listener.Close()
	logs := ui.NewLogs(slog.Default().Handler())
	slog.SetDefault(slog.New(logs))
	stats := locust.NewStats(s.Tasks, time.Now())
	if err := out.openFiles(stats); err != nil {
		return err
	}
	var printer []load.Sink
	if c.Bool("print-stats") && !c.Bool("only-summary") {
		printer = append(printer, out.shower(stats, s))
	}
	cfg := sending(c, abort)
	cfg.StopTimeout, cfg.Seed, cfg.Shard = stopTimeout, seed, shard
	ctx, quit := context.WithCancel(c.Context)
	defer quit()
	u, err := ui.New(ctx, ui.Config{
		Scenario: func(name string) (*scenario.Scenario, error) { return planNamed(c, name) }, Scenarios: scenario.BuiltinNames(),
		Load:  cfg,
		Stats: stats, Files: out.files, Sinks: printer,
		Begin: func(s *scenario.Scenario) (sinks []load.Sink, end func(*load.Result) *recording.Recording, err error) {
			preflight(ctx, s.Host)
			if sinks, err = out.ofRun(s, time.Now(), shard); err != nil {
				return nil, nil, err
			}
			return sinks, openWindow(ctx, c.String("agent"), s.Name).close, nil
		},
		ClassPicker: c.Bool("class-picker"), Agent: c.String("agent"), BasePath: c.String("web-base-path"), Login: login(c), Logs: logs,
	})
	if err != nil {
		return errors.Join(err, out.close())
	}
	server := &http.Server{Handler: u.Handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelError)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	slog.Info("web UI at " + address(c, listener))
	if err = automatic(c, ctx, u, served); err != nil {
		err = command.NotAllowed(err)
	}
	quit()
	result, rec, failed := u.Wait()
	leave, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if server.Shutdown(leave) != nil {
		_ = server.Close()
	}
	if err := errors.Join(err, failed); err != nil {
		return errors.Join(err, out.close())
	}
	if result == nil { // nothing was started
		fmt.Fprint(out.screen, stats.Table(out.width, false))
		return out.close()
	}
	return out.finish(stats, result, rec)
}

// automatic waits for the end: an interrupt, the server's, or that of --autostart and --autoquit.
func automatic(c *cli.Context, ctx context.Context, u *ui.UI, served <-chan error) error {
	over := make(chan struct{})
	if c.Bool("autostart") {
		if err := u.Start(); err != nil {
			return err
		}
		if quit := c.Int("autoquit"); quit >= 0 {
			go func() {
				_, _, _ = u.Wait()
				select {
				case <-time.After(time.Duration(quit) * time.Second):
				case <-ctx.Done():
				}
				close(over)
			}()
		}
	}
	select {
	case <-ctx.Done():
	case <-over:
	case err := <-served:
		return fmt.Errorf("the web UI ended: %w", err)
	}
	return nil
}

// listen opens the port of the web UI.
func listen(c *cli.Context) (net.Listener, error) {
	port := c.Int("web-port")
	host := c.String("web-host")
	if host == "*" { // as in older Locusts
		host = ""
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, command.NotAllowed(fmt.Errorf("port %d is taken, perhaps by another loader or by Locust: end that, choose another port with --web-port, or run without the web UI with --headless", port))
	case err != nil:
		return nil, command.NotAllowed(fmt.Errorf("the web UI cannot listen: %w; correct --web-host and --web-port", err))
	}
	cert, key := c.String("tls-cert"), c.String("tls-key")
	if cert == "" {
		return l, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		l.Close()
		return nil, command.NotAllowed(fmt.Errorf("--tls-cert, --tls-key: %w", err))
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

// address is what to type into a browser.
func address(c *cli.Context, l net.Listener) string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if c.String("tls-cert") != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port) + strings.TrimRight(c.String("web-base-path"), "/") + "/"
}

// login is what --web-login asks for: a name and password of --web-auth, else a made-up one
// that the log tells.
func login(c *cli.Context) *ui.Login {
	if !c.Bool("web-login") && c.String("web-auth") == "" {
		return nil
	}
	user, password, ok := strings.Cut(c.String("web-auth"), ":")
	if !ok {
		user, password = "locust", rand.Text()
		slog.Warn("the web UI asks for a name and a password; set your own with --web-auth NAME:PASSWORD or LOCUST_WEB_AUTH", "name", user, "password", password)
	}
	return &ui.Login{User: user, Password: password}
}

// planNamed is plan for the command line's scenario (""), or a built-in one with the host of
// the command line.
func planNamed(c *cli.Context, name string) (*scenario.Scenario, error) {
	if name == "" {
		return plan(c)
	}
	s, err := scenario.Load(name, dataOptions(c))
	if err == nil && c.IsSet("host") {
		s.SetHost(c.String("host"))
	}
	return s, err
}
