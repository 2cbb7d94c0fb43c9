package main

import (
	"context"
	"errors"
	"fmt"
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
		Flags: append(append(append(watchFlags(), cpuFlags()...),
			&cli.StringFlag{Name: "listen", EnvVars: command.Env("listen"), Value: "127.0.0.1:9470", Usage: "`ADDRESS` of /metrics and the pages"},
		), command.PyroscopeFlags("", "the flame graphs")...),
		Action: runAction,
	}
}

// started is a watcher and the files that it writes.
type started struct {
	*watch.Watcher
	outputs []*output
	log     *slog.Logger
}

func (s *started) close() {
	s.Close()
	closeAll(s.outputs, s.log)
}

// keep gives the files their names.
func (s *started) keep() error {
	var errs []error
	for _, o := range s.outputs {
		errs = append(errs, o.keep())
	}
	return errors.Join(errs...)
}

func closeAll(outputs []*output, log *slog.Logger) {
	for _, o := range outputs {
		if err := o.Close(); err != nil {
			log.Warn("close output", "error", err)
		}
	}
}

// start attaches as the flags say. When they are right, and before it touches the target, it
// calls ready, which checks what else the command needs of the environment.
func start(c *cli.Context, m *metrics.Metrics, ready func() error) (*started, error) {
	log, err := command.Logger(c, os.Stderr)
	if err != nil {
		return nil, err
	}
	opts, outputs, err := watchOptions(c, log)
	if err == nil {
		err = ready()
	}
	if err != nil {
		closeAll(outputs, log)
		return nil, err
	}
	opts.Metrics = m
	begin := time.Now()
	w, err := watch.Start(c.Context, opts)
	if err != nil {
		closeAll(outputs, log)
		return nil, explain(err)
	}
	t := w.Target()
	log.Info("attached", "service", t.Service, "address", t.Address, "runtime", t.Runtime, "pids", t.PIDs, "seconds", time.Since(begin).Seconds())
	return &started{w, outputs, log}, nil
}

func runAction(c *cli.Context) error {
	var listener net.Listener
	var push command.Pyroscope
	m := metrics.New()
	w, err := start(c, m, func() (err error) {
		if push, err = command.PyroscopeOf(c); err != nil {
			return err
		}
		listener, err = net.Listen("tcp", c.String("listen"))
		if err != nil {
			return command.NotAllowed(fmt.Errorf("--listen %s: %w: stop what uses it or choose another port", c.String("listen"), err))
		}
		return nil
	})
	if listener != nil {
		defer listener.Close()
	}
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.keep(); err != nil { // from now on it grows under its name
		return command.NotAllowed(err)
	}
	g, ctx := errgroup.WithContext(c.Context)
	pusher, err := startPushes(push, w, m)
	if err != nil {
		return err
	}
	defer pusher.end()
	g.Go(func() error { pusher.run(ctx); return nil })
	g.Go(func() error { return w.Run(ctx) })
	g.Go(func() error { flushRequests(ctx, w); return nil })
	serve(ctx, g, listener, m, pages{w, pusher})
	if err := errors.Join(g.Wait(), w.FlushRequests()); err != nil {
		return command.NotAllowed(err)
	}
	return nil
}

// flushRequests lets those who follow the --requests file see its lines soon, until ctx ends. A
// full disk ends the file, not the daemon.
func flushRequests(ctx context.Context, w *started) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := w.FlushRequests(); err != nil {
				w.log.Error("no more lines are written to --requests", "error", err)
				return
			}
		}
	}
}

// serve answers at listener until ctx ends.
func serve(ctx context.Context, g *errgroup.Group, listener net.Listener, m *metrics.Metrics, w pages) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", m.Handler())
	mux.Handle("/", web.New(w))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	w.log.Info("serving", "metrics", "http://"+listener.Addr().String()+"/metrics", "pages", "http://"+listener.Addr().String()+"/")
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
		if err := server.Shutdown(end); err != nil { // somebody reads slowly, or waits for a window
			w.log.Warn("answers were cut off", "error", err)
			return server.Close()
		}
		return nil
	})
}
