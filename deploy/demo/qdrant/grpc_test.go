package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// serve starts both APIs over one store, and returns a gRPC connection and the REST address.
func serve(t *testing.T, o options) (*grpc.ClientConn, string) {
	t.Helper()
	s, calls := newStore(), newCallStats()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := newGRPCServer(s, calls, o)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	web := httptest.NewServer(restHandler(s, calls))
	t.Cleanup(web.Close)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, web.URL
}

func fill(t *testing.T, conn *grpc.ClientConn) {
	t.Helper()
	_, err := pb.NewCollectionsClient(conn).Create(t.Context(), &pb.CreateCollection{
		CollectionName: "c", VectorsConfig: pb.NewVectorsConfig(&pb.VectorParams{Size: 2, Distance: pb.Distance_Cosine}),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = pb.NewPointsClient(conn).Upsert(t.Context(), &pb.UpsertPoints{CollectionName: "c", Points: []*pb.PointStruct{
		{Id: pb.NewIDNum(1), Vectors: pb.NewVectors(1, 0), Payload: pb.NewValueMap(map[string]any{"title": "east"})},
		{Id: pb.NewIDNum(2), Vectors: pb.NewVectors(0, 1), Payload: pb.NewValueMap(map[string]any{"title": "north"})},
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQueryOverTheWire(t *testing.T) {
	conn, web := serve(t, options{})
	fill(t, conn)
	reply, err := pb.NewPointsClient(conn).Query(t.Context(), &pb.QueryPoints{
		CollectionName: "c", Query: pb.NewQueryDense([]float32{0.1, 1}), Limit: pb.PtrOf(uint64(1)), WithPayload: pb.NewWithPayload(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := reply.GetResult()[0].GetPayload()["title"].GetStringValue(); got != "north" {
		t.Errorf("nearest is %q, want north", got)
	}

	resp, err := http.Get(web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, line := range []string{"collections_vector_total 2", `grpc_responses_total{endpoint="/qdrant.Points/Query",status="0"} 1`} {
		if !strings.Contains(string(text), line+"\n") {
			t.Errorf("/metrics lacks %q:\n%s", line, text)
		}
	}
}

func TestWhatItDoesNotDoIsSaid(t *testing.T) {
	conn, _ := serve(t, options{})
	fill(t, conn)
	points := pb.NewPointsClient(conn)
	filter := &pb.Filter{Must: []*pb.Condition{pb.NewMatch("title", "east")}}
	_, err := points.Query(t.Context(), &pb.QueryPoints{CollectionName: "c", Query: pb.NewQueryDense([]float32{1, 0}), Filter: filter})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a filter: %v, want Unimplemented", err)
	}
	_, err = points.Query(t.Context(), &pb.QueryPoints{CollectionName: "none", Query: pb.NewQueryDense([]float32{1, 0})})
	if status.Code(err) != codes.NotFound {
		t.Errorf("a missing collection: %v, want NotFound", err)
	}
}

func TestDelayEndsWithTheCaller(t *testing.T) {
	conn, _ := serve(t, options{delay: time.Hour})
	fill(t, conn)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := pb.NewPointsClient(conn).Query(ctx, &pb.QueryPoints{CollectionName: "c", Query: pb.NewQueryDense([]float32{1, 0})})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}
