package backend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// qdrant asks the port that the target uses: /metrics where it speaks REST, the collections
// service where it speaks gRPC. Which of the two it is, the first answer tells.
type qdrant struct{ apiKey string }

// maxCollections bounds the calls of one poll over gRPC.
const maxCollections = 16

func (q qdrant) ask(ctx context.Context, address string) (figures, error) {
	header := http.Header{}
	if q.apiKey != "" {
		header.Set("api-key", q.apiKey)
	}
	body, err := get(ctx, "http://"+address+"/metrics", header)
	if err == nil {
		return parseQdrant(body), nil
	}
	var status statusError
	if errors.As(err, &status) {
		if status.code == http.StatusUnauthorized || status.code == http.StatusForbidden {
			return figures{}, q.needsKey(address)
		}
		return figures{}, fmt.Errorf("ask qdrant for its metrics: %w", err)
	}
	f, err := q.askGRPC(ctx, address)
	switch grpcstatus.Code(err) {
	case codes.OK:
		return f, nil
	case codes.Unauthenticated, codes.PermissionDenied:
		return figures{}, q.needsKey(address)
	}
	return figures{}, fmt.Errorf("ask qdrant at %s, from the agent's network and without TLS: %w", address, err)
}

func (q qdrant) needsKey(address string) error {
	return fmt.Errorf("qdrant at %s asks for an API key: give the agent one that may read, by RAGSCOPE_QDRANT_API_KEY", address)
}

// parseQdrant reads the figures that are kept from Qdrant's /metrics, under its own names;
// answers are summed over their labels.
func parseQdrant(text []byte) figures {
	f := figures{values: map[string]float64{}}
	for _, line := range bytes.Split(text, []byte("\n")) {
		name, labels, value := splitSample(string(line))
		switch name {
		case "app_info":
			if _, rest, ok := strings.Cut(labels, `version="`); ok {
				f.version, _, _ = strings.Cut(rest, `"`)
			}
		case "collections_total", "collections_vector_total", "rest_responses_total", "grpc_responses_total", "memory_resident_bytes":
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				f.values[name] += v
			}
		}
	}
	return f
}

// splitSample takes a line `name{labels} value` of the text format apart.
func splitSample(line string) (name, labels, value string) {
	end := strings.LastIndexByte(line, '}')
	if end < 0 {
		name, value, _ = strings.Cut(line, " ")
		return name, "", strings.TrimSpace(value)
	}
	name, labels, _ = strings.Cut(line[:end], "{")
	return name, labels, strings.TrimSpace(line[end+1:])
}

func (q qdrant) askGRPC(ctx context.Context, address string) (figures, error) {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return figures{}, err
	}
	defer conn.Close()
	if q.apiKey != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "api-key", q.apiKey)
	}
	health, err := pb.NewQdrantClient(conn).HealthCheck(ctx, &pb.HealthCheckRequest{})
	if err != nil {
		return figures{}, err
	}
	collections := pb.NewCollectionsClient(conn)
	list, err := collections.List(ctx, &pb.ListCollectionsRequest{})
	if err != nil {
		return figures{}, err
	}
	f := figures{version: health.GetVersion(), values: map[string]float64{"collections_total": float64(len(list.GetCollections()))}}
	if len(list.GetCollections()) > maxCollections {
		return f, nil // a partial sum would be a wrong one
	}
	// A collection with several named vectors has more vectors than points; gRPC tells the
	// points.
	points := 0.
	for _, c := range list.GetCollections() {
		info, err := collections.Get(ctx, &pb.GetCollectionInfoRequest{CollectionName: c.GetName()})
		if err != nil {
			return figures{}, err
		}
		points += float64(info.GetResult().GetPointsCount())
	}
	f.values["collections_vector_total"] = points
	return f, nil
}
