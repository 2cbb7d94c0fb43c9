package backend

import (
	"context"
	"fmt"
	"strings"
	"time"

	driver "github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/config"
)

// neo4j asks over Bolt for the size of the default database's graph. Both counts come from
// Neo4j's count store and do not touch the graph.
type neo4j struct{ username, password string }

var graphSize = map[string]string{
	"node_count":         "MATCH (n) RETURN count(n) AS n",
	"relationship_count": "MATCH ()-[r]->() RETURN count(r) AS n",
}

func (n neo4j) ask(ctx context.Context, address string) (figures, error) {
	auth := driver.NoAuth()
	if n.password != "" {
		auth = driver.BasicAuth(n.username, n.password, "")
	}
	d, err := driver.NewDriverWithContext("bolt://"+address, auth, func(c *config.Config) {
		c.MaxConnectionPoolSize = 1
		c.SocketConnectTimeout, c.ConnectionAcquisitionTimeout = deadline(ctx), deadline(ctx)
		c.MaxTransactionRetryTime = 0
		c.UserAgent = "ragscope"
	})
	if err != nil {
		return figures{}, fmt.Errorf("address of neo4j %q: %w", address, err)
	}
	defer d.Close(ctx)
	s := d.NewSession(ctx, driver.SessionConfig{AccessMode: driver.AccessModeRead})
	defer s.Close(ctx)

	f := figures{values: map[string]float64{}}
	for key, query := range graphSize {
		result, err := s.Run(ctx, query, nil)
		if err != nil {
			return figures{}, n.explain(address, err)
		}
		record, err := result.Single(ctx)
		if err != nil {
			return figures{}, n.explain(address, err)
		}
		count, _, err := driver.GetRecordValue[int64](record, "n")
		if err != nil {
			return figures{}, n.explain(address, err)
		}
		f.values[key] = float64(count)
		summary, err := result.Consume(ctx)
		if err == nil {
			f.version = strings.TrimPrefix(summary.Server().Agent(), "Neo4j/")
		}
	}
	return f, nil
}

func (n neo4j) explain(address string, err error) error {
	if strings.Contains(err.Error(), "Neo.ClientError.Security.") {
		return fmt.Errorf("neo4j at %s asks for a user: give the agent one that may read, by RAGSCOPE_NEO4J_USERNAME and RAGSCOPE_NEO4J_PASSWORD", address)
	}
	return fmt.Errorf("ask neo4j at %s for the size of its graph, from the agent's network and without TLS: %w", address, err)
}

// deadline is the time until which a poll may take, for the driver, which does not take all its limits from
// the context.
func deadline(ctx context.Context) time.Duration {
	if d, ok := ctx.Deadline(); ok {
		return max(time.Until(d), time.Millisecond)
	}
	return timeout
}
