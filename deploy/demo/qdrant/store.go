package main

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"slices"
	"sync"

	pb "github.com/qdrant/go-client/qdrant"
)

// store holds all collections. Its methods may be called from any goroutine.
type store struct {
	mu          sync.RWMutex
	collections map[string]*collection
}

// collection is one named set of points whose vectors are kept at length 1, so that cosine is a dot product.
type collection struct {
	size   int
	params *pb.VectorParams
	points []point
	index  map[string]int // point id → position in points
}

type point struct {
	id      *pb.PointId
	vector  []float32
	payload map[string]*pb.Value
}

// match is a point found by a search, by its position.
type match struct {
	position int
	score    float32
}

func newStore() *store { return &store{collections: map[string]*collection{}} }

func (s *store) create(name string, params *pb.VectorParams) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.collections[name]; ok {
		return fmt.Errorf("collection `%s` already exists", name)
	}
	s.collections[name] = &collection{size: int(params.GetSize()), params: params, index: map[string]int{}}
	return nil
}

func (s *store) remove(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.collections[name]
	delete(s.collections, name)
	return ok
}

func (s *store) names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make([]string, 0, len(s.collections))
	for name := range s.collections {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// describe returns a collection's parameters and its number of points.
func (s *store) describe(name string) (params *pb.VectorParams, points int, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.collections[name]
	if !ok {
		return nil, 0, false
	}
	return c.params, len(c.points), true
}

func (s *store) upsert(name string, points []point) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.collections[name]
	if !ok {
		return notFound(name)
	}
	for _, p := range points {
		if len(p.vector) != c.size {
			return fmt.Errorf("vector dimension error: expected dim: %d, got %d", c.size, len(p.vector))
		}
	}
	for _, p := range points {
		p.vector = unit(p.vector)
		key := p.id.String()
		if at, ok := c.index[key]; ok {
			c.points[at] = p
			continue
		}
		c.index[key] = len(c.points)
		c.points = append(c.points, p)
	}
	return nil
}

// search returns the limit points most similar to query that reach threshold, best first.
func (s *store) search(name string, query []float32, limit, offset int, threshold float32) ([]point, []float32, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c, ok := s.collections[name]
	if !ok {
		return nil, nil, notFound(name)
	}
	if len(query) != c.size {
		return nil, nil, fmt.Errorf("vector dimension error: expected dim: %d, got %d", c.size, len(query))
	}
	limit, offset = min(limit, len(c.points)), min(offset, len(c.points))
	best := nearest(c.points, unit(query), limit+offset)
	best = best[min(offset, len(best)):]
	points, scores := make([]point, 0, len(best)), make([]float32, 0, len(best))
	for _, m := range best {
		if m.score >= threshold {
			points, scores = append(points, c.points[m.position]), append(scores, m.score)
		}
	}
	return points, scores, nil
}

// nearest keeps the n best matches in a heap whose root is the worst of them.
func nearest(points []point, query []float32, n int) []match {
	if n <= 0 {
		return nil
	}
	kept := make(worstFirst, 0, n)
	for i, p := range points {
		m := match{i, dot(query, p.vector)}
		switch {
		case len(kept) < n:
			heap.Push(&kept, m)
		case m.score > kept[0].score:
			kept[0] = m
			heap.Fix(&kept, 0)
		}
	}
	slices.SortFunc(kept, func(a, b match) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.position, b.position))
	})
	return kept
}

type worstFirst []match

func (h worstFirst) Len() int           { return len(h) }
func (h worstFirst) Less(i, j int) bool { return h[i].score < h[j].score }
func (h worstFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *worstFirst) Push(x any)        { *h = append(*h, x.(match)) }
func (h *worstFirst) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func dot(a, b []float32) float32 {
	var sum float32
	b = b[:len(a)]
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// unit returns v scaled to length 1, as a copy. The zero vector stays zero.
func unit(v []float32) []float32 {
	var squares float64
	for _, x := range v {
		squares += float64(x) * float64(x)
	}
	scaled := make([]float32, len(v))
	if squares == 0 {
		return scaled
	}
	by := float32(1 / math.Sqrt(squares))
	for i, x := range v {
		scaled[i] = x * by
	}
	return scaled
}

// notFound says what the real server says.
func notFound(name string) error { return notFoundError(name) }

type notFoundError string

func (e notFoundError) Error() string {
	return fmt.Sprintf("Collection `%s` doesn't exist!", string(e))
}
