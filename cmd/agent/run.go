package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/ragscope/ragscope/internal/command"
	"github.com/ragscope/ragscope/internal/export/metrics"
	"github.com/ragscope/ragscope/internal/watch"
	"github.com/ragscope/ragscope/internal/web"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "watch a target, serve metrics and pages, push flame graphs",
		Description: `The daemon. Needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE); the target needs nothing.

   sudo agent run --target :8000
   sudo agent run --target :8000 --listen 127.0.0.1:9470 --pyroscope http://pyroscope:4040`,
		Flags: append(watchFlags(),
			&cli.StringFlag{Name: "listen", EnvVars: command.Env("listen"), Value: "127.0.0.1:9470", Usage: "`ADDRESS` of /metrics and the pages"},
			&cli.StringFlag{Name: "pyroscope", EnvVars: command.Env("pyroscope"), Usage: "`URL` of a Pyroscope server for the flame graphs"},
		),
		Action: runAction,
	}
}

// started is a watcher and everything to be closed with it.
type started struct {
	*watch.Watcher
	closers []io.Closer
}

func (s *started) close(log *slog.Logger) {
	s.Close()
	for _, c := range s.closers {
		if err := c.Close(); err != nil {
			log.Warn("close output", "error", err)
		}
	}
}

// start attaches as the flags say.
func start(c *cli.Context, m *metrics.Metrics) (*started, *slog.Logger, error) {
	if err := command.Configure(c); err != nil {
		return nil, nil, err
	}
	log, err := command.Logger(c, os.Stderr)
	if err != nil {
		return nil, nil, err
	}
	opts, closers, err := watchOptions(c, log)
	if err != nil {
		return nil, log, err
	}
	opts.Metrics = m
	begin := time.Now()
	w, err := watch.Start(c.Context, opts)
	if err != nil {
		return nil, log, explain(err)
	}
	t := w.Target()
	log.Info("attached", "service", t.Service, "address", t.Address, "runtime", t.Runtime, "pids", t.PIDs, "seconds", time.Since(begin).Seconds())
	return &started{w, closers}, log, nil
}

func runAction(c *cli.Context) error {
	listener, err := net.Listen("tcp", c.String("listen"))
	if err != nil {
		return command.NotAllowed(fmt.Errorf("--listen %s: %w: stop what uses it or choose another port", c.String("listen"), err))
	}
	defer listener.Close()
	m := metrics.New()
	w, log, err := start(c, m)
	if err != nil {
		return err
	}
	defer w.close(log)
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.Handler())
	mux.Handle("/", web.New(w))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Info("serving", "metrics", "http://"+listener.Addr().String()+"/metrics", "pages", "http://"+listener.Addr().String()+"/")

	g, ctx := errgroup.WithContext(c.Context)
	g.Go(func() error { return w.Run(ctx) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return server.Shutdown(end)
	})
	if url := c.String("pyroscope"); url != "" {
		stop, err := pushProfiles(ctx, g, url, w, log)
		if err != nil {
			return command.Wrong("--pyroscope: %w", err)
		}
		defer stop()
	}
	return g.Wait()
}
