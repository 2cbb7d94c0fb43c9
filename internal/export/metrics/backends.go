package metrics

import "github.com/ragscope/ragscope/internal/recording"

// backendFigure says under which name a backend's own figure is exported: the name that the
// backend itself or its usual exporter gives it (redis_exporter; Qdrant's /metrics), so that
// existing dashboards fit. Only figures of this table become metrics.
type backendFigure struct {
	system, key string // recording.Backend's Peer, and the key in its Values
	name, help  string
	kind        Kind
}

var backendFigures = []backendFigure{
	{"redis", "keyspace_hits", "redis_keyspace_hits_total", "Look-ups of keys that were there.", Counter},
	{"redis", "keyspace_misses", "redis_keyspace_misses_total", "Look-ups of keys that were not there.", Counter},
	{"redis", "evicted_keys", "redis_evicted_keys_total", "Keys evicted because of maxmemory.", Counter},
	{"redis", "expired_keys", "redis_expired_keys_total", "Keys that expired.", Counter},
	{"redis", "rejected_connections", "redis_rejected_connections_total", "Connections rejected because of maxclients.", Counter},
	{"redis", "total_commands_processed", "redis_commands_processed_total", "Commands processed.", Counter},
	{"redis", "used_memory", "redis_memory_used_bytes", "Memory that Redis allocated.", Gauge},
	{"redis", "used_memory_rss", "redis_memory_used_rss_bytes", "Memory of Redis as the system sees it.", Gauge},
	{"redis", "maxmemory", "redis_memory_max_bytes", "Limit of Redis' memory, 0 without one.", Gauge},
	{"redis", "mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", "Resident ÷ allocated memory.", Gauge},
	{"redis", "connected_clients", "redis_connected_clients", "Client connections.", Gauge},
	{"redis", "blocked_clients", "redis_blocked_clients", "Clients in a blocking command.", Gauge},
	{"redis", "instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec", "Commands per second, as Redis samples it.", Gauge},
	{"qdrant", "collections_total", "collections_total", "Collections of Qdrant.", Gauge},
	{"qdrant", "collections_vector_total", "collections_vector_total", "Vectors in all collections of Qdrant.", Gauge},
	{"neo4j", "node_count", "neo4j_node_count", "Nodes in Neo4j's default database.", Gauge},
	{"neo4j", "relationship_count", "neo4j_relationship_count", "Relationships in Neo4j's default database.", Gauge},
	{"ollama", "loaded_models", "ragscope_ollama_loaded_models", "Models that Ollama holds in memory.", Gauge},
	{"ollama", "model_bytes", "ragscope_ollama_model_bytes", "Memory of the models that Ollama holds.", Gauge},
}

func (f backendFigure) family() Family {
	return Family{Name: f.name, Help: f.help, Kind: f.kind, Labels: []string{peer}}
}

type backendState struct {
	recording.Backend
	name string
}

func (b backendState) collect(e emitter) {
	if b.Error != "" {
		e.put(backendUp, 0, b.name)
	} else {
		e.put(backendUp, 1, b.name)
	}
	for _, f := range backendFigures {
		if v, ok := b.Values[f.key]; ok && f.system == b.Peer {
			e.put(f.family(), v, b.name)
		}
	}
}
