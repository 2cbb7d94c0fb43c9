"""Settings of the API, all from the environment."""

import os


def _flag(name: str, default: str) -> bool:
    return os.environ.get(name, default).lower() in ("1", "on", "true", "yes")


REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")
REDIS_MAX_CONNECTIONS = int(os.environ.get("REDIS_MAX_CONNECTIONS", "10"))
CACHE = _flag("CACHE", "on")
CACHE_TTL_SECONDS = int(os.environ.get("CACHE_TTL_SECONDS", "3600"))
SESSION_TTL_SECONDS = 1800
SESSION_TURN_WAIT_MS = float(os.environ.get("SESSION_TURN_WAIT_MS", "0"))
RATE_LIMIT_PER_MINUTE = int(os.environ.get("RATE_LIMIT_PER_MINUTE", "60000"))

QDRANT_HOST = os.environ.get("QDRANT_HOST", "127.0.0.1")
QDRANT_PORT = int(os.environ.get("QDRANT_PORT", "6333"))
QDRANT_GRPC_PORT = int(os.environ.get("QDRANT_GRPC_PORT", "6334"))
COLLECTION = os.environ.get("COLLECTION", "passages")

NEO4J_URI = os.environ.get("NEO4J_URI", "")  # empty: hybrid search runs without the graph
NEO4J_MAX_CONNECTIONS = int(os.environ.get("NEO4J_MAX_CONNECTIONS", "20"))

OLLAMA_URL = os.environ.get("OLLAMA_URL", "http://127.0.0.1:11434")
HTTP_MAX_CONNECTIONS = int(os.environ.get("HTTP_MAX_CONNECTIONS", "50"))
CHAT_MODEL = os.environ.get("CHAT_MODEL", "smollm2")
EMBED_MODEL = os.environ.get("EMBED_MODEL", "all-minilm")
MAX_TOKENS = int(os.environ.get("MAX_TOKENS", "24"))
CONTEXT_WORDS = int(os.environ.get("CONTEXT_WORDS", "25"))
