// Command qdrant is a stand-in for the Qdrant server, for the demo stack only.
//
// The real server, written in Rust, is on none of the package registries that the demo is built from, so this program
// speaks Qdrant's real protocols (gRPC from the published service definitions, and the REST routes that clients and
// scrapers use) over a real vector search: cosine similarity, brute force, in memory. The unmodified qdrant-client
// works with it, and the bytes on the wire are those of a Qdrant.
//
// In: requests of clients on two loopback ports. Out: answers computed from what was upserted. It never keeps anything
// on disk, never invents a result, and answers Unimplemented to whatever it does not do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// version is what the server reports about itself; qdrant-client warns when it is further than one minor from its own.
const version = "1.20.0"

func main() {
	var o options
	flag.StringVar(&o.rest, "rest", "127.0.0.1:6333", "address of the REST API")
	flag.StringVar(&o.grpc, "grpc", "127.0.0.1:6334", "address of the gRPC API")
	flag.DurationVar(&o.delay, "delay", 0, "wait this long before each search, without using CPU")
	flag.UintVar(&o.streams, "streams", 0, "concurrent streams allowed on a connection (0: no limit)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		slog.Error("qdrant stand-in ended", "error", err)
		os.Exit(1)
	}
}

type options struct {
	rest, grpc string
	delay      time.Duration
	streams    uint
}

// run serves both APIs until ctx ends.
func run(ctx context.Context, o options) error {
	grpcListener, err := net.Listen("tcp", o.grpc)
	if err != nil {
		return fmt.Errorf("listen for gRPC: %w", err)
	}
	restListener, err := net.Listen("tcp", o.rest)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for REST: %w", err), grpcListener.Close())
	}
	store := newStore()
	calls := newCallStats()
	rpc := newGRPCServer(store, calls, o)
	web := &http.Server{Handler: restHandler(store, calls), ReadHeaderTimeout: 5 * time.Second}

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return rpc.Serve(grpcListener) })
	group.Go(func() error {
		if err := web.Serve(restListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		rpc.Stop()
		return web.Close()
	})
	slog.Info("serving", "rest", restListener.Addr(), "grpc", grpcListener.Addr(), "delay", o.delay, "streams", o.streams)
	return group.Wait()
}
