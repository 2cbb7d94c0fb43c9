package main

import (
	"math"
	"testing"

	pb "github.com/qdrant/go-client/qdrant"
)

func filled(t *testing.T) *store {
	t.Helper()
	s := newStore()
	if err := s.create("c", &pb.VectorParams{Size: 2, Distance: pb.Distance_Cosine}); err != nil {
		t.Fatal(err)
	}
	points := []point{
		{id: pb.NewIDNum(1), vector: []float32{10, 0}},
		{id: pb.NewIDNum(2), vector: []float32{0, 0.1}},
		{id: pb.NewIDNum(3), vector: []float32{3, 3}},
	}
	if err := s.upsert("c", points); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSearchRanksByCosine(t *testing.T) {
	below := float32(math.Inf(-1))
	for _, test := range []struct {
		name          string
		query         []float32
		limit, offset int
		threshold     float32
		want          []uint64
	}{
		{"length does not matter", []float32{0.001, 0}, 3, 0, below, []uint64{1, 3, 2}},
		{"best only", []float32{0, 5}, 1, 0, below, []uint64{2}},
		{"second page", []float32{0, 5}, 1, 1, below, []uint64{3}},
		{"page behind the end", []float32{0, 5}, 5, 9, below, nil},
		{"threshold", []float32{1, 0}, 3, 0, 0.5, []uint64{1, 3}},
		{"nothing asked", []float32{1, 0}, 0, 0, below, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			points, scores, err := filled(t).search("c", test.query, test.limit, test.offset, test.threshold)
			if err != nil {
				t.Fatal(err)
			}
			if len(points) != len(test.want) || len(scores) != len(test.want) {
				t.Fatalf("found %d points, %d scores, want %d", len(points), len(scores), len(test.want))
			}
			for i, p := range points {
				if p.id.GetNum() != test.want[i] {
					t.Errorf("place %d: point %d, want %d", i, p.id.GetNum(), test.want[i])
				}
			}
		})
	}
}

func TestUpsertReplaces(t *testing.T) {
	s := filled(t)
	if err := s.upsert("c", []point{{id: pb.NewIDNum(1), vector: []float32{0, 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, n, _ := s.describe("c"); n != 3 {
		t.Errorf("%d points after replacing one of 3", n)
	}
	_, scores, err := s.search("c", []float32{1, 0}, 1, 0, -2)
	if err != nil || scores[0] > 0.8 {
		t.Errorf("the replaced vector is still found: score %v, %v", scores, err)
	}
}

func TestWrongDimensionChangesNothing(t *testing.T) {
	s := filled(t)
	err := s.upsert("c", []point{{id: pb.NewIDNum(4), vector: []float32{1, 0}}, {id: pb.NewIDNum(5), vector: []float32{1}}})
	if err == nil {
		t.Fatal("a vector of the wrong size was taken")
	}
	if _, n, _ := s.describe("c"); n != 3 {
		t.Errorf("%d points after a refused upsert, want 3", n)
	}
}
