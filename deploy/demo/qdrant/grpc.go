package main

import (
	"context"
	"errors"
	"math"
	"time"

	pb "github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The three services have methods of the same name (Delete), so each is a type of its own over the shared store.
type (
	qdrantService struct {
		pb.UnimplementedQdrantServer
	}
	collectionsService struct {
		pb.UnimplementedCollectionsServer
		store *store
	}
	pointsService struct {
		pb.UnimplementedPointsServer
		store *store
		delay time.Duration
	}
)

func newGRPCServer(s *store, calls *callStats, o options) *grpc.Server {
	settings := []grpc.ServerOption{grpc.UnaryInterceptor(calls.intercept)}
	if o.streams > 0 {
		settings = append(settings, grpc.MaxConcurrentStreams(uint32(min(o.streams, math.MaxUint32))))
	}
	server := grpc.NewServer(settings...)
	pb.RegisterQdrantServer(server, qdrantService{})
	pb.RegisterCollectionsServer(server, collectionsService{store: s})
	pb.RegisterPointsServer(server, pointsService{store: s, delay: o.delay})
	return server
}

func (qdrantService) HealthCheck(context.Context, *pb.HealthCheckRequest) (*pb.HealthCheckReply, error) {
	return &pb.HealthCheckReply{Title: "qdrant - vector search engine", Version: version}, nil
}

func (c collectionsService) Create(_ context.Context, r *pb.CreateCollection) (*pb.CollectionOperationResponse, error) {
	start := time.Now()
	params := r.GetVectorsConfig().GetParams()
	if params == nil {
		return nil, status.Error(codes.Unimplemented, "the stand-in keeps one unnamed vector for each point")
	}
	if params.GetDistance() != pb.Distance_Cosine {
		return nil, status.Errorf(codes.Unimplemented, "the stand-in knows the Cosine distance only, not %s", params.GetDistance())
	}
	if err := c.store.create(r.GetCollectionName(), params); err != nil {
		return nil, status.Error(codes.AlreadyExists, err.Error())
	}
	return &pb.CollectionOperationResponse{Result: true, Time: since(start)}, nil
}

func (c collectionsService) Delete(_ context.Context, r *pb.DeleteCollection) (*pb.CollectionOperationResponse, error) {
	start := time.Now()
	return &pb.CollectionOperationResponse{Result: c.store.remove(r.GetCollectionName()), Time: since(start)}, nil
}

func (c collectionsService) CollectionExists(_ context.Context, r *pb.CollectionExistsRequest) (*pb.CollectionExistsResponse, error) {
	start := time.Now()
	_, _, ok := c.store.describe(r.GetCollectionName())
	return &pb.CollectionExistsResponse{Result: &pb.CollectionExists{Exists: ok}, Time: since(start)}, nil
}

func (c collectionsService) List(context.Context, *pb.ListCollectionsRequest) (*pb.ListCollectionsResponse, error) {
	start := time.Now()
	names := c.store.names()
	list := make([]*pb.CollectionDescription, len(names))
	for i, name := range names {
		list[i] = &pb.CollectionDescription{Name: name}
	}
	return &pb.ListCollectionsResponse{Collections: list, Time: since(start)}, nil
}

func (c collectionsService) Get(_ context.Context, r *pb.GetCollectionInfoRequest) (*pb.GetCollectionInfoResponse, error) {
	start := time.Now()
	params, points, ok := c.store.describe(r.GetCollectionName())
	if !ok {
		return nil, failure(notFound(r.GetCollectionName()))
	}
	info := &pb.CollectionInfo{
		Status:              pb.CollectionStatus_Green,
		OptimizerStatus:     &pb.OptimizerStatus{Ok: true},
		SegmentsCount:       1,
		PointsCount:         pb.PtrOf(uint64(points)),
		IndexedVectorsCount: pb.PtrOf(uint64(0)), // brute force: nothing is indexed
		Config: &pb.CollectionConfig{Params: &pb.CollectionParams{
			ShardNumber:   1,
			VectorsConfig: pb.NewVectorsConfig(params),
		}},
	}
	return &pb.GetCollectionInfoResponse{Result: info, Time: since(start)}, nil
}

func (p pointsService) Upsert(_ context.Context, r *pb.UpsertPoints) (*pb.PointsOperationResponse, error) {
	start := time.Now()
	points := make([]point, len(r.GetPoints()))
	for i, in := range r.GetPoints() {
		vector := in.GetVectors().GetVector()
		data := vector.GetDense().GetData()
		if data == nil {
			data = vector.GetData() //nolint:staticcheck // clients before 1.16 fill only this field
		}
		points[i] = point{id: in.GetId(), vector: data, payload: in.GetPayload()}
	}
	if err := p.store.upsert(r.GetCollectionName(), points); err != nil {
		return nil, failure(err)
	}
	return &pb.PointsOperationResponse{Result: &pb.UpdateResult{Status: pb.UpdateStatus_Completed}, Time: since(start)}, nil
}

func (p pointsService) Count(_ context.Context, r *pb.CountPoints) (*pb.CountResponse, error) {
	start := time.Now()
	if r.GetFilter() != nil {
		return nil, errNoFilter
	}
	_, points, ok := p.store.describe(r.GetCollectionName())
	if !ok {
		return nil, failure(notFound(r.GetCollectionName()))
	}
	return &pb.CountResponse{Result: &pb.CountResult{Count: uint64(points)}, Time: since(start)}, nil
}

func (p pointsService) Query(ctx context.Context, r *pb.QueryPoints) (*pb.QueryResponse, error) {
	start := time.Now()
	if r.GetFilter() != nil || len(r.GetPrefetch()) > 0 {
		return nil, errNoFilter
	}
	query := r.GetQuery().GetNearest().GetDense().GetData()
	if query == nil {
		return nil, status.Error(codes.Unimplemented, "the stand-in answers nearest-neighbour queries with a dense vector only")
	}
	if err := pause(ctx, p.delay); err != nil {
		return nil, err
	}
	limit := 10
	if r.Limit != nil {
		limit = int(min(r.GetLimit(), math.MaxInt32))
	}
	threshold := float32(math.Inf(-1))
	if r.ScoreThreshold != nil {
		threshold = r.GetScoreThreshold()
	}
	points, scores, err := p.store.search(r.GetCollectionName(), query, limit, int(min(r.GetOffset(), math.MaxInt32)), threshold)
	if err != nil {
		return nil, failure(err)
	}
	found := make([]*pb.ScoredPoint, len(points))
	for i, hit := range points {
		found[i] = &pb.ScoredPoint{Id: hit.id, Score: scores[i]}
		if wantsPayload(r.GetWithPayload()) {
			found[i].Payload = hit.payload
		}
	}
	return &pb.QueryResponse{Result: found, Time: since(start)}, nil
}

var errNoFilter = status.Error(codes.Unimplemented, "the stand-in knows no filters and no prefetch")

// pause waits without using CPU, as a busy disk or a remote shard would make a real server wait.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func wantsPayload(s *pb.WithPayloadSelector) bool {
	return s.GetEnable() || s.GetInclude() != nil || s.GetExclude() != nil
}

func failure(err error) error {
	var missing notFoundError
	if errors.As(err, &missing) {
		return status.Error(codes.NotFound, err.Error())
	}
	return status.Error(codes.InvalidArgument, err.Error())
}

func since(start time.Time) float64 { return time.Since(start).Seconds() }
